"""What a person drives a robot with: a leader arm, a keyboard, a gamepad, anything with three methods.

To add one, write a class with `connect`, `read` and `disconnect` in a file of its own. It runs in a process
of its own (control/teleop/process.py), so it may import what it needs and may take its time; the control
loop only takes the newest action, through the safety filter (control/runtime/person.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from ideomotor.control.types import RobotState


class DriverName(StrEnum):
    """Who gives the targets."""

    POLICY = "policy"
    PERSON = "person"


@dataclass(frozen=True)
class TeleopAction:
    """What a person wants at one moment."""

    time: float  # [s] of the monotonic clock, when it was measured; one that repeats counts as old
    position: np.ndarray  # (A,) float64, absolute joint targets of the follower [rad or m]
    engaged: bool = True  # a person drives right now; while not, the arm stands still


@dataclass(frozen=True)
class FollowerState(RobotState):
    """The arm that is driven, as a teleoperator is given it. A joint that was not measured is NaN.

    What jogs integrates from `command`, not from `position`, which sags and lags: while it is not engaged its
    next target is `command`, whoever has moved the arm meanwhile.
    """

    command: np.ndarray  # (A,) float64, what was sent to the motors last [rad or m]
    driver: DriverName  # who drives now


class Teleoperator(Protocol):
    """A device that a person drives with.

    `engaged` while the policy drives says that the person has begun to move it, and takes over.
    """

    def connect(self) -> None:
        """Opens it. Called again every now and then if it was lost.

        Raises:
            UserError: what is missing or wrong, in one line.
        """
        ...

    def read(self, state: FollowerState) -> TeleopAction:
        """The newest action, at 120 Hz.

        Args:
            state: of the follower.

        Raises:
            OSError: nothing new at present, or the device is gone (its text is shown to the person).
        """
        ...

    def disconnect(self) -> None:
        """Closes it; never raises."""
        ...
