"""What some robots can do beyond the border `Robot`, and how the control process finds out.

A robot that has one of these methods has the capability; nothing is declared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.safe_stop import Cause
from ideomotor.control.types import Robot, RobotState

LEFT_ON = "torque_left_on"  # name of the fault that a motor does not say that it is off
FIRST_STATE_S = 1.0  # for a robot to measure all its joints once


@runtime_checkable
class CanRelax(Protocol):
    """A robot whose motors can be let go. Without it they stay on, whatever happens."""

    def torque_off(self) -> bool | None: ...  # False: a motor did not say that it is off


@runtime_checkable
class CanRearm(Protocol):
    """A robot that has to be made ready again after a stop; `UserError` says why it is not."""

    def rearm(self) -> None: ...


@runtime_checkable
class CanTakeOver(Protocol):
    """A robot that another process can go on driving at once, its motors being on already."""

    def take_over(self) -> None: ...


@runtime_checkable
class KnowsGoal(Protocol):
    """A robot that can say where its motors were commanded to be last, whether it can be read or not."""

    def goal(self) -> np.ndarray: ...  # (A,) [rad or m]


@runtime_checkable
class KnowsJoints(Protocol):
    """A robot that knows what it is made of."""

    @property
    def embodiment(self) -> Embodiment: ...


class FaultKind(Protocol):
    """What a robot's fault means."""

    @property
    def stops(self) -> bool: ...  # the arm must decelerate and hold

    @property
    def latched(self) -> bool: ...  # stays until the robot is re-armed


class RobotFault(Protocol):
    """Something that is wrong now; `str` names it for people."""

    @property
    def kind(self) -> FaultKind: ...

    @property
    def name(self) -> str: ...


@runtime_checkable
class TellsFaults(Protocol):
    """A robot that supervises itself; the gravest fault comes first."""

    def faults(self) -> Sequence[RobotFault]: ...


@runtime_checkable
class TellsHealth(Protocol):
    """A robot whose servos measure themselves."""

    @property
    def temperature(self) -> np.ndarray: ...  # (A,) [°C], NaN before the first measurement
    @property
    def voltage(self) -> np.ndarray: ...  # (A,) [V]


def stopping_fault(robot: TellsFaults | None) -> tuple[Cause, str] | None:
    """What a robot says of itself, where it does and where that stops it."""
    for fault in robot.faults() if robot else ():
        if fault.kind.stops:
            return Cause.FAULT if fault.kind.latched else Cause.STALE, f"robot: {fault}"
    return None


class Switchable(Robot, Protocol):
    """A robot whose `disconnect` switches the motors off unless asked otherwise."""

    @property
    def embodiment(self) -> Embodiment: ...

    def disconnect(self, torque_off: bool = True) -> None: ...

    def take_over(self) -> None:
        """Opens the port and nothing else: the motors are on, and a process that drove them is gone."""
        ...

    def watch(self) -> None:
        """Opens the port and checks every servo; from then on it can be read. Writes nothing."""
        ...

    def rearm(self) -> None: ...

    def goal(self) -> np.ndarray: ...

    def faults(self) -> Sequence[RobotFault]: ...


def first_state(robot: Robot) -> RobotState:
    """Returns the robot's first whole measurement.

    Raises:
        UserError: a joint was not measured in time.
    """
    until = time.monotonic() + FIRST_STATE_S
    missing = ""
    while True:
        try:
            state = robot.read()
            missing = _names(robot, np.flatnonzero(~np.isfinite(state.position)))
            if not missing:
                return state
        except OSError as error:  # nothing new, as ever
            missing = missing or f"any joint ({error})"
        if time.monotonic() > until:
            raise UserError(f"robot: no position of {missing} within {FIRST_STATE_S:g} s of connecting")
        time.sleep(0.005)


def _names(robot: Robot, joints: np.ndarray) -> str:
    """The names of joints, or their numbers where the robot does not know them; empty for none."""
    if isinstance(robot, KnowsJoints):
        return ", ".join(robot.embodiment.joint_names[i] for i in joints)
    return "joint " + ", ".join(map(str, joints)) if len(joints) else ""


def start_state(robot: Robot) -> tuple[RobotState, str]:
    """The robot's first whole measurement; or, the motors being on anyway, where they were commanded to be.

    Returns:
        the state, and what is wrong with it.

    Raises:
        UserError: it was not measured, and does not know.
    """
    try:
        return first_state(robot), ""
    except Exception as error:
        if not isinstance(robot, KnowsGoal):
            raise
        goal = robot.goal()
        unknown = np.zeros_like(goal)
        what = str(error) if isinstance(error, UserError) else f"robot: {type(error).__name__}: {error}"
        return RobotState(time=0.0, position=goal, velocity=unknown, effort=unknown), what
