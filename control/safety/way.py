"""The way of a resting arm to a pose, as commands: straight in joint space, else by the home pose.

Along it every joint moves as 10 x³ - 15 x⁴ + 6 x⁵ does, without speed and acceleration at either end, and as
slowly as the slowest one needs. Commands are what the safety filter lets through untouched.
"""

from __future__ import annotations

import math

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.clearance import Clearance

SPEED, SPEED_M = 1.0, 0.1  # [rad/s], [m/s]: the highest speed of a joint, where its own limit allows it
SHARE = 0.5  # of the limits of speed, acceleration and jerk
# The highest first, second and third derivatives of the polynomial.
PEAK_VELOCITY, PEAK_ACCELERATION, PEAK_JERK = 1.875, 5.7735, 60.0
CLOSER = 1e-3  # [m] than where the way begins or ends: what a pose on it may be


def way_to(embodiment: Embodiment, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Returns the commands (T, A) [rad or m] that lead from `start` to `goal`, both (A,), the goal last.

    There is none where the goal is the start.

    Raises:
        UserError: the goal is not within the joints' limits, or something is in the way.
    """
    check_within(embodiment, goal, "way")
    straight = _straight(embodiment, start, goal)
    clearance = Clearance(embodiment, embodiment.geometry) if embodiment.geometry else None
    blocked = _blocked(clearance, straight, start)
    if not blocked:
        return straight
    home = embodiment.home_position
    detour = [_straight(embodiment, start, home), _straight(embodiment, home, goal)]
    if _blocked(clearance, detour[0], start) or _blocked(clearance, detour[1], home):
        raise UserError(
            f"way: {blocked} is in the way to the first pose, and on the way by the home pose too; bring "
            "the arm nearer to it"
        )
    return np.concatenate(detour)


def check_within(embodiment: Embodiment, position: np.ndarray, what: str, tolerance: float = 1e-3) -> None:
    """Raises UserError, beginning with `what`, unless a pose (A,) is within the joints' limits."""
    for joint, value in zip(embodiment.joints, position, strict=True):
        if not joint.lower - tolerance <= value <= joint.upper + tolerance:
            raise UserError(
                f"{what}: {joint.name}: got {value:.3f} {joint.unit}, expected {joint.lower:.3f} to "
                f"{joint.upper:.3f}"
            )


def _straight(embodiment: Embodiment, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(T, A), in a straight line."""
    distance = np.abs(goal - start)
    cap = np.where([joint.unit == "m" for joint in embodiment.joints], SPEED_M, SPEED)
    speed = np.minimum(cap, SHARE * embodiment.max_velocity)
    seconds = np.maximum.reduce(
        [
            PEAK_VELOCITY * distance / speed,
            np.sqrt(PEAK_ACCELERATION * distance / (SHARE * embodiment.max_acceleration)),
            np.cbrt(PEAK_JERK * distance / (SHARE * embodiment.max_jerk)),
        ]
    ).max()
    ticks = math.ceil(seconds * embodiment.control_hz)
    x = np.arange(1, ticks + 1)[:, None] / max(ticks, 1)
    return start + x**3 * (10 - 15 * x + 6 * x**2) * (goal - start)


def _blocked(clearance: Clearance | None, way: np.ndarray, start: np.ndarray) -> str:
    """Which constraint a way (T, A) breaks; empty if none. It may lead out of what its ends break already."""
    if clearance is None or not len(way):
        return ""
    ends = clearance(np.stack([start, way[-1]])).min(0)
    beyond = (clearance(way) - np.minimum(ends, 0.0) + CLOSER).min(0)
    worst = int(beyond.argmin())
    return clearance.names[worst] if beyond[worst] < 0 else ""
