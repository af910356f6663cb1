"""What was measured last of an arm's joints, in servo counts, and how far it can be trusted."""

from __future__ import annotations

import numpy as np

from ideomotor.control.robots.family import Motion
from ideomotor.control.robots.joint_scale import JointScale
from ideomotor.control.types import RobotState


class MeasuredJoints:
    """The newest measurements; a joint that was not measured for `stale_after` [s] is NaN."""

    def __init__(self, joints: JointScale, stale_after: float) -> None:
        self._joints, self._stale_after = joints, stale_after
        count = len(joints.scale)
        self._at = np.full(count, -np.inf)  # [s]
        self._counts, self._speed, self._load = np.full((3, count), np.nan)

    def forget(self) -> None:
        """The arm may have been moved by others: measurements start anew."""
        self._at[:] = -np.inf

    def take(self, i: int, motion: Motion, turns: int, now: float) -> str:
        """Takes over what joint `i` says at `now` [s]; says why not, if its position cannot be true.

        Args:
            turns: counts of whole turns in it.
        """
        counts = float(motion.counts - turns)
        if np.isfinite(self._at[i]):
            possible = self._joints.jump[i] + self._joints.max_speed[i] * (now - self._at[i])
            if abs(counts - self._counts[i]) > possible:
                return f"{counts:.0f} counts after {self._counts[i]:.0f}"
        self._counts[i], self._speed[i], self._load[i] = counts, motion.speed, motion.effort
        self._at[i] = now
        return ""

    def state(self, now: float) -> RobotState:
        """Of all joints; its time is when the oldest of them was measured."""
        counts = np.where(now - self._at > self._stale_after, np.nan, self._counts)
        oldest = self._at.min()
        return RobotState(
            time=float(oldest) if np.isfinite(oldest) else now - self._stale_after,
            position=self._joints.position(counts),
            velocity=self._joints.velocity(self._speed),
            effort=self._joints.effort(self._load),
        )
