"""stow: put the named object into the named drawer, which is open.

A skill that `fetch` needs beside the built-in ones; a task of its own, so that a policy can be trained for
it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.long_horizon import relations
from ideomotor.sim.long_horizon.drawers import draw_two, has_its_place, ways_are_free
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import GRASPABLE, TRAY_FLOOR, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task

DROP = 0.026  # of the object's bottom over the tray's floor: the fingers stay above the drawer's front [m]
BEARINGS = (-1.05, 1.05)  # beside the drawers [rad]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    drawers = draw_two(generator)
    if not any(drawer.opening for drawer in drawers):
        return None
    return draw_beside(generator, drawers, 3)


def draw_beside(
    generator: np.random.Generator, drawers: tuple[Thing, ...], count: int
) -> tuple[Thing, ...] | None:
    """The drawers and small objects, which fit into them, where they can be grasped and are in no way."""
    small = [
        (kind, colour, "small") for kind, colour, _ in layout.draw_objects(generator, count, twin=0.0)
    ]  # fmt: skip

    def fits(thing: Thing) -> bool:
        return has_its_place(thing, drawers)

    return layout.scatter(generator, small, drawers, gap=0.024, bearings=BEARINGS, fits=fits)


def goals(scene: Scene) -> tuple[Goal, ...]:
    if not ways_are_free(scene):
        return ()
    things = [t for t in scene.things if goes_in(t) and layout.within_reach(t.position)]
    drawers = [thing for thing in scene.things if thing.kind == "drawer" and thing.opening]
    return tuple(goal_of(scene, thing, drawer) for thing in things for drawer in drawers)


def goes_in(thing: Thing) -> bool:
    """Whether a thing can be put into a drawer."""
    return thing.kind in GRASPABLE and thing.size == "small"


def goal_of(scene: Scene, thing: Thing, drawer: Thing) -> Goal:
    words = {"target": scene.describe(thing.name), "place": scene.describe(drawer.name)}
    return Goal(thing.name, drawer.name, words)


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name, drawer = goal.words["target"], goal.words["place"]

    def is_above(world: SceneState) -> bool:
        offset = world.position(goal.target) - relations.middle_of_tray(world, goal.place)
        return bool(np.hypot(*offset[:2]) < relations.TRAY[0])

    return (
        Subtask(f"grasp the {name}", goal, lambda world: world.holding(goal.target)),
        Subtask(f"carry the {name} to the {drawer}", goal, is_above),
        Subtask(f"put the {name} into the {drawer}", goal, lambda world: success(world, goal)),
    )


def success(world: SceneState, goal: Goal) -> bool:
    return relations.in_tray(world, goal.target, goal.place)


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    spot = relations.middle_of_tray(world, goal.place) + (0, 0, TRAY_FLOOR)
    yield from skills.put(world, arm, goal.target, spot, DROP, success(world, goal))


TASK = Task(
    name="stow",
    summary="put the named object into the named open drawer",
    instructions=(
        "put the {target} into the {place}",
        "place the {target} into the {place}",
        "drop the {target} into the {place}",
        "put the {target} in the open {place}",
        "move the {target} into the {place}",
        "pick up the {target} and put it into the {place}",
        "please put the {target} into the {place}",
        "can you lay the {target} into the {place}",
        "the {target} goes into the {place}",
        "stow the {target} in the {place}",
        "store the {target} inside the {place}",
        "the {target} should end up in the {place}",
        "take the {target} and leave it in the {place}",
        "i want the {target} inside the {place}",
    ),
    objects=(*GRASPABLE, "drawer"),
    actions=("put",),
    max_seconds=10.0,
    hold_seconds=0.3,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
)
