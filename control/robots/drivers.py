"""The servo buses there are drivers for: every family of `families.py` has the same one.

A driver is looked up by `bus.protocol` of the robot's file. Whoever launches a robot needs three things of
it: to inspect an arm before any motor is on, to drive it, and to let it go.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ideomotor.control.calibration import Calibration, JointCalibration
from ideomotor.control.capabilities import LEFT_ON, Switchable, first_state
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
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
from ideomotor.control.robots.register_retry import REPLY_S
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.settings import Difference
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.control.servo_bus import ServoBus
from ideomotor.control.types import Robot


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


EXTERNAL = Driver(ExternalArm, lambda *arm: [], lambda *arm: None, _inspect_external, _let_go_external)
DRIVERS = {protocol: Driver(ServoArm, _differences, _reset, _inspect, _let_go) for protocol in FAMILIES}
