"""lift: pick the named object up and keep it in the air."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task, goals_for

LIFTED = 0.035  # rise of the object's centre that counts [m]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    return layout.scatter(generator, layout.draw_objects(generator, 3), gap=0.03)


def goals(scene: Scene) -> tuple[Goal, ...]:
    return goals_for(scene, lambda thing: layout.within_reach(thing.position))


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name = scene.describe(goal.target)
    return (
        Subtask(f"grasp the {name}", goal, lambda world: world.holding(goal.target)),
        Subtask(f"lift the {name}", goal, lambda world: success(world, goal)),
    )


def success(world: SceneState, goal: Goal) -> bool:
    rise = world.position(goal.target)[2] - world.start_positions[goal.target][2]
    return bool(rise > LIFTED)


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    yield from skills.grasp(world, arm, goal.target)


TASK = Task(
    name="lift",
    summary="pick the named object up and keep it in the air",
    instructions=(
        "lift the {target}",
        "pick up the {target}",
        "raise the {target}",
        "grab the {target} and lift it",
        "take the {target}",
        "hold up the {target}",
        "pick the {target} up from the table",
        "get the {target}",
        "please lift the {target}",
        "can you pick up the {target}",
        "i need the {target} up in the air",
        "take hold of the {target} and raise it",
        "the {target} should be picked up",
        "fetch the {target} from the table",
        "close the fingers on the {target} and lift it",
        "lift the {target} off the table",
        "go and grab the {target}",
        "only pick up the {target}",
        "lift up the {target}",
        "grasp the {target} and hold it in the air",
    ),
    harder_instructions=(
        (
            "go and get the {target} up from the table",
            "i want you to hold the {target} in the air",
        ),
        (
            "elevate the {target}",
            "hoist the {target} above the tabletop",
        ),
    ),
    objects=GRASPABLE,
    actions=("lift",),
    max_seconds=6.0,
    hold_seconds=0.4,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
)
