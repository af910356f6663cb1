"""put_down: put the named object, from the hand or from where it lies, onto a free place of the table.

A skill that recovery needs beside the built-in ones: the hand holds the wrong thing, or there is one too
many on a plate. A task of its own, whose things lie in a bowl or on a plate, so that a policy can be trained
for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.long_horizon import relations
from ideomotor.sim.long_horizon.crowded import opening_around
from ideomotor.sim.long_horizon.drawers import SEEN, out_of_the_way
from ideomotor.sim.motion import PAN_AXIS, Arm
from ideomotor.sim.scene import GRASPABLE, PLATE_HEIGHT, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task

FLOOR = {"bowl": 0.004, "plate": PLATE_HEIGHT}  # of a container, on which a thing lies at first [m]
ON_TABLE = 0.006  # that the lowest point of a thing on the table may seem above it [m]
DROP = 0.003  # of the object's bottom over the table [m]
AROUND = 0.015  # from the fingertips to a thing that they are around [m]
ROOM = 0.030  # around it: a finger beside it, and the jaw that opens [m]
RADII = np.arange(0.140, 0.246, 0.015)  # of the places to choose from, from the pan's axis [m]
BEARINGS = np.linspace(-1.0, 1.0, 17)  # [rad]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    kinds = [tuple(FLOOR)[index] for index in generator.integers(0, 2, size=2)]
    colours = layout.draw_colours(generator, 2)
    containers = [(kind, colour, "large") for kind, colour in zip(kinds, colours, strict=True)]
    placed = layout.scatter(generator, containers, gap=0.015)
    placed = placed and layout.scatter(generator, layout.draw_objects(generator, 3), placed, gap=0.026)
    if placed is None:
        return None
    lying = [
        replace(thing, position=container.position, base=FLOOR[container.kind])
        for thing, container in zip(placed[2:], placed[:2], strict=False)
    ]
    return (*placed[:2], *lying, *placed[2 + len(lying) :])


def goals(scene: Scene) -> tuple[Goal, ...]:
    return tuple(
        goal_of(scene, thing)
        for thing in scene.things
        if thing.kind in GRASPABLE and thing.base > 0 and layout.within_reach(thing.position)
    )


def goal_of(scene: Scene, thing: Thing) -> Goal:
    return Goal(thing.name, words={"target": scene.describe(thing.name)})


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name = goal.words["target"]
    return (
        Subtask(f"grasp the {name}", goal, lambda world: world.holding(goal.target)),
        Subtask(f"carry the {name} to a free place", goal, lambda world: _is_clear(world, goal.target)),
        Subtask(f"put the {name} down", goal, lambda world: success(world, goal)),
    )


def success(world: SceneState, goal: Goal) -> bool:
    thing = world.scene.thing(goal.target)
    low = world.position(goal.target)[2] < thing.half + ON_TABLE
    return bool(low and _is_clear(world, goal.target) and relations.at_rest(world, goal.target))


def _is_clear(world: SceneState, name: str) -> bool:
    """Whether nothing but the table is below it."""
    return not _lies_on(world, name) and not _containers_below(world, name)


def _lies_on(world: SceneState, name: str) -> bool:
    """Whether it is on another thing, or in a drawer."""
    for other in world.scene.things:
        if other.kind == "drawer" and relations.in_tray(world, name, other.name):
            return True
        if other.graspable and other.name != name and relations.on_top(world, name, other.name):
            return True
    return False


def _containers_below(world: SceneState, name: str) -> list[Thing]:
    at, radius = world.position(name)[:2], world.scene.thing(name).radius
    return [
        other
        for other in world.scene.things
        if other.kind in ("bowl", "plate", "zone")
        and np.hypot(*(world.position(other.name)[:2] - at)) < other.radius + radius
    ]


def free_place(world: SceneState, name: str) -> np.ndarray:
    """(3,) [m] on the table, the nearest one that has room for a thing and for the fingers around it.

    Where there is none, that with the most room.
    """
    thing, here = world.scene.thing(name), world.position(name)[:2]
    drawers = tuple(other for other in world.scene.things if other.kind == "drawer")
    others = [other for other in world.scene.things if other.name != name and other.kind != "drawer"]
    around = [(world.position(other.name)[:2], other.radius) for other in others]

    def cost(spot: np.ndarray) -> float:
        short = sum(
            max(0.0, radius + thing.radius + ROOM - float(np.hypot(*(at - spot)))) for at, radius in around
        )
        stands = replace(thing, position=(float(spot[0]), float(spot[1])))
        badly = abs(spot[1]) + thing.radius > SEEN or not out_of_the_way(stands, drawers)
        return float(np.hypot(*(spot - here))) + 100.0 * short + 10.0 * badly

    spots = [
        PAN_AXIS + radius * np.array([np.cos(bearing), np.sin(bearing)])
        for radius in RADII
        for bearing in BEARINGS
    ]
    return np.array([*min(spots, key=cost), 0.0])


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    spot = free_place(world, goal.target)
    near = float(np.linalg.norm(world.fingertips() - world.position(goal.target))) < AROUND
    if not (near or world.holding(goal.target)) and _in_bowl(world, goal.target):
        yield from _reach_into_bowl(world, arm, goal.target)
    yield from skills.put(world, arm, goal.target, spot, DROP, success(world, goal))


def _in_bowl(world: SceneState, name: str) -> bool:
    return any(other.kind == "bowl" for other in _containers_below(world, name))


def _reach_into_bowl(world: SceneState, arm: Arm, name: str) -> Iterator[np.ndarray]:
    """Around a thing with the fingers so little open that neither comes down on the bowl's wall."""
    thing, (x, y, z) = world.scene.thing(name), world.position(name)
    roll, narrow = skills.grasp_roll(world, name), opening_around(thing)
    place, offset = np.array([x, y, max(skills.LOWEST_TIP, z - skills.TIP_BELOW_CENTRE)]), thing.half + 0.003
    yield from arm.rise(skills.CARRY)
    yield from arm.move_to(np.array([x, y, skills.CARRY]), roll, grip=narrow, offset=offset)
    yield from arm.line_to(place, roll, grip=narrow, offset=offset)


TASK = Task(
    name="put_down",
    summary="put the named object onto a free place of the table",
    instructions=(
        "put the {target} down on the table",
        "set the {target} down on the table",
        "lay the {target} on a free place of the table",
        "put the {target} onto the table",
        "place the {target} somewhere on the table",
        "put the {target} back on the table",
        "please put the {target} down",
        "can you set the {target} down beside the others",
        "the {target} should lie on the table",
        "move the {target} to a free spot of the table",
        "drop the {target} anywhere on the table",
        "i want the {target} on the table",
    ),
    objects=(*GRASPABLE, *FLOOR),
    actions=("put",),
    max_seconds=10.0,
    hold_seconds=0.3,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
)
