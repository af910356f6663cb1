"""Stops an arm that pushes too hard for too long, before its motors burn or switch themselves off.

A servo that is overloaded lets go by itself and drops the arm: the STS3215 by default after 2 s above 80 % of
its stall torque (memory table, addresses 34 to 36). So the arm is held before that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment


@dataclass(frozen=True)
class EffortLimit:
    """What is too much for too long."""

    share: float = 0.8  # of a joint's max_effort
    for_s: float = 1.8  # [s] without a break


class EffortWatch:
    """How long each joint of one robot has been at its limit.

    Grippers are left out: holding a thing at their limit is what they are for, and `max_effort` in the
    embodiment's file is what theirs can keep up.
    """

    def __init__(self, embodiment: Embodiment, limit: EffortLimit) -> None:
        self._joints, self._for_s = embodiment.joints, limit.for_s
        self._limits = limit.share * embodiment.max_effort
        self._limits[[name in embodiment.grippers for name in embodiment.joint_names]] = np.inf
        self.reset()

    def reset(self) -> None:
        """Nothing is over its limit yet."""
        self._since = np.full(len(self._limits), np.inf)  # [s], when each joint was first seen over its limit

    def check(self, effort: np.ndarray, now: float) -> str:
        """Says which joint pushes too hard for too long; empty if none does.

        Args:
            effort: (A,) [N m or N]; NaN where the robot does not report it.
            now: [s], monotonic.
        """
        over = np.abs(effort) > self._limits
        self._since = np.where(over, np.minimum(self._since, now), np.inf)
        longest = int(self._since.argmin())
        held_s = now - self._since[longest]
        if not held_s >= self._for_s:
            return ""
        joint, unit = self._joints[longest], "N m" if self._joints[longest].unit == "rad" else "N"
        return (
            f"effort: {joint.name}: {abs(effort[longest]):.2f} {unit}, "
            f"more than {self._limits[longest]:.2f} {unit} for {held_s:.1f} s"
        )
