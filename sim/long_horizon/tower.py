"""tower: stack three cubes in the order said."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.long_horizon import chain
from ideomotor.sim.scene import Scene, Thing
from ideomotor.sim.task import Goal, Task


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    # Small ones: a large one in the hand would brush against the tower.
    cubes = [("cube", colour, "small") for colour in layout.draw_colours(generator, 3)]
    return layout.scatter(generator, cubes, gap=0.032)


def goals(scene: Scene) -> tuple[Goal, ...]:
    cubes = [
        thing
        for thing in scene.things
        if thing.kind == "cube" and thing.size == "small" and layout.within_reach(thing.position)
    ]
    return tuple(goal_of(scene, *three) for three in permutations(cubes, 3))


def goal_of(scene: Scene, bottom: Thing, middle: Thing, top: Thing) -> Goal:
    """A tower of three cubes."""
    words = {
        "bottom": scene.describe(bottom.name),
        "middle": scene.describe(middle.name),
        "top": scene.describe(top.name),
    }
    parts = [chain.step_of(scene, middle, bottom), chain.step_of(scene, top, middle)]
    return chain.chained(parts, words)


TASK = Task(
    name="tower",
    summary="stack three cubes in the order said",
    instructions=(
        "build a tower: the {bottom} at the bottom, the {middle} on it and the {top} on top",
        "stack the {middle} on the {bottom} and then the {top} on the {middle}",
        "put the {middle} on the {bottom} and the {top} on the {middle}",
        "build a tower with the {bottom} at the bottom, the {middle} in the middle and the {top} on top",
        "make a tower of the {bottom}, the {middle} and the {top} from bottom to top",
        "from bottom to top stack the {bottom}, the {middle} and the {top}",
        "first stack the {middle} on the {bottom}, then put the {top} on the {middle}",
        "please stack the {middle} on the {bottom}, then the {top} on the {middle}",
        "build a tower of three cubes: the {bottom}, then the {middle}, then the {top}",
        "the {top} goes on the {middle} and the {middle} on the {bottom}",
        "can you pile up the {bottom}, the {middle} and the {top} in this order",
        "i want a tower: below the {bottom}, then the {middle}, above it the {top}",
    ),
    objects=("cube",),
    actions=("stack", "put"),
    max_seconds=60.0,
    hold_seconds=0.5,
    layout=draw_layout,
    goals=goals,
    subtasks=chain.subtasks,
    success=chain.success,
    expert=chain.expert,
)
