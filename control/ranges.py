"""What stands in for the safety filter where commands are deltas: the range of each component.

A delta has no rate to limit: an expert of Meta-World goes from full speed to none in a tick, and whatever
moves smoothly behind it is the environment's business.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.safety import SafetyFilter


def command_filter(embodiment: Embodiment) -> SafetyFilter | RangeFilter:
    """The last stage before whatever moves."""
    return SafetyFilter(embodiment) if embodiment.targets else RangeFilter(embodiment)


class RangeFilter:
    """Keeps deltas in their range; without a target it commands to stop and leaves grippers as they are."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._lower, self._upper, self._home = embodiment.lower, embodiment.upper, embodiment.home_position
        self._grips = np.array([name in embodiment.grippers for name in embodiment.joint_names])
        self.reset(self._home)

    def reset(self, position: np.ndarray) -> None:
        """Starts with `position` (A,) as the last command."""
        self._last = np.array(position, dtype=np.float64)

    def filter(self, tick: int, target: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the command (A,) float64 and why it is not the target, if so: as `SafetyFilter.filter`."""
        if target is None or not np.isfinite(target).all():
            reasons = ("no_command" if target is None else "not_finite",)
            self._last = np.where(self._grips, self._last, self._home)
        else:
            self._last = np.clip(target, self._lower, self._upper)
            reasons = ("position",) if (self._last != target).any() else ()
        return self._last.copy(), reasons
