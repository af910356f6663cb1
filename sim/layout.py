"""Where things stand at the start: random, reachable, and not on top of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ideomotor.sim.motion import PAN_AXIS
from ideomotor.sim.scene import COLOURS, GRASPABLE, SIZES, Thing

RADII = (0.135, 0.255)  # distance from the shoulder pan's axis at which the arm grasps well [m]
BEARINGS = (-0.80, 0.80)  # [rad]
GAP = 0.022  # between the circles around two things: a finger and some room [m]


def draw_spot(
    generator: np.random.Generator,
    radii: tuple[float, float] = RADII,
    bearings: tuple[float, float] = BEARINGS,
) -> tuple[float, float]:
    """A random spot, uniform over the area of the reachable sector; x, y [m]."""
    radius = np.sqrt(generator.uniform(radii[0] ** 2, radii[1] ** 2))
    bearing = generator.uniform(*bearings)
    return (float(PAN_AXIS[0] + radius * np.cos(bearing)), float(PAN_AXIS[1] + radius * np.sin(bearing)))


def within_reach(spot: Sequence[float] | np.ndarray, margin: float = 0.0) -> bool:
    """Whether the arm works well above `spot`, `margin` [m] from the edge of its sector."""
    offset = np.asarray(spot)[:2] - PAN_AXIS
    radius, bearing = float(np.hypot(*offset)), abs(float(np.arctan2(offset[1], offset[0])))
    return RADII[0] - 0.01 + margin <= radius <= RADII[1] + 0.01 - margin and bearing < 1.15


def bearing_of(spot: Sequence[float] | np.ndarray) -> float:
    """Direction of `spot` from the shoulder pan's axis [rad]."""
    return float(np.arctan2(spot[1] - PAN_AXIS[1], spot[0] - PAN_AXIS[0]))


def free(thing: Thing, others: Sequence[Thing], gap: float = GAP) -> bool:
    """Whether `thing` keeps `gap` [m] to all `others`."""
    return all(
        np.hypot(*np.subtract(thing.position, other.position)) >= thing.radius + other.radius + gap
        for other in others
    )


def scatter(
    generator: np.random.Generator, wanted: Sequence[tuple[str, str, str]], placed: Sequence[Thing] = (),
    radii: tuple[float, float] = RADII, gap: float = GAP, bearings: tuple[float, float] = BEARINGS,
    fits: Callable[[Thing], bool] | None = None,
) -> tuple[Thing, ...] | None:  # fmt: skip
    """Stands things at random free spots.

    Args:
        generator: random numbers.
        wanted: (kind, colour, size) of each thing.
        placed: things that are there already; the result begins with them.
        radii: range of distances from the shoulder [m].
        gap: room between two things [m].
        bearings: range of directions from the shoulder [rad].
        fits: what else a spot has to satisfy.

    Returns:
        All things, named thing0, thing1, …, or None if there was no room.
    """
    things = list(placed)
    for kind, colour, size in wanted:
        for _ in range(60):
            thing = Thing(
                name=f"thing{len(things)}",
                kind=kind,
                colour=colour,
                size=size,
                position=draw_spot(generator, radii, bearings),
                yaw=float(generator.uniform(-np.pi / 4, np.pi / 4)) if kind in GRASPABLE else 0.0,
                half=SIZES[size],
            )
            if free(thing, things, gap) and (fits is None or fits(thing)):
                things.append(thing)
                break
        else:
            return None
    return tuple(things)


def rearranged(generator: np.random.Generator, things: Sequence[Thing], stays: str = "") -> tuple[Thing, ...]:
    """Stands what can be grasped at other free spots, as a person does between two demonstrations.

    Args:
        generator: random numbers.
        things: that stand on the table.
        stays: name of one that stays where it is, as all do that cannot be grasped.

    Returns:
        The same things in the same order; where there is no room, they are where they were.
    """
    moved = [thing for thing in things if thing.graspable and thing.name != stays]
    rest = [thing for thing in things if thing not in moved]
    placed = scatter(generator, [(thing.kind, thing.colour, thing.size) for thing in moved], rest)
    if placed is None:
        return tuple(things)
    spots = dict(zip((thing.name for thing in moved), placed[len(rest) :], strict=True))
    return tuple(
        replace(thing, position=spots[thing.name].position, yaw=spots[thing.name].yaw)
        if thing.name in spots
        else thing
        for thing in things
    )


def draw_objects(
    generator: np.random.Generator, count: int, kinds: Sequence[str] = GRASPABLE, twin: float = 0.2
) -> list[tuple[str, str, str]]:
    """`count` distinct (kind, colour, size); with probability `twin` two of them differ by size only."""
    pairs = [(kind, colour) for kind in kinds for colour in COLOURS]
    chosen = [pairs[index] for index in generator.permutation(len(pairs))[:count]]
    sizes = [("small", "large")[index] for index in generator.integers(0, 2, size=count)]
    if count > 1 and generator.random() < twin:
        chosen[-1] = chosen[0]
        sizes[-1] = "small" if sizes[0] == "large" else "large"
    return [(kind, colour, size) for (kind, colour), size in zip(chosen, sizes, strict=True)]


def draw_colours(generator: np.random.Generator, count: int) -> list[str]:
    """`count` different colours."""
    names = list(COLOURS)
    return [names[index] for index in generator.permutation(len(names))[:count]]
