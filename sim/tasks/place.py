"""place: put the named object into a bowl or onto a plate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import BOWL_RADIUS, GRASPABLE, PLATE_RADIUS, ZONE_RADIUS, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task

WHERE = {"bowl": "into", "plate": "onto"}
# A zone is never a container by itself: `sim/generalization/axes.py` asks for it as a combination that
# training lacks.
INSIDE = {  # of the object's centre [m]
    "bowl": BOWL_RADIUS - 0.012, "plate": PLATE_RADIUS - 0.010, "zone": ZONE_RADIUS - 0.010,
}  # fmt: skip
DROP = {"bowl": 0.030, "plate": 0.020, "zone": 0.006}  # of the object's bottom over the container's frame [m]
STILL = 0.03  # [m/s]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    kinds = [tuple(WHERE)[index] for index in generator.integers(0, 2, size=2)]
    colours = layout.draw_colours(generator, 2)
    containers = [(kind, colour, "large") for kind, colour in zip(kinds, colours, strict=True)]
    placed = layout.scatter(generator, containers, gap=0.015)
    return placed and layout.scatter(generator, layout.draw_objects(generator, 2), placed, gap=0.026)


def goals(scene: Scene) -> tuple[Goal, ...]:
    return tuple(
        goal_of(scene, thing, container)
        for thing in scene.things
        for container in scene.things
        if thing.kind in GRASPABLE and container.kind in WHERE and layout.within_reach(thing.position)
    )


def goal_of(scene: Scene, thing: Thing, container: Thing) -> Goal:
    where = f"{WHERE[container.kind]} the {scene.describe(container.name)}"
    return Goal(thing.name, container.name, {"target": scene.describe(thing.name), "where": where})


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name, container = goal.words["target"], scene.describe(goal.place)
    return (
        Subtask(f"grasp the {name}", goal, lambda world: world.holding(goal.target)),
        Subtask(f"carry the {name} to the {container}", goal, lambda world: is_above(world, goal)),
        Subtask(f"put the {name} {goal.words['where']}", goal, lambda world: success(world, goal)),
    )


def is_above(world: SceneState, goal: Goal) -> bool:
    """Whether the object is over its container."""
    offset = world.position(goal.target) - world.position(goal.place)
    return float(np.hypot(*offset[:2])) < INSIDE[world.scene.thing(goal.place).kind]


def success(world: SceneState, goal: Goal) -> bool:
    low = world.position(goal.target)[2] < 0.035 + world.scene.thing(goal.target).half
    at_rest = world.speed(goal.target) < STILL and not world.touching(goal.target)
    return low and at_rest and is_above(world, goal)


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    drop = DROP[world.scene.thing(goal.place).kind]
    low = world.position(goal.target)[2] < 0.035 + world.scene.thing(goal.target).half
    lies = low and is_above(world, goal)
    yield from skills.put(world, arm, goal.target, world.position(goal.place), drop, lies)


def new_roles(goal: Goal) -> tuple[tuple[str, str], ...]:
    return ((goal.place, "zone"),)  # to which demonstrations only push


TASK = Task(
    name="place",
    summary="put the named object into a bowl or onto a plate",
    instructions=(
        "put the {target} {where}",
        "place the {target} {where}",
        "drop the {target} {where}",
        "set the {target} {where}",
        "move the {target} {where}",
        "pick up the {target} and put it {where}",
        "take the {target} and place it {where}",
        "bring the {target} over and put it {where}",
        "please put the {target} {where}",
        "can you set the {target} {where}",
        "i want the {target} {where}",
        "carry the {target} over and drop it {where}",
        "the {target} should end up {where}",
        "grab the {target} and leave it {where}",
        "lay the {target} {where}",
        "the {target} goes {where}",
    ),
    harder_instructions=(
        (
            "i need you to get the {target} and put it {where}",
            "take the {target} and leave it {where} please",
        ),
        (
            "deposit the {target} {where}",
            "transfer the {target} so that it rests {where}",
        ),
    ),
    objects=(*GRASPABLE, *WHERE),
    actions=("put", "push", "stack", "sort"),
    max_seconds=10.0,
    hold_seconds=0.3,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
    new_roles=new_roles,
    impossible_axes={"combination": (2,)},  # there is one place
)
