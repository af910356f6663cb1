"""Scenes with drawers: where they stand, and what must stay free for their trays, handles and the hand."""

from __future__ import annotations

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.scene import DRAWER_HALF, DRAWER_TRAVEL, HANDLE_REACH, Scene, Thing
from ideomotor.sim.tasks.drawer import START_OPEN

HAND_HALF = 0.045  # of the hand's width at a handle, with room [m]
HAND_REACH = 0.045  # that the hand needs before an open drawer's handle [m]
SEEN = 0.185  # half the width of the table that the front camera sees well [m]


def draw_two(generator: np.random.Generator) -> tuple[Thing, ...]:
    """Two drawers side by side, each open or closed, into which things can be put."""
    x, y = generator.uniform(0.330, 0.345), generator.uniform(-0.02, 0.02)
    spread = DRAWER_HALF[1] + generator.uniform(0.004, 0.012)
    colours = layout.draw_colours(generator, 2)
    return tuple(
        Thing(
            name=f"thing{index}", kind="drawer", colour=colour, position=(x, y + side * spread),
            opening=START_OPEN * int(generator.integers(0, 2)), hollow=True,
        )
        for index, (colour, side) in enumerate(zip(colours, (1, -1), strict=True))
    )  # fmt: skip


def draw_aside(generator: np.random.Generator) -> tuple[Thing, ...]:
    """One drawer on the left or on the right, open or closed, that leaves room for other things."""
    side = generator.choice((-1.0, 1.0))
    position = (float(generator.uniform(0.330, 0.345)), float(side * generator.uniform(0.065, 0.085)))
    colour = layout.draw_colours(generator, 1)[0]
    opening = START_OPEN * int(generator.integers(0, 2))
    return (Thing(name="thing0", kind="drawer", colour=colour, position=position, opening=opening),)


def has_its_place(thing: Thing, drawers: tuple[Thing, ...]) -> bool:
    """Whether a thing is beside the drawers' ways, and well in the picture."""
    return abs(thing.position[1]) + thing.radius < SEEN and out_of_the_way(thing, drawers)


def out_of_the_way(thing: Thing, drawers: tuple[Thing, ...]) -> bool:
    """Whether a thing is beside the way of the drawers' trays and of the hand at their handles."""
    x, y = thing.position
    for drawer in drawers:
        front = drawer.position[0] - DRAWER_HALF[0] - HANDLE_REACH - DRAWER_TRAVEL - HAND_REACH
        across = abs(y - drawer.position[1]) - thing.radius
        if x + thing.radius > front and across < max(DRAWER_HALF[1] + 0.006, HAND_HALF):
            return False
    return True


def ways_are_free(scene: Scene) -> bool:
    """Whether everything that can move is out of the drawers' ways."""
    drawers = tuple(thing for thing in scene.things if thing.kind == "drawer")
    return all(
        out_of_the_way(thing, drawers) for thing in scene.things if thing.kind not in ("drawer", "zone")
    )
