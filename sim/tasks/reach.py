"""reach: bring the fingertips to just above the named object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.motion import SHUT, Arm
from ideomotor.sim.scene import GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task, goals_for

ABOVE = 0.022  # height of the fingertips over the object's top [m]
ACROSS_TOLERANCE = 0.020  # [m]
HEIGHT_TOLERANCE = (-0.006, 0.050)  # of the fingertips over the object's top [m]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    return layout.scatter(generator, layout.draw_objects(generator, 3))


def goals(scene: Scene) -> tuple[Goal, ...]:
    return goals_for(scene, lambda thing: layout.within_reach(thing.position))


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    return (Subtask(f"point at the {scene.describe(goal.target)}", goal, lambda world: success(world, goal)),)


def success(world: SceneState, goal: Goal) -> bool:
    thing = world.position(goal.target)
    offset = world.fingertips() - thing
    height = offset[2] - world.scene.thing(goal.target).half
    low, high = HEIGHT_TOLERANCE
    return float(np.hypot(*offset[:2])) < ACROSS_TOLERANCE and low < height < high


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    thing = world.position(goal.target)
    top = thing[2] + world.scene.thing(goal.target).half
    spot = np.array([thing[0], thing[1], top + ABOVE])
    yield from arm.detour(spot, spot + (0, 0, 0.03), grip=SHUT)
    yield from arm.move_to(spot, grip=SHUT)


TASK = Task(
    name="reach",
    summary="bring the fingertips to just above the named object",
    instructions=(
        "reach for the {target}",
        "point at the {target}",
        "go to the {target}",
        "move the gripper to the {target}",
        "hover over the {target}",
        "show me the {target}",
        "touch the {target}",
        "move above the {target}",
        "please go to the {target}",
        "can you point at the {target}",
        "where is the {target}",
        "put the hand over the {target}",
        "move to the {target} and stay there",
        "the {target} please: just point at it",
        "hold the gripper above the {target}",
        "find the {target} and hover over it",
        "approach the {target}",
        "go and show me the {target}",
        "indicate the {target}",
        "bring the hand to the {target}",
    ),
    harder_instructions=(
        (
            "please bring the hand over to the {target}",
            "the gripper should go to the {target} and stay there",
        ),
        (
            "stretch out towards the {target}",
            "aim at the {target}",
        ),
    ),
    objects=GRASPABLE,
    actions=("reach",),
    max_seconds=4.0,
    hold_seconds=0.3,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
)
