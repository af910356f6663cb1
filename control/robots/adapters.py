"""A robot whose `disconnect` switches the motors off (`Switchable`), as the control process takes it.

`KeepTorqueOn` is for driving it, `ReadOnly` for a rehearsal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ideomotor.control.capabilities import LEFT_ON, RobotFault, Switchable, TellsHealth
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.types import Command, RobotState


class _Healthy:
    """A robot's own measurements of its servos; NaN where it has none."""

    robot: Switchable

    @property
    def temperature(self) -> np.ndarray:
        return self._measured("temperature")

    @property
    def voltage(self) -> np.ndarray:
        return self._measured("voltage")

    def _measured(self, name: str) -> np.ndarray:
        count = len(self.robot.embodiment.joints)
        return getattr(self.robot, name) if isinstance(self.robot, TellsHealth) else np.full(count, np.nan)


class KeepTorqueOn(_Healthy):
    """Such a robot for the control process: leaving it does not drop the arm, only `torque_off` does."""

    def __init__(self, robot: Switchable) -> None:
        self.robot = robot

    @property
    def embodiment(self) -> Embodiment:
        return self.robot.embodiment

    def connect(self) -> None:
        self.robot.connect()

    def take_over(self) -> None:
        self.robot.take_over()

    def read(self) -> RobotState:
        return self.robot.read()

    def write(self, command: Command) -> None:
        self.robot.write(command)

    def hold(self) -> None:
        self.robot.hold()

    def torque_off(self) -> bool | None:
        """For the last state of the safe stop, at the home pose."""
        self.robot.disconnect(torque_off=True)
        return not any(fault.name == LEFT_ON for fault in self.robot.faults())

    def disconnect(self) -> None:
        """Motors that are on stay on."""
        self.robot.disconnect(torque_off=False)

    def rearm(self) -> None:
        self.robot.rearm()

    def goal(self) -> np.ndarray:
        return self.robot.goal()

    def faults(self) -> Sequence[RobotFault]:
        return self.robot.faults()


class ReadOnly(_Healthy):
    """Such a robot for a rehearsal: it is read as ever, but nothing is written to it."""

    def __init__(self, robot: Switchable) -> None:
        self.robot = robot

    @property
    def embodiment(self) -> Embodiment:
        return self.robot.embodiment

    def connect(self) -> None:
        self.robot.watch()

    def read(self) -> RobotState:
        return self.robot.read()

    def write(self, command: Command) -> None:
        """Says nothing to the motors."""

    def hold(self) -> None:
        """Says nothing to the motors."""

    def disconnect(self) -> None:
        self.robot.disconnect(torque_off=False)

    def faults(self) -> Sequence[RobotFault]:
        return self.robot.faults()
