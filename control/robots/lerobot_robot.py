"""One of LeRobot's robots as ours: a robot of the section `driver` (`external_arm.py`).

    driver: {name: lerobot, options: {type: so101_follower, config: {id: left}}}

`config` are fields of its config; `units` ({joint: degrees, range_m100_100 or range_0_100}) are for robots
whose motors do not say what they are in. LeRobot's calibration is used, and has to exist. Its robots switch
their motors on when they are connected, where they stand, and off when they are disconnected.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.lerobot_config import (
    LerobotUnits,
    check_features,
    make_device,
    units_of,
    values_of,
)
from ideomotor.control.types import Command, RobotState

OPTIONS = ("type", "config", "units")


class LerobotRobot:
    """`control.types.Robot`; without `torque_off`, since `disconnect` is what lets it go."""

    def __init__(self, embodiment: Embodiment, port: str | None) -> None:
        """Raises UserError: LeRobot or the type is missing, or its joints are others."""
        assert embodiment.driver is not None
        options = dict(embodiment.driver.options)
        unknown = sorted({*options} - {*OPTIONS})
        if unknown or "type" not in options:
            got = ", ".join(unknown) or "no type"
            raise UserError(f"{embodiment.name}: driver.options: got {got}, expected {', '.join(OPTIONS)}")
        self._type = str(options["type"])
        self._robot: Any = make_device("robot", self._type, port or "", options.get("config", {}))
        for which in ("action_features", "observation_features"):
            check_features(self._type, self._robot, which, embodiment)
        self._names = embodiment.joint_names
        self._units = LerobotUnits(embodiment, units_of(self._robot, embodiment, options.get("units", {})))
        self._last: RobotState | None = None

    def connect(self) -> None:
        """Connects it, which switches its motors on; its first goal is where it stands.

        Raises:
            UserError: it cannot be connected, or is not calibrated.
        """
        try:
            self._robot.connect(calibrate=False)
        except Exception as error:
            raise UserError(f"lerobot: {self._type}: {' '.join(str(error).split())}") from error
        if not self._robot.is_calibrated:
            self._robot.disconnect()
            raise UserError(
                f"lerobot: {self._type}: it is not calibrated, or another arm's calibration is in its "
                f"motors; calibrate it with lerobot-calibrate --robot.type={self._type}"
            )
        self.hold()

    def take_over(self) -> None:
        """Opens its line and nothing else, where it has one: its motors are on already."""
        if (bus := getattr(self._robot, "bus", None)) is None:
            self._robot.connect(calibrate=False)
        else:
            bus.connect(handshake=False)

    def read(self) -> RobotState:
        """OSError if it cannot be read now."""
        observation, now = self._robot.get_observation(), time.monotonic()
        position = self._units.to_ours(values_of(observation, self._names))
        velocity = np.zeros_like(position)
        if self._last is not None and now > self._last.time:
            velocity = (position - self._last.position) / (now - self._last.time)
        self._last = RobotState(now, position, velocity, np.full_like(position, np.nan))
        return self._last

    def write(self, command: Command) -> None:
        self._send(command.position)

    def hold(self) -> None:
        self._send(self.read().position)

    def disconnect(self) -> None:
        if self._robot.is_connected:
            self._robot.disconnect()

    def _send(self, position: np.ndarray) -> None:
        values = self._units.to_theirs(position)
        action = {f"{name}.pos": float(value) for name, value in zip(self._names, values, strict=True)}
        self._robot.send_action(action)
