"""stack: put the named cube on top of another named cube."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task

HEIGHT_TOLERANCE = 0.006  # [m]
STILL = 0.02  # [m/s]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    return layout.scatter(generator, layout.draw_objects(generator, 3, kinds=("cube",)), gap=0.032)


def goals(scene: Scene) -> tuple[Goal, ...]:
    cubes = [t for t in scene.things if t.kind == "cube" and layout.within_reach(t.position)]
    return tuple(
        Goal(top.name, base.name, {"target": scene.describe(top.name), "place": scene.describe(base.name)})
        for top in cubes
        for base in cubes
        if top.name != base.name
    )


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    top, base = goal.words["target"], goal.words["place"]
    return (
        Subtask(f"grasp the {top}", goal, lambda world: world.holding(goal.target)),
        Subtask(f"carry the {top} to the {base}", goal, lambda world: is_above(world, goal)),
        Subtask(f"put the {top} on the {base}", goal, lambda world: success(world, goal)),
    )


def is_above(world: SceneState, goal: Goal) -> bool:
    """Whether the upper cube's centre is over the lower cube."""
    offset = world.position(goal.target) - world.position(goal.place)
    return bool(np.hypot(*offset[:2]) < world.scene.thing(goal.place).half and offset[2] > 0.01)


def success(world: SceneState, goal: Goal) -> bool:
    at_rest = world.speed(goal.target) < STILL and not world.touching(goal.target)
    return at_rest and _is_on(world, goal)


def _is_on(world: SceneState, goal: Goal) -> bool:
    rise = world.position(goal.target)[2] - world.position(goal.place)[2]
    expected = world.scene.thing(goal.target).half + world.scene.thing(goal.place).half
    return abs(rise - expected) < HEIGHT_TOLERANCE and is_above(world, goal)


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    base = world.position(goal.place) + (0, 0, world.scene.thing(goal.place).half)
    yield from skills.put(world, arm, goal.target, base, 0.003, lies=_is_on(world, goal))


def new_roles(goal: Goal) -> tuple[tuple[str, str], ...]:
    return ((goal.place, "cylinder"), (goal.target, "cylinder"))


TASK = Task(
    name="stack",
    summary="put the named cube on top of another named cube",
    instructions=(
        "stack the {target} on the {place}",
        "put the {target} on the {place}",
        "place the {target} on top of the {place}",
        "build a tower with the {target} on the {place}",
        "set the {target} on top of the {place}",
        "pick up the {target} and stack it on the {place}",
        "put the {target} on top of the {place}",
        "stack the {target} on top of the {place}",
        "please stack the {target} on the {place}",
        "can you put the {target} on top of the {place}",
        "the {target} should stand on the {place}",
        "i want the {target} on the {place}",
        "carry the {target} over and put it on the {place}",
        "make a pile: the {place} below and the {target} above",
        "balance the {target} on the {place}",
        "the {target} belongs on top of the {place}",
    ),
    harder_instructions=(
        (
            "i need you to put the {target} up on the {place}",
            "get the {target} and leave it on the {place}",
        ),
        (
            "pile the {target} atop the {place}",
            "position the {target} so that it rests on the {place}",
        ),
    ),
    objects=("cube",),
    actions=("stack", "put"),
    max_seconds=10.0,
    hold_seconds=0.5,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
    new_roles=new_roles,
    impossible_axes={"sizes": (3,), "shapes": (2, 3)},  # nothing stays on a cube so small, or on what rolls
)
