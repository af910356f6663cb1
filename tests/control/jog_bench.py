"""A follower that is where it was commanded to be, a clock that the test moves, and a teleoperator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.teleop.jog import TipKinematics
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction

ROBOT = load_embodiment("so101")
assert ROBOT.geometry is not None
TIP = TipKinematics(ROBOT, ROBOT.geometry)
# Reaching forward over the table, away from every end of a range and from singular poses.
POSE = np.array([0.2, -0.6, 0.6, 0.9, 0.1, 0.5])


class Bench:
    """`ticks` of 120 Hz with one teleoperator.

    Attributes:
        command: (A,) where the follower is; every action that is engaged becomes it.
        actions: all there were.
    """

    def __init__(self, make: Callable[[Callable[[], float]], Any], command: np.ndarray = POSE) -> None:
        self.now, self.command, self.driver = 100.0, command.copy(), DriverName.PERSON
        self.actions: list[TeleopAction] = []
        self.device = make(lambda: self.now)

    def ticks(self, count: int, stuck: bool = False) -> None:
        """`stuck`: the follower does not move."""
        for _ in range(count):
            self.now += 1 / 120
            still = np.zeros_like(self.command)
            state = FollowerState(self.now, self.command, still, still, self.command.copy(), self.driver)
            action = self.device.read(state)
            self.actions.append(action)
            if action.engaged and not stuck:
                self.command = action.position

    @property
    def engaged(self) -> bool:
        return self.actions[-1].engaged

    @property
    def tip(self) -> np.ndarray:
        return TIP.tip(self.command)
