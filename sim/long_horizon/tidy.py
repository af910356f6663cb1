"""tidy: put every cube, or every cube of a colour, where it belongs.

With two containers that is the one of its colour; with one beside a drawer, whatever the sentence names, and
the drawer is to be closed first, if it is open, or afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.long_horizon import chain
from ideomotor.sim.long_horizon.drawers import draw_aside, has_its_place, ways_are_free
from ideomotor.sim.scene import Scene, Thing
from ideomotor.sim.task import Goal, Task
from ideomotor.sim.tasks.place import WHERE

BEARINGS = (-0.95, 0.95)  # [rad]
CUBES = 3


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    colours = layout.draw_colours(generator, 2)
    kinds = [tuple(WHERE)[index] for index in generator.integers(0, 2, size=2)]
    beside = bool(generator.integers(0, 2))
    placed = draw_aside(generator) if beside else ()
    containers = [(kind, colour, "large") for kind, colour in zip(kinds, colours, strict=True)]
    if beside:
        containers = [(kinds[0], str(generator.choice(list(layout.COLOURS))), "large")]

    def fits(thing: Thing) -> bool:
        return has_its_place(thing, placed)

    things = layout.scatter(generator, containers, placed, gap=0.015, bearings=BEARINGS, fits=fits)
    # Two of the first colour, which differ in size, and one of the second.
    cubes = [("cube", colours[0], "small"), ("cube", colours[0], "large"), ("cube", colours[1], "small")]
    return things and layout.scatter(generator, cubes, things, gap=0.024, bearings=BEARINGS, fits=fits)


def goals(scene: Scene) -> tuple[Goal, ...]:
    """All the cubes, and those of each colour."""
    if not ways_are_free(scene):
        return ()
    cubes = [thing for thing in scene.things if thing.kind == "cube"][::-1]  # begins with the single one
    containers = [thing for thing in scene.things if thing.kind in WHERE]
    drawers = [thing for thing in scene.things if thing.kind == "drawer"]
    if len(cubes) != CUBES or not all(layout.within_reach(cube.position) for cube in cubes):
        return ()
    groups = {f"all the {cube.colour} cubes": [c for c in cubes if c.colour == cube.colour] for cube in cubes}
    groups = {said: group for said, group in groups.items() if len(group) > 1}
    if not drawers:
        found = [goal_of(scene, "every cube", cubes, _of_its_colour(containers), containers)]
        for said, group in groups.items():
            own = [container for container in containers if container.colour == group[0].colour]
            others = [container for container in containers if container not in own]
            found += [goal_of(scene, said, group, _named(scene, one), [one]) for one in (*own, *others)]
        return tuple(found)
    (container,), (drawer,) = containers, drawers
    where = _named(scene, container)
    return tuple(
        goal_of(scene, said, group, where, containers, drawer, drawer_when)
        for said, group in ({"all the cubes": cubes} | groups).items()
        for drawer_when in ("", "first", *(["last"] if drawer.opening else []))
    )


def goal_of(
    scene: Scene,
    said: str,
    cubes: Sequence[Thing],
    where: str,
    containers: Sequence[Thing],
    drawer: Thing | None = None,
    drawer_when: str = "",
) -> Goal:
    """Puts cubes into a container.

    Args:
        said: the cubes, in words.
        where: they go, in words.
        containers: one for all, or of which each cube goes to that of its colour.
        drawer: that is to be closed.
        drawer_when: "first", if it is open; "last", after the cubes; empty: not at all.
    """
    of_colour = {container.colour: container for container in containers}
    alone = containers[0] if len(containers) == 1 else None
    parts = [chain.step_of(scene, cube, alone or of_colour[cube.colour]) for cube in cubes]
    words = {"cubes": said, "destination": where, "first": "", "last": "", "before": ""}
    if drawer and drawer_when:
        name, closing = scene.describe(drawer.name), chain.drawer_step(scene, "close", drawer)
        if drawer_when == "last":
            words["last"] = f", then close the {name}"
            parts.append(closing)
        else:
            words["first"] = f"if the {name} is open, close it first, then "
            words["before"] = f"make sure that the {name} is closed, then "
            parts = [closing, *parts] if drawer.opening else parts
    return chain.chained(parts, words)


def _named(scene: Scene, container: Thing) -> str:
    return f"{WHERE[container.kind]} the {scene.describe(container.name)}"


def _of_its_colour(containers: Sequence[Thing]) -> str:
    kinds = {container.kind for container in containers}
    if len(kinds) > 1:
        return "to the bowl or plate of its colour"
    (kind,) = kinds
    return f"{WHERE[kind]} the {kind} of its colour"


TASK = Task(
    name="tidy",
    summary="put every cube where it belongs",
    instructions=(
        "{first}put {cubes} {destination}{last}",
        "{first}place {cubes} {destination}{last}",
        "{first}move {cubes} {destination}{last}",
        "{first}please put {cubes} {destination}{last}",
        "{first}tidy up: put {cubes} {destination}{last}",
        "{first}drop {cubes} {destination}{last}",
        "{first}clean up: {cubes} {destination}{last}",
        "{first}can you put {cubes} {destination}{last}",
        "{first}pick up {cubes} and put them {destination}{last}",
        "{first}bring {cubes} {destination}{last}",
        "{before}transfer {cubes} {destination}{last}",
        "{before}i would like {cubes} to be put {destination}{last}",
    ),
    objects=("cube", *WHERE, "drawer"),
    actions=("put", "close"),
    max_seconds=90.0,
    hold_seconds=0.5,
    layout=draw_layout,
    goals=goals,
    subtasks=chain.subtasks,
    success=chain.success,
    expert=chain.expert,
)
