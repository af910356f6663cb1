"""Stops an arm when a joint does not follow: frozen, blocked, too weak, or limited by its servo.

A joint is always behind its command, by a time more than by a distance: so it is compared with all commands
of the last moment (`LAG_S`), and is in error by how far it is from all of them. What is left in ordinary
motion is sag and contact (figures: docs/safety.md). Limits of error and time are the embodiment's.

A gripper that holds a thing is far from its command too, and pushes. Where the servos tell their effort, a
gripper that pushes towards its command is no fault; where they do not, grippers are not watched.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.types import RobotState

LAG_S = 0.25  # by which a joint may follow later
PUSHES = 0.25  # share of a gripper's max_effort that is a grip


class FollowingWatch:
    """How far each joint of one robot is from its commands, and since when too far.

    Attributes:
        errors: (A,) of the newest state [rad or m]; NaN where a joint was not measured.
    """

    def __init__(self, embodiment: Embodiment, enabled: bool = True) -> None:
        self._joints, self._for_s = embodiment.joints, embodiment.following_s
        self._limits = embodiment.max_following_error if enabled else np.full(len(self._joints), np.inf)
        self._grips = np.array([name in embodiment.grippers for name in embodiment.joint_names])
        self._grip_effort = PUSHES * embodiment.max_effort
        ticks = max(round(LAG_S * embodiment.control_hz), 1)
        self._recent = np.empty((ticks, len(self._joints)))  # commands, in any order
        self._lowest, self._highest = np.empty((2, len(self._joints)))
        self.reset(embodiment.home_position)

    def reset(self, position: np.ndarray) -> None:
        """The commands so far were all `position` (A,); nothing is in error yet."""
        self._recent[:] = position
        self._next = 0
        self._since = np.full(len(self._joints), np.inf)  # [s], when each joint was first seen too far
        self._over = np.zeros(len(self._joints), bool)
        self.errors = np.zeros(len(self._joints))

    def check(self, command: np.ndarray, state: RobotState, is_new: bool, now: float) -> str:
        """Says which joint has not followed for too long; empty if all do, as far as is known.

        Args:
            command: (A,), the newest that was sent [rad or m].
            state: the newest of the robot. What was not measured is neither in error nor in order.
            is_new: the state was not seen at an earlier tick.
            now: [s], monotonic.
        """
        self._recent[self._next] = command
        self._next = (self._next + 1) % len(self._recent)
        if not is_new:
            return ""
        self._recent.min(axis=0, out=self._lowest)
        self._recent.max(axis=0, out=self._highest)
        position, effort = state.position, state.effort
        above, below = position - self._highest, self._lowest - position
        self.errors = np.maximum(np.maximum(above, below), 0.0)
        over = self.errors > self._limits
        if self._grips.any():
            pushes = np.where(above > 0.0, -effort, effort) >= self._grip_effort
            over &= ~self._grips | (np.isfinite(effort) & ~pushes)
        self._over = over
        held = np.where(over, np.minimum(self._since, now), np.inf)
        self._since = np.where(np.isnan(position), self._since, held)
        stuck = over & (now - self._since >= self._for_s)
        return (
            self._words(int(np.where(stuck, self._since, np.inf).argmin()), state, now) if stuck.any() else ""
        )

    def within_reach(self, command: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Returns the command (A,) with those joints where they are that do not follow: a grip is kept."""
        return np.where(self._over, position, command)

    def _words(self, worst: int, state: RobotState, now: float) -> str:
        joint, effort = self._joints[worst], abs(state.effort[worst])
        why = ""
        if np.isfinite(effort):
            pushes = effort >= PUSHES * joint.max_effort
            why = f"; it pushes with {effort:.2f} {joint.effort_unit}, " + (
                "and something holds it or it is too weak" if pushes else "so what limits it is in its servo"
            )
        error, limit, held_s = self.errors[worst], self._limits[worst], now - self._since[worst]
        return (
            f"not following: {joint.name}: {error:.2f} {joint.unit} from its commands, "
            f"expected at most {limit:.2f} {joint.unit}, for {held_s:.1f} s{why}"
        )
