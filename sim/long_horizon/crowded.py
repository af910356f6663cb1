"""Placing where other things lie already: a free spot in the container, and fingers that open beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import skills
from ideomotor.sim.layout import bearing_of
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import Thing
from ideomotor.sim.task import Goal, SceneState
from ideomotor.sim.tasks import place

RING = {"plate": 0.022, "bowl": 0.017, "zone": 0.022}  # from the middle to where several things lie [m]
ANGLES = 2 * np.pi * np.arange(8) / 8  # [rad]
TURNS = (0.0, -0.4, 0.4, -0.8, 0.8, -1.2, 1.2)  # of the wrist while it carries [rad]
LARGEST_ROLL = 1.6  # from the radial direction [rad]
JAW = 0.048  # from a thing's middle to the jaw that lets it go [m]
HIGHER = 0.006  # above the usual height, so that the fingers open above what lies there [m]


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
    yield from skills.release(
        world, arm, goal.target, spot, place.DROP[kind] + (HIGHER if others else 0.0), roll=roll
    )


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

    def cost(spot: np.ndarray, turned: float) -> float:
        at, heading = spot[:2], bearing_of(spot) + turned
        opening = np.array([np.cos(heading), np.sin(heading)])
        crowd = 0.0
        for position, radius in around:
            away = np.linalg.norm(position - at) - radius
            fixed = np.linalg.norm(position - at + (thing.half + 0.008) * opening) - radius - 0.008
            sweep = min(
                np.linalg.norm(position - at - reach * opening) for reach in (0.5 * JAW, 0.8 * JAW, JAW)
            )
            crowd += max(0.0, thing.radius + 0.002 - away) + max(0.0, -fixed)
            crowd += max(0.0, radius + 0.008 - sweep)
        return float(200.0 * crowd + abs(turned - roll))

    spots = [
        middle + RING[container.kind] * np.array([np.cos(angle), np.sin(angle), 0.0]) for angle in ANGLES
    ]
    rolls = [roll + turn for turn in TURNS if abs(roll + turn) < LARGEST_ROLL] or [roll]
    options = [(spot, turned) for spot in spots for turned in rolls]
    return min(options, key=lambda option: cost(*option))
