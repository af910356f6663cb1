"""kit: bring the objects of a list to the tray, and none else.

The tray is the one bowl or plate of the scene, and is called so.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.long_horizon import chain, relations
from ideomotor.sim.long_horizon.drawers import draw_aside, has_its_place, ways_are_free
from ideomotor.sim.scene import GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Task
from ideomotor.sim.tasks.place import WHERE

BEARINGS = (-0.95, 0.95)  # [rad]
OBJECTS = 4


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    beside = bool(generator.integers(0, 2))
    placed = draw_aside(generator) if beside else ()
    kind = tuple(WHERE)[generator.integers(0, 2)]
    tray = [(kind, layout.draw_colours(generator, 1)[0], "large")]
    drawn = layout.draw_objects(generator, OBJECTS - beside, twin=0.0)
    objects = [(kind, colour, "small") for kind, colour, _ in drawn]  # several of them share the tray

    def fits(thing: Thing) -> bool:
        return has_its_place(thing, placed)

    things = layout.scatter(generator, tray, placed, gap=0.015, bearings=BEARINGS, fits=fits)
    return things and layout.scatter(generator, objects, things, gap=0.024, bearings=BEARINGS, fits=fits)


def goals(scene: Scene) -> tuple[Goal, ...]:
    """Every two or three of the objects, not all of them."""
    if not ways_are_free(scene):
        return ()
    trays = [thing for thing in scene.things if thing.kind in WHERE]
    drawers = [thing for thing in scene.things if thing.kind == "drawer"]
    objects = [t for t in scene.things if t.kind in GRASPABLE]
    able = [t for t in objects if t.size == "small" and layout.within_reach(t.position)]
    chosen = [group for count in (2, 3) if count < len(objects) for group in combinations(able, count)]
    (tray,) = trays
    drawer = drawers[0] if drawers else None
    return tuple(
        goal_of(scene, group, tray, condition)
        for group in chosen
        for condition in dict.fromkeys((None, drawer))
    )


def goal_of(scene: Scene, things: Sequence[Thing], tray: Thing, drawer: Thing | None = None) -> Goal:
    """A kit of some things; if there is a drawer, it is to be closed first, if it is open."""
    names = [f"the {scene.describe(thing.name)}" for thing in things]
    words = {
        "list": ", ".join(names[:-1]) + f" and {names[-1]}",
        "enumeration": "; ".join(names),
        "tray": scene.describe(tray.name),
        "in": "in" if tray.kind == "bowl" else "on",
        "onto": WHERE[tray.kind],
        "first": "",
        "before": "",
    }
    parts = [chain.step_of(scene, thing, tray) for thing in things]
    if drawer:
        name = scene.describe(drawer.name)
        words["first"] = f"if the {name} is open, close it first, then "
        words["before"] = f"make sure that the {name} is closed, then "
        parts = [chain.drawer_step(scene, "close", drawer), *parts] if drawer.opening else parts
    return chain.chained(parts, words)


def success(world: SceneState, goal: Goal) -> bool:
    listed = {step.target for step in chain.steps(goal)}
    tray = chain.steps(goal)[-1].place
    others = [t.name for t in world.scene.things if t.graspable and t.name not in listed]
    none_else = not any(relations.in_container(world, other, tray) for other in others)
    return none_else and chain.success(world, goal)


TASK = Task(
    name="kit",
    summary="bring the objects of a list to the tray, and none else",
    instructions=(
        "{first}put {list} {onto} the {tray}, and nothing else",
        "{first}place {list} {onto} the {tray} and nothing else",
        "{first}put only {list} {onto} the {tray}",
        "{first}pack a kit: {list} {onto} the {tray}, nothing else",
        "{first}make a kit of {list} {in} the {tray}",
        "{first}please put just {list} {onto} the {tray}",
        "{first}move {list} {onto} the {tray} and leave the rest",
        "{first}bring {list} to the {tray}, nothing else",
        "{first}i need a kit: {list}, all {onto} the {tray}",
        "{first}the kit is {list}: put it {onto} the {tray}",
        "{before}assemble a kit from {list} {in} the {tray}",
        "{before}for the kit take {list}, no other things, and put them {onto} the {tray}",
    ),
    objects=(*GRASPABLE, *WHERE, "drawer"),
    actions=("put", "close"),
    max_seconds=90.0,
    hold_seconds=0.5,
    layout=draw_layout,
    goals=goals,
    subtasks=chain.subtasks,
    success=success,
    expert=chain.expert,
)
