"""Two arms as one robot: each has its own bus, and they are read, commanded, stopped and let go together.

The requests of a tick go out to both lines before either reply is waited for, and the line that answers
first is read first: two arms take as long as the slower one, and one that says nothing does not make the
other late. What is wrong with one of them has its name, `servo_silent (left_elbow_flex)` or `unplugged (left
arm)`, and is the robot's: control brings both to the same named state. Motors are switched on together:
everything is looked at on both arms before, and if the second one then cannot be switched on, the first goes
off again.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.pair import of_arm
from ideomotor.control.robots.faults import Fault
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.types import Command, RobotState

T = TypeVar("T")
LEAST_S = 0.001  # for what has come in while the other line was waited for [s]


class PairArm:
    """Call `connect`; then `read` and `write` every tick; then `disconnect`.

    Attributes:
        arms: {name: arm}, left and right.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        arms: Mapping[str, ServoArm],
        look: Callable[[], Mapping[str, bool]],
    ) -> None:
        """Args:
        embodiment: of the pair.
        arms: {name: arm}, not connected, in the embodiment's order.
        look: checks both arms and where they stand, changing nothing; {name: whether a motor is on}.
        """
        self.embodiment, self.arms, self._look = embodiment, arms, look

    @property
    def temperature(self) -> np.ndarray:
        """(A,) [°C], NaN before the first measurement."""
        return np.concatenate([arm.temperature for arm in self.arms.values()])

    @property
    def voltage(self) -> np.ndarray:
        """(A,) [V]"""
        return np.concatenate([arm.voltage for arm in self.arms.values()])

    def connect(self) -> None:
        """Checks both arms, then switches the motors of both on where they are.

        Raises:
            UserError: something is not as expected of either; what was off before is off then.
            MotorsOnError: the same, but motors are on: they were before, or cannot be switched off again.
        """
        was_on = self._look()
        connected: list[str] = []
        try:
            for name, arm in self.arms.items():
                said_of(name, arm.connect)
                connected.append(name)
        except BaseException as error:
            stays = isinstance(error, MotorsOnError)
            for name in connected:
                self.arms[name].disconnect(torque_off=not was_on[name])
                stays |= was_on[name] or _left_on(self.arms[name])
            if stays and isinstance(error, UserError):
                raise MotorsOnError(str(error)) from error
            raise

    def take_over(self) -> None:
        """Goes on driving both after the process that did so has died; one is better than none.

        Raises:
            UserError: neither can be opened.
        """
        errors: list[UserError] = []
        for name, arm in self.arms.items():
            try:
                said_of(name, arm.take_over)
            except UserError as error:
                errors.append(error)
        if len(errors) == len(self.arms):
            raise errors[0]

    def watch(self) -> None:
        """Opens both ports to read the arms only; `UserError` as `ServoArm.watch`."""
        for name, arm in self.arms.items():
            try:
                said_of(name, arm.watch)
            except BaseException:
                self.disconnect(torque_off=False)
                raise

    def read(self) -> RobotState:
        """What was measured last of both; its time is that of the joint that was measured longest ago."""
        parts = list(read_together(self.arms).values())
        return RobotState(
            time=min(part.time for part in parts),
            position=np.concatenate([part.position for part in parts]),
            velocity=np.concatenate([part.velocity for part in parts]),
            effort=np.concatenate([part.effort for part in parts]),
        )

    def write(self, command: Command) -> None:
        """Sends each arm its part of one command."""
        for name, arm in self.arms.items():
            arm.write(replace(command, position=of_arm(self.embodiment, command.position, name)))

    def hold(self) -> None:
        """Sends the last command once more."""
        for arm in self.arms.values():
            arm.hold()

    def goal(self) -> np.ndarray:
        """Where the motors of both were commanded to be last, (A,) [rad or m]."""
        return np.concatenate([arm.goal() for arm in self.arms.values()])

    def disconnect(self, torque_off: bool = True) -> None:
        """Switches the motors of both off, unless asked otherwise, and closes the ports."""
        arms = list(self.arms.values())
        try:
            arms[0].disconnect(torque_off)
        finally:
            arms[1].disconnect(torque_off)

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong now with either, named with its arm; what stops them first."""
        found = [_of(name, fault) for name, arm in self.arms.items() for fault in arm.faults()]
        return tuple(sorted(found, key=lambda fault: (not fault.kind.stops, fault.since)))

    def rearm(self) -> None:
        """Checks every servo of both, and switches the motors on again where the arms are now.

        Raises:
            UserError: why not; the motors that are on stay on.
        """
        for name, arm in self.arms.items():
            said_of(name, arm.rearm)


def read_together(arms: Mapping[str, ServoArm]) -> dict[str, RobotState]:
    """What was measured last of several arms, {name: state}, in the time that the slowest of them takes."""
    under_way: dict[str, Generator[float, None, RobotState]] = {}
    deadlines: dict[str, float] = {}  # of the arms whose line owes replies [s]
    states: dict[str, RobotState] = {}

    def go_on(name: str) -> None:
        """To the arm's next request, or to its end."""
        try:
            deadlines[name] = next(under_way[name])
        except StopIteration as end:
            states[name] = end.value
            deadlines.pop(name, None)

    for name, arm in arms.items():
        under_way[name] = arm.reading(LEAST_S)
        go_on(name)
    while deadlines:
        go_on(_first_to_answer(arms, deadlines))
    return {name: states[name] for name in arms}


def _first_to_answer(arms: Mapping[str, ServoArm], deadlines: Mapping[str, float]) -> str:
    """The arm whose line has something to read first; else the one whose deadline is over, or has no line."""
    lines: dict[int, str] = {}
    for name in deadlines:
        descriptor = arms[name].bus.descriptor
        if descriptor is None:
            return name
        lines[descriptor] = name
    wait = max(0.0, min(deadlines.values()) - time.monotonic())
    ready = select.select(list(lines), [], [], wait)[0]
    return lines[ready[0]] if ready else min(deadlines, key=lambda name: deadlines[name])


def _of(name: str, fault: Fault) -> Fault:
    return replace(fault, joint=f"{name}_{fault.joint}" if fault.joint else f"{name} arm")


def said_of(name: str, do: Callable[[], T]) -> T:
    """Does something with an arm of a pair; what it refuses says which arm it was."""
    try:
        return do()
    except MotorsOnError as error:
        raise MotorsOnError(f"{name} arm: {error}") from error
    except UserError as error:
        raise UserError(f"{name} arm: {error}") from error


def _left_on(arm: ServoArm) -> bool:
    return any(fault.name == "torque_left_on" for fault in arm.faults())
