"""What stands in for the safety filter where commands are an environment's: the range of each component.

Neither a delta nor a target of somebody's environment has a rate to limit: an expert of Meta-World goes from
full speed to none in a step, a target of PushT jumps across the table at 10 Hz, and whatever moves smoothly
behind it is the environment's business.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.safety.filter import SafetyFilter


def command_filter(embodiment: Embodiment) -> SafetyFilter | RangeFilter:
    """The last stage before whatever moves."""
    return SafetyFilter(embodiment) if embodiment.targets else RangeFilter(embodiment)


def resting_command(embodiment: Embodiment, position: np.ndarray) -> np.ndarray:
    """Returns the command (A,) that stands for rest before the first one.

    Args:
        position: (D,), what the robot measures. It is where to rest if it tells every component of a command
            by its name, within their ranges; otherwise that is the home pose.
    """
    if embodiment.targets:
        return position
    names = embodiment.state_names
    if embodiment.commands == "deltas" or not set(embodiment.joint_names) <= set(names):
        return embodiment.home_position
    columns = [names.index(name) for name in embodiment.joint_names]
    return np.clip(position[columns], embodiment.lower, embodiment.upper)


class RangeFilter:
    """Keeps commands in their range. Without a target deltas stop, and all others stay as they are."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._lower, self._upper, self._home = embodiment.lower, embodiment.upper, embodiment.home_position
        stays = [name in embodiment.grippers for name in embodiment.joint_names]
        self._stays = np.array(stays) | (embodiment.commands == "absolute")
        self.reset(self._home)

    def reset(self, position: np.ndarray) -> None:
        """Starts with `position` (A,) as the last command."""
        self._last = np.array(position, dtype=np.float64)

    def filter(self, tick: int, target: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the command (A,) float64 and why it is not the target, if so: as `SafetyFilter.filter`."""
        if target is None or not np.isfinite(target).all():
            reasons = ("no_command" if target is None else "not_finite",)
            self._last = np.where(self._stays, self._last, self._home)
        else:
            self._last = np.clip(target, self._lower, self._upper)
            reasons = ("position",) if (self._last != target).any() else ()
        return self._last.copy(), reasons
