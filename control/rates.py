"""Rates that a joint cannot have been meant to have: what a robot's file says is what acts, or it is refused.

A joint that could break one of its limits by braking against another is held to a lower acceleration by the
safety filter, and one that takes minutes to stop would have it look ahead for minutes at every tick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ideomotor.control.fields import Field

MAX_STOP_S = 3.0  # from full speed, and from full acceleration
MOST = 2.0  # times what can act; what is a little too much acts as that


class LimitedJoint(Protocol):
    """A joint of an embodiment."""

    @property
    def max_velocity(self) -> float: ...
    @property
    def max_acceleration(self) -> float: ...
    @property
    def max_jerk(self) -> float: ...
    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...


def stoppable(
    max_acceleration: np.ndarray, max_jerk: np.ndarray, max_velocity: np.ndarray, span: np.ndarray, hz: float
) -> np.ndarray:
    """Returns whether (A,) braking against one of a joint's limits never runs into the opposite one.

    Going from full acceleration to none takes at most t = a / j + 2 / hz. If a joint is about to break one
    limit and full braking for a tick would break the opposite one, then its speed is below a t and either
    2 a t exceeds the velocity limit or 16 a t² the range `span`. Ordinary robots are far from that.

    Args:
        max_acceleration, max_jerk, max_velocity, span: (A,) each.
        hz: commands a second.
    """
    t = max_acceleration / max_jerk + 2 / hz
    return (2 * max_acceleration * t <= max_velocity) & (16 * max_acceleration * t**2 <= span)


def wrong_rate(velocity: float, acceleration: float, jerk: float, span: float, hz: float) -> tuple[str, str]:
    """Returns which rate of a joint cannot be meant and what was expected of it; both empty if all can.

    Args:
        velocity, acceleration, jerk: its limits, above 0.
        span: of its positions.
        hz: commands a second.
    """
    if velocity > MAX_STOP_S * acceleration:
        most = MAX_STOP_S * acceleration
        return (
            "max_velocity",
            f"at most {most:.4g}, from which max_acceleration stops within {MAX_STOP_S:g} s",
        )
    acts = _most_acceleration(velocity, jerk, span, hz)
    if acceleration > MOST * acts:
        return "max_acceleration", (
            f"at most {_down(MOST * acts):g}: with these max_velocity, max_jerk and range, at {hz:g} Hz, "
            f"{_down(acts):g} is what can act (an environment's targets need no rates: commands: absolute)"
        )
    if acceleration > MAX_STOP_S * jerk:
        most = _down(MAX_STOP_S * jerk)
        return "max_acceleration", f"at most {most:g}, which max_jerk ends within {MAX_STOP_S:g} s"
    return "", ""


def _most_acceleration(velocity: float, jerk: float, span: float, hz: float) -> float:
    """The highest that is `stoppable`, by bisection."""

    def fits(a: float) -> bool:
        one = np.array([a]), np.array([jerk]), np.array([velocity]), np.array([span])
        return bool(stoppable(*one, hz)[0])

    low, high = 0.0, velocity * hz  # at 2 / hz alone, 2 a t would be four times the velocity
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _down(value: float) -> float:
    """Rounded down to four digits, so that what a message says is allowed."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.floor(value / unit) * unit


def check_rates(field: Field, joints: Sequence[LimitedJoint], hz: int) -> None:
    """`UserError` at the section `joints` of an embodiment file for one whose rates cannot act at `hz`."""
    for joint, item in zip(joints, field.items(), strict=True):
        rates = (joint.max_velocity, joint.max_acceleration, joint.max_jerk)
        name, expected = wrong_rate(*rates, joint.upper - joint.lower, float(hz))
        if name:
            raise item.record((*item.value,))[name].fail(expected)
