"""The hand as its joint alone tells: when it closes and when it opens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TURN = 0.12  # by which a hand has opened or closed that does so [rad]


@dataclass
class Hand:
    """Follows the gripper's joint position [rad], which grows as the hand opens."""

    closed: bool = False
    extreme: float = np.nan  # the widest since it opened, or the narrowest since it closed [rad]

    def turn(self, position: float) -> str:
        """ "closes" or "opens" at the moment at which it has begun to; else ""."""
        if np.isnan(self.extreme):
            self.extreme = position
        self.extreme = min(self.extreme, position) if self.closed else max(self.extreme, position)
        if abs(position - self.extreme) <= TURN:
            return ""
        self.closed, self.extreme = not self.closed, position
        return "closes" if self.closed else "opens"
