"""Placing where other things lie already: a free spot in the container, and fingers that open beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import skills
from ideomotor.sim.layout import bearing_of, within_reach
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import Thing
from ideomotor.sim.task import Goal, SceneState
from ideomotor.sim.tasks import place

RADII = {
    "plate": (0.022, 0.027),
    "bowl": (0.017, 0.024),
    "zone": (0.022, 0.027),
}  # of spots to choose from [m]
ANGLES = 2 * np.pi * np.arange(16) / 16  # [rad]
TURNS = (0.0, -0.4, 0.4, -0.8, 0.8, -1.2, 1.2)  # of the wrist while it carries [rad]
LARGEST_ROLL = 1.6  # from the radial direction [rad]
FINGER = 0.007  # half a finger's thickness, with room [m]
HIGHER = 0.004  # above the usual height, so that the fingers open above what lies there [m]
GAP, RATE = 0.024, 0.073  # between the fingertips at 0 rad [m], and how it grows [m/rad]
FREE = 0.014  # by which that gap is wider than what it lets go [m]


def put_among(world: SceneState, arm: Arm, goal: Goal, sharing: int) -> Iterator[np.ndarray]:
    """The expert of `place` where `sharing` things are to lie in one container in the end."""
    others = _lying_in(world, goal)
    if sharing < 2 and not others:
        yield from place.expert(world, arm, goal)
        return
    if not world.holding(goal.target):
        yield from skills.grasp(world, arm, goal.target)
    kind = world.scene.thing(goal.place).kind
    spot, roll = _free_spot(world, arm, goal, others)
    drop = place.DROP[kind] + (HIGHER if others else 0.0)
    wide = opening_around(world.scene.thing(goal.target))
    yield from skills.release(world, arm, goal.target, spot, drop, roll=roll, opening=wide)


def opening_around(thing: Thing) -> float:
    """The gripper's position [rad] with which the fingers are only just open around a thing."""
    return (2 * thing.half + FREE - GAP) / RATE


def _lying_in(world: SceneState, goal: Goal) -> list[Thing]:
    """The other things that lie in, or lean on, the container."""
    middle = world.position(goal.place)
    return [
        thing
        for thing in world.scene.things
        if thing.graspable
        and thing.name != goal.target
        and np.hypot(*(world.position(thing.name) - middle)[:2]) < place.INSIDE["plate"] + 0.02
    ]


def _free_spot(world: SceneState, arm: Arm, goal: Goal, others: list[Thing]) -> tuple[np.ndarray, float]:
    """Where in its container to let a thing go, (3,) [m], and the roll with which to [rad]."""
    thing, container = world.scene.thing(goal.target), world.scene.thing(goal.place)
    middle, roll = world.position(goal.place), arm.roll()
    around = [(world.position(other.name)[:2], other.radius) for other in others]

    jaw = thing.half + FREE + FINGER  # from the thing's middle to the open jaw's

    def cost(spot: np.ndarray, turned: float) -> float:
        at, heading = spot[:2], bearing_of(spot) + turned
        opening = np.array([np.cos(heading), np.sin(heading)])
        crowd = 0.0
        for position, radius in around:
            gaps = (
                np.linalg.norm(position - at) - thing.radius - radius,
                np.linalg.norm(position - at + (thing.half + FINGER) * opening) - radius - FINGER,
                np.linalg.norm(position - at - jaw * opening) - radius - FINGER,
            )
            crowd += sum(max(0.0, -float(gap)) for gap in gaps)
        return 200.0 * crowd + abs(turned - roll)

    spots = [
        middle + radius * np.array([np.cos(angle), np.sin(angle), 0.0])
        for radius in RADII[container.kind]
        for angle in ANGLES
    ]
    spots = [spot for spot in spots if within_reach(spot)] or spots
    rolls = [roll + turn for turn in TURNS if abs(roll + turn) < LARGEST_ROLL] or [roll]
    options = [(spot, turned) for spot in spots for turned in rolls]
    return min(options, key=lambda option: cost(*option))
