"""A teleoperator in a few lines: nobody's hand, which draws circles. `--leader circle@RADIUS`."""

from __future__ import annotations

import math
import time

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop.teleoperator import FollowerState, TeleopAction

PERIOD_S = 4.0


class Circle:
    """`control.teleop.teleoperator.Teleoperator`; around home, with the first two joints."""

    def __init__(self, embodiment: Embodiment, radius: str | None) -> None:
        try:
            self._radius = float(radius or 0.05)
        except ValueError:
            raise UserError(f"leader: circle: got {radius!r}, expected a radius [m]") from None
        self._center = np.array(embodiment.home_position)
        self._began = math.inf

    def connect(self) -> None:
        self._began = time.monotonic()

    def read(self, state: FollowerState) -> TeleopAction:
        now = time.monotonic()
        angle = 2 * math.pi * (now - self._began) / PERIOD_S
        position = self._center.copy()
        position[:2] += self._radius * np.array([math.cos(angle), math.sin(angle)])
        return TeleopAction(now, position)

    def disconnect(self) -> None:
        """There is nothing to close."""
