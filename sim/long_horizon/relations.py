"""What is true of things now, from the simulator's state: who lies in, on or under what."""

from __future__ import annotations

import numpy as np

from ideomotor.sim.scene import DRAWER_HALF, DRAWER_TRAVEL, HANDLE_REACH
from ideomotor.sim.task import SceneState
from ideomotor.sim.tasks import drawer, place, stack

PILE = 0.050  # how far above the table the lowest point of a thing in a container may be [m]
TRAY = (DRAWER_HALF[0] - 0.009, DRAWER_HALF[1] - 0.010, 2 * DRAWER_HALF[2])  # half lengths, height [m]


def at_rest(world: SceneState, name: str, still: float = place.STILL) -> bool:
    """Whether a thing lies still and no finger touches it."""
    return world.speed(name) < still and not world.touching(name)


def in_container(world: SceneState, thing: str, container: str) -> bool:
    """Whether a thing lies in a bowl, on a plate or on a zone, or on what lies there."""
    kind, half = world.scene.thing(container).kind, world.scene.thing(thing).half
    offset = world.position(thing) - world.position(container)
    over = float(np.hypot(*offset[:2])) < place.INSIDE[kind]
    return over and world.position(thing)[2] < PILE + half and at_rest(world, thing)


def on_top(world: SceneState, top: str, base: str) -> bool:
    """Whether a cube stands on another one."""
    upper, lower = world.scene.thing(top).half, world.scene.thing(base).half
    offset = world.position(top) - world.position(base)
    rises = abs(offset[2] - upper - lower) < stack.HEIGHT_TOLERANCE
    return bool(rises and np.hypot(*offset[:2]) < lower) and at_rest(world, top, stack.STILL)


def in_tray(world: SceneState, thing: str, name: str) -> bool:
    """Whether a thing lies in a drawer, open or closed."""
    x, y, height = world.position(thing) - middle_of_tray(world, name)
    length, width, top = TRAY
    return bool(abs(x) < length and abs(y) < width and height < top) and at_rest(world, thing)


def middle_of_tray(world: SceneState, name: str) -> np.ndarray:
    """(3,) [m] on the table below the middle of a drawer's tray."""
    handle = world.position(name)
    return np.array([handle[0] + HANDLE_REACH + DRAWER_HALF[0], handle[1], 0.0])


def is_open(world: SceneState, name: str) -> bool:
    """Whether a drawer is as open as one that was asked to be opened has to be."""
    return world.slide(name) > drawer.OPENED


def is_closed(world: SceneState, name: str) -> bool:
    """Whether a drawer is closed."""
    return world.slide(name) < drawer.CLOSED


def half_open(world: SceneState, name: str) -> bool:
    """Whether a drawer is neither open nor closed."""
    return drawer.CLOSED <= world.slide(name) <= min(drawer.OPENED, DRAWER_TRAVEL)
