"""Bringing an arm of STS servos up and down: look at everything first, switch motors on last.

`survey` reads what each servo is and how it is, without changing anything; `bring_up` refuses an arm that is
not as its files say, sets the servos up, makes the present position the goal and only then switches the
motors on. The loop (`control/robots/feetech.py`) never runs before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots import sts_registers as reg
from ideomotor.control.robots.sts_bus import StsBus
from ideomotor.control.servo_bus import Servo, ServoBus
from ideomotor.control.start import check_start

TRIES = 3
PATIENCE = 0.1  # [s] for the replies to one request: no tick depends on it here
PAUSE = 0.03  # [s] between tries, so that a late reply is in by then and thrown away
RANGE_MARGIN = 60  # [counts] (5°) that a joint may be outside its range at the start


@dataclass(frozen=True)
class ServoReport:
    """What one servo says about itself; SI units, temperature in °C, positions in counts."""

    servo: Servo
    model: int
    firmware: str
    voltage: float  # [V]
    temperature: float  # [°C]
    counts: int
    offset: int  # [counts]
    mode: int  # 0: position
    return_delay: int  # [2 µs]
    torque: bool  # its motor is on


def survey(bus: StsBus, layout: ServoBus) -> list[ServoReport]:
    """Returns what every servo says; changes nothing.

    Raises:
        UserError: servos that do not answer, all of them named.
    """
    reports, missing = [], []
    for servo in layout.servos:
        table = _patiently(bus, servo, 0, reg.TABLE_SIZE)
        if table is None:
            missing.append(f"{servo.joint} (id {servo.id})")
        else:
            reports.append(_report(servo, table))
    if missing:
        few = "check its cable" if len(missing) < len(layout.servos) else "check cables and supply"
        raise UserError(
            f"bus: no answer at {bus.path} from {', '.join(missing)}, "
            f"expected {len(layout.servos)} servos ({few})"
        )
    return reports


def check(reports: list[ServoReport], layout: ServoBus, calibration: Calibration) -> None:
    """Refuses servos that are not as the files say.

    Raises:
        UserError: the first thing that is wrong, with joint, value and what was expected.
    """
    for report, known in zip(reports, calibration.joints, strict=True):
        servo, joint = report.servo, report.servo.joint
        if report.model != servo.model.number:
            expected = f"{servo.model.number} ({servo.model.name})"
            raise UserError(f"{joint}: model: got {report.model}, expected {expected}")
        if report.mode != 0:
            raise UserError(f"{joint}: mode: got {report.mode}, expected 0 (position)")
        if not layout.min_voltage <= report.voltage <= layout.max_voltage:
            expected = f"{layout.min_voltage:g} to {layout.max_voltage:g} V"
            raise UserError(f"{joint}: voltage: got {report.voltage:.1f} V, expected {expected}")
        if report.temperature >= servo.model.max_temperature:
            expected = f"less than {servo.model.max_temperature:g} °C"
            raise UserError(f"{joint}: temperature: got {report.temperature:.0f} °C, expected {expected}")
        if known.offset is not None and report.offset != known.offset:
            raise UserError(
                f"{joint}: offset in the servo: got {report.offset}, expected {known.offset} as calibrated; "
                "another program has changed it, or this is another arm: calibrate it"
            )
        if not known.lower - RANGE_MARGIN <= report.counts <= known.upper + RANGE_MARGIN:
            raise UserError(
                f"{joint}: position: got {report.counts} counts, expected {known.lower} to {known.upper}; "
                "move the joint into its range, or calibrate the arm"
            )


def bring_up(
    bus: StsBus, embodiment: Embodiment, layout: ServoBus, calibration: Calibration
) -> dict[int, int]:
    """Checks every servo, sets it up and switches its motor on where it is.

    Returns:
        {id: counts}, the goals that the servos now hold.

    Raises:
        UserError: something is not as expected; nothing was switched on before all checks had passed.
    """
    reports = survey(bus, layout)
    check(reports, layout, calibration)
    offsets = [report.counts - known.zero for report, known in zip(reports, calibration.joints, strict=True)]
    check_start(embodiment, np.array(offsets) / [servo.counts_per_unit for servo in layout.servos])
    for servo, joint in zip(layout.servos, embodiment.joints, strict=True):
        share = min(1.0, joint.max_effort / (servo.model.stall_torque * servo.gear_ratio))
        write(bus, servo, reg.ACCELERATION, 254)
        write(bus, servo, reg.GOAL_TIME, 0)
        write(bus, servo, reg.GOAL_SPEED, 0)
        write(bus, servo, reg.TORQUE_LIMIT, round(1000 * share))
        write_kept(bus, servo, reg.RETURN_DELAY, 0)
    goals = {}
    for servo, known in zip(layout.servos, calibration.joints, strict=True):
        counts = reg.POSITION.decode(read(bus, servo, reg.POSITION))
        goals[servo.id] = min(max(counts, known.lower), known.upper)
        write(bus, servo, reg.GOAL_POSITION, goals[servo.id])
    for servo in layout.servos:
        write(bus, servo, reg.TORQUE_ENABLE, 1)
    return goals


def switch_off(bus: StsBus, layout: ServoBus) -> bool:
    """Switches every motor off that still listens; whether all of them said that they are off."""
    off: set[int] = set()
    for _ in range(TRIES):
        bus.sync_write({servo.id: b"\0" for servo in layout.servos}, reg.TORQUE_ENABLE.address)
        for servo in layout.servos:
            if servo.id not in off and bus.is_open:
                data = bus.read(servo.id, reg.TORQUE_ENABLE.address, 1, PATIENCE).data.get(servo.id)
                off |= {servo.id} if data == b"\0" else set()
        if len(off) == len(layout.servos) or not bus.is_open:
            break
    return len(off) == len(layout.servos)


def write(bus: StsBus, servo: Servo, register: reg.Register, value: int) -> None:
    """Writes a register and reads it back.

    Raises:
        UserError: the servo did not take it.
    """
    data = register.encode(value)
    for _ in range(TRIES):
        bus.write(servo.id, register.address, data, PATIENCE)
        if read(bus, servo, register) == data:
            return
    raise UserError(f"{servo.joint} (id {servo.id}): register {register.address} did not take {value}")


def write_kept(bus: StsBus, servo: Servo, register: reg.Register, value: int) -> None:
    """Writes a register that is kept without power, only if it differs: those wear out.

    Raises:
        UserError: the servo did not take it.
    """
    if read(bus, servo, register) != register.encode(value):
        write(bus, servo, reg.LOCK, 0)
        try:
            write(bus, servo, register, value)
        finally:
            write(bus, servo, reg.LOCK, 1)


def read(bus: StsBus, servo: Servo, register: reg.Register) -> bytes:
    """Returns a register's bytes; UserError if the servo does not answer."""
    data = _patiently(bus, servo, register.address, register.size)
    if data is None:
        raise UserError(f"bus: no answer at {bus.path} from {servo.joint} (id {servo.id})")
    return data


def _patiently(bus: StsBus, servo: Servo, address: int, size: int) -> bytes | None:
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        replies = bus.read(servo.id, address, size, PATIENCE)
        if servo.id in replies.data and not replies.late():
            return replies.data[servo.id]
    return None


def _report(servo: Servo, table: bytes) -> ServoReport:
    firmware = f"{reg.FIRMWARE_MAJOR.decode(table, 0)}.{reg.FIRMWARE_MINOR.decode(table, 0)}"
    return ServoReport(
        servo=servo,
        model=reg.MODEL.decode(table, 0),
        firmware=firmware,
        voltage=reg.VOLTAGE.decode(table, 0) * reg.VOLTAGE_UNIT,
        temperature=float(reg.TEMPERATURE.decode(table, 0)),
        counts=reg.POSITION.decode(table, 0),
        offset=reg.OFFSET.decode(table, 0),
        mode=reg.MODE.decode(table, 0),
        return_delay=reg.RETURN_DELAY.decode(table, 0),
        torque=reg.TORQUE_ENABLE.decode(table, 0) != 0,
    )
