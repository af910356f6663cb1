"""The servo buses there are drivers for: every family of `families.py` has the same one.

A driver is looked up by `bus.protocol` of the robot's file. Whoever launches a robot needs three things of
it: to inspect an arm before any motor is on, to drive it, and to let it go.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ideomotor.control.calibration import Calibration, JointCalibration, split_calibration
from ideomotor.control.capabilities import LEFT_ON, Switchable, first_state
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.embodiment_facts import PairedArm
from ideomotor.control.errors import UserError
from ideomotor.control.pair import split_ports
from ideomotor.control.robots.adapters import KeepTorqueOn, ReadOnly
from ideomotor.control.robots.bring_up import (
    check,
    check_servos,
    left_otherwise,
    open_line,
    reset,
    survey,
    switch_off,
    whole_turns,
)
from ideomotor.control.robots.external_arm import ExternalArm
from ideomotor.control.robots.families import FAMILIES, family_of
from ideomotor.control.robots.family import Family, ServoReport
from ideomotor.control.robots.pair_arm import PairArm, said_of
from ideomotor.control.robots.register_retry import REPLY_S
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.settings import Difference
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.control.safety.start_pose import check_start
from ideomotor.control.servo_bus import ServoBus
from ideomotor.control.types import Robot

T = TypeVar("T")


@dataclass(frozen=True)
class ServoStatus:
    """What one servo says before its motor is on."""

    joint: str
    id: int
    model: str
    firmware: str
    voltage: float  # [V]
    temperature: float  # [°C]
    position: float  # of the joint [rad or m]
    motor_on: bool
    return_delay_us: int  # that it waits before it answers


@dataclass(frozen=True)
class Driver:
    """One kind of bus.

    Attributes:
        make: the robot, not connected: (embodiment, port, calibration).
        differences: what another program left in the servos so that they move otherwise; changes nothing.
        reset: puts such settings back; `UserError` if a motor is on or a servo does not take it.
        inspect: checks every servo and tells what it says, changing nothing; `UserError` as `Robot.connect`.
        let_go: switches every motor off; whether all of them said that they are off.
    """

    make: Callable[[Embodiment, str, Calibration], Switchable]
    differences: Callable[[Embodiment, str, Calibration], list[Difference]]
    reset: Callable[[Embodiment, str, list[Difference]], None]
    inspect: Callable[[Embodiment, str, Calibration], list[ServoStatus]]
    let_go: Callable[[Embodiment, str], bool]


def driver_of(embodiment: Embodiment) -> Driver:
    """Returns the driver of a robot; UserError if the robot has none, or there is no driver for it."""
    if embodiment.arms:
        return PAIR
    if embodiment.driver is not None:
        return EXTERNAL
    if embodiment.bus is None:
        raise UserError(f"robot: {embodiment.name} has no section bus in its file, so it has no servos")
    if embodiment.bus.protocol not in DRIVERS:
        raise UserError(
            f"robot: {embodiment.name}: bus.protocol: no driver for {embodiment.bus.protocol!r} "
            f"(valid: {', '.join(sorted(DRIVERS))})"
        )
    return DRIVERS[embodiment.bus.protocol]


def open_robot(
    embodiment: Embodiment, port: str, calibration: Calibration, read_only: bool, shared: SharedState
) -> Robot:
    """The robot for the control process, not connected; with `read_only` nothing is ever written to it.

    Args:
        shared: that processes share; a robot on a bus does not need it (`supervise` gives it to every robot).
    """
    robot = driver_of(embodiment).make(embodiment, port, calibration)
    return ReadOnly(robot) if read_only else KeepTorqueOn(robot)


@contextlib.contextmanager
def opened(embodiment: Embodiment, port: str) -> Iterator[tuple[ServoLine, Family, ServoBus]]:
    """A robot's line, with time to answer; `UserError` if it cannot be opened."""
    family, layout = family_of(embodiment)
    line = ServoLine(port, layout.baud, REPLY_S, family.packets())
    open_line(line)
    try:
        yield line, family, layout
    finally:
        line.close()


def _differences(embodiment: Embodiment, port: str, calibration: Calibration) -> list[Difference]:
    with opened(embodiment, port) as (line, family, layout):
        reports = survey(line, family, layout)
    check_servos(reports, family, calibration)
    return left_otherwise(reports, family, embodiment, layout, calibration)


def _reset(embodiment: Embodiment, port: str, found: list[Difference]) -> None:
    with opened(embodiment, port) as (line, family, _):
        reset(line, family, found)


def _inspect(embodiment: Embodiment, port: str, calibration: Calibration) -> list[ServoStatus]:
    with opened(embodiment, port) as (line, family, layout):
        reports = survey(line, family, layout)
    check(reports, family, layout, calibration)
    known = {joint.joint: joint for joint in calibration.joints}
    return [
        ServoStatus(
            joint=report.servo.joint,
            id=report.servo.id,
            model=report.servo.model.name,
            firmware=report.firmware,
            voltage=report.voltage,
            temperature=report.temperature,
            position=_position(report, family, known[report.servo.joint]),
            motor_on=report.torque,
            return_delay_us=2 * family.return_delay.decode(report.table, 0),
        )
        for report in reports
    ]


def _position(report: ServoReport, family: Family, known: JointCalibration) -> float:
    counts = report.counts - whole_turns(report.counts, family, report.servo, known)
    return float((counts - known.zero) / report.servo.counts_per_unit)


def _let_go(embodiment: Embodiment, port: str) -> bool:
    with opened(embodiment, port) as (line, family, layout):
        return switch_off(line, family, layout)


def _inspect_external(embodiment: Embodiment, port: str, calibration: Calibration) -> list[ServoStatus]:
    """Where its joints are, if that can be read without its motors on; all else is its package's affair."""
    arm = ExternalArm(embodiment, port)
    position = np.full(len(embodiment.joints), np.nan)
    if arm.can_watch:
        arm.watch()
        try:
            position = first_state(arm).position
        finally:
            arm.disconnect(torque_off=False)
    assert embodiment.driver is not None
    model, unknown = embodiment.driver.name, math.nan
    found = enumerate(zip(embodiment.joint_names, position, strict=True), start=1)
    return [
        ServoStatus(joint, i, model, "", unknown, unknown, float(at), motor_on=False, return_delay_us=0)
        for i, (joint, at) in found
    ]


def _let_go_external(embodiment: Embodiment, port: str) -> bool:
    arm = ExternalArm(embodiment, port)
    arm.take_over()
    arm.disconnect(torque_off=True)
    return not any(fault.name == LEFT_ON for fault in arm.faults())


@dataclass(frozen=True)
class _Own:
    """One arm of a pair, with its line."""

    arm: PairedArm
    port: str
    calibration: Calibration

    @property
    def robot(self) -> Embodiment:
        return self.arm.embodiment

    def says(self, ask: Callable[[Embodiment, str, Calibration], T]) -> T:
        """Asks the arm's own driver; what it refuses says which arm it was."""
        return said_of(self.arm.name, lambda: ask(self.robot, self.port, self.calibration))


def _each(embodiment: Embodiment, port: str, calibration: Calibration) -> list[_Own]:
    ports, parts = split_ports(port), split_calibration(embodiment, calibration)
    return [_Own(arm, ports[arm.name], parts[arm.name]) for arm in embodiment.arms]


def _make_pair(embodiment: Embodiment, port: str, calibration: Calibration) -> PairArm:
    def look() -> dict[str, bool]:
        found = _inspect_pair(embodiment, port, calibration)
        check_start(embodiment, np.array([status.position for status in found]))
        on = [status.joint for status in found if status.motor_on]
        return {arm.name: any(joint.startswith(arm.prefix) for joint in on) for arm in embodiment.arms}

    each = _each(embodiment, port, calibration)
    return PairArm(embodiment, {own.arm.name: own.says(ServoArm) for own in each}, look)


def _pair_differences(embodiment: Embodiment, port: str, calibration: Calibration) -> list[Difference]:
    return [
        replace(found, servo=replace(found.servo, joint=own.arm.prefix + found.servo.joint))
        for own in _each(embodiment, port, calibration)
        for found in own.says(_differences)
    ]


def _reset_pair(embodiment: Embodiment, port: str, found: list[Difference]) -> None:
    ports = split_ports(port)
    for arm in embodiment.arms:
        mine = [
            replace(each, servo=replace(each.servo, joint=each.servo.joint.removeprefix(arm.prefix)))
            for each in found
            if each.servo.joint.startswith(arm.prefix)
        ]
        if mine:
            said_of(arm.name, functools.partial(_reset, arm.embodiment, ports[arm.name], mine))


def _inspect_pair(embodiment: Embodiment, port: str, calibration: Calibration) -> list[ServoStatus]:
    return [
        replace(status, joint=own.arm.prefix + status.joint)
        for own in _each(embodiment, port, calibration)
        for status in own.says(_inspect)
    ]


def _let_go_pair(embodiment: Embodiment, port: str) -> bool:
    """Both, even where one cannot be opened."""
    ports, off, errors = split_ports(port), True, []
    for arm in embodiment.arms:
        try:
            off &= said_of(arm.name, functools.partial(_let_go, arm.embodiment, ports[arm.name]))
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return off


PAIR = Driver(_make_pair, _pair_differences, _reset_pair, _inspect_pair, _let_go_pair)
EXTERNAL = Driver(ExternalArm, lambda *arm: [], lambda *arm: None, _inspect_external, _let_go_external)
DRIVERS = {protocol: Driver(ServoArm, _differences, _reset, _inspect, _let_go) for protocol in FAMILIES}
