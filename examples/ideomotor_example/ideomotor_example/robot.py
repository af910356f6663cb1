"""A robot in a few lines: each axis settles at its command within some milliseconds."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.plugins import RobotPlugin
from ideomotor.control.types import Command, RobotState


class DrawingTable:
    """`control.types.Robot`, with `watch` and `torque_off` besides (control/robots/external_arm.py)."""

    def __init__(self, embodiment: Embodiment, port: str | None) -> None:
        assert embodiment.driver is not None
        self._settle_s = float(embodiment.driver.options["settle_s"])
        self._position = np.array(embodiment.home_position)
        self._velocity = np.zeros_like(self._position)
        self._goal = self._position.copy()
        self._at, self._on = time.monotonic(), False

    def connect(self) -> None:
        self._goal, self._on = self._position.copy(), True

    def watch(self) -> None:
        """It can be read as it is."""

    def read(self) -> RobotState:
        now = time.monotonic()
        if self._on:
            share = 1.0 - np.exp(-(now - self._at) / self._settle_s)
            before, self._position = self._position, self._position + share * (self._goal - self._position)
            self._velocity = (self._position - before) / max(now - self._at, 1e-6)
        self._at = now
        return RobotState(now, self._position.copy(), self._velocity.copy(), np.zeros_like(self._position))

    def write(self, command: Command) -> None:
        self._goal = command.position.copy()

    def hold(self) -> None:
        self._goal = self._position.copy()

    def torque_off(self) -> bool:
        self._on = False
        return True

    def disconnect(self) -> None:
        """There is nothing to close."""


ROBOT = RobotPlugin(Path(__file__).with_name("drawing_table.yaml"), DrawingTable)
