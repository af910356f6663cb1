"""A robot of another package, as our processes take it: `Switchable`, with what it does not bring added.

Such a robot has the five methods of `control.types.Robot`. What else it may have:

- `watch()` opens it for reading, motors as they are. Without it nothing is known before the motors are on,
  and `--dry-run` is refused.
- `torque_off()` switches the motors off; `disconnect` then leaves them as they are. Without it `disconnect`
  is what switches them off, and is called for nothing else.
- `faults()`, `rearm()` and `take_over()` as `control/capabilities.py` has them.

The safety filter, the loop and the safe stop are the same for it as for every robot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.capabilities import (
    CanRearm,
    CanRelax,
    CanTakeOver,
    RobotFault,
    TellsFaults,
    first_state,
)
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.plugins import load_robot
from ideomotor.control.robots.faults import FaultLog
from ideomotor.control.safety.start_pose import check_start
from ideomotor.control.types import Command, RobotState

LEROBOT = "lerobot"  # the name of the driver for that package's robots


class ExternalArm:
    """See the module. Call `connect`; then `read` and `write` every tick; then `disconnect`."""

    def __init__(self, embodiment: Embodiment, port: str, calibration: Calibration | None = None) -> None:
        """Args:
            embodiment: with a section `driver`.
            port: of its device; empty where it needs none.
            calibration: there is none: its package has its own.

        Raises:
            UserError: no package has such a driver, or it refuses.
        """
        self.embodiment = embodiment
        self._robot: Any = make_external(embodiment, port or None)
        self._goal = np.array(embodiment.home_position)
        self._log, self._left_on = FaultLog(), False

    def connect(self) -> None:
        """Switches its motors on where it is.

        Raises:
            UserError: it refuses, or cannot be measured.
            MotorsOnError: it is measured where it may not start, and its motors are on.
        """
        self._robot.connect()
        try:
            self._goal = first_state(self._robot).position.copy()
            check_start(self.embodiment, self._goal)
        except UserError as error:
            raise MotorsOnError(str(error)) from error

    def watch(self) -> None:
        """Opens it for reading; `UserError` if that cannot be without switching its motors on."""
        if not hasattr(self._robot, "watch"):
            raise UserError(
                f"robot: {self.embodiment.name} cannot be read without its motors on, expected a driver with "
                "the method watch"
            )
        self._robot.watch()

    @property
    def can_watch(self) -> bool:
        return hasattr(self._robot, "watch")

    def take_over(self) -> None:
        (self._robot.take_over if isinstance(self._robot, CanTakeOver) else self._robot.connect)()

    def read(self) -> RobotState:
        return self._robot.read()

    def write(self, command: Command) -> None:
        self._goal = command.position.copy()
        self._robot.write(command)

    def hold(self) -> None:
        self._robot.hold()

    def disconnect(self, torque_off: bool = True) -> None:
        robot, relaxes = self._robot, isinstance(self._robot, CanRelax)
        if relaxes and torque_off and robot.torque_off() is False:
            self._log.report("torque_left_on", "", 0.0)
        if relaxes or torque_off:
            robot.disconnect()

    def rearm(self) -> None:
        self._log.release()
        if isinstance(self._robot, CanRearm):
            self._robot.rearm()

    def goal(self) -> np.ndarray:
        return self._goal.copy()

    def faults(self) -> Sequence[RobotFault]:
        own = self._robot.faults() if isinstance(self._robot, TellsFaults) else ()
        return (*own, *self._log.active(math.inf))


def make_external(embodiment: Embodiment, port: str | None) -> Any:
    """The robot of the section `driver`, not connected; a `Robot`.

    Raises:
        UserError: no package has it, it refuses, or lacks one of a robot's methods.
    """
    assert embodiment.driver is not None
    if embodiment.driver.name == LEROBOT:
        from ideomotor.control.robots.lerobot_robot import LerobotRobot

        return LerobotRobot(embodiment, port)
    robot = load_robot(embodiment.driver.name).make(embodiment, port)
    methods = ("connect", "read", "write", "hold", "disconnect")
    if missing := [name for name in methods if not callable(getattr(robot, name, None))]:
        lacks = ", ".join(missing)
        raise UserError(f"robot: {embodiment.name}: its driver has no {lacks}, expected {', '.join(methods)}")
    return robot
