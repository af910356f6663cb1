"""Bringing an arm of servos up and down: look at everything first, switch motors on last.

`survey` reads what each servo is and how it is, without changing anything; `bring_up` refuses an arm that is
not as its files say, sets the servos up, makes the present position the goal and only then switches the
motors on. The loop (`control/robots/servo_arm.py`) never runs before it.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ideomotor.control.calibration import Calibration, JointCalibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.robots.family import Family, ServoReport
from ideomotor.control.robots.pace import check_pace
from ideomotor.control.robots.register_retry import REPLY_S, TRIES, read, read_piece, send, write
from ideomotor.control.robots.serial_port import BUS_ERRORS
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.settings import (
    Difference,
    differences,
    effort_share,
    needs_of,
    refuse,
)
from ideomotor.control.safety.start_pose import check_start
from ideomotor.control.servo_bus import Servo, ServoBus

RANGE_MARGIN = 60  # [counts] (5°) that a joint may be outside its range at the start


def open_line(line: ServoLine) -> None:
    """Opens the port; UserError if it cannot be."""
    try:
        line.open()
    except BUS_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"port: cannot open {line.path!r} ({reason}), expected a servo adapter") from error


def open_to_drive(line: ServoLine, embodiment: Embodiment) -> None:
    """Opens the port of an arm whose motors are to be on.

    Raises:
        UserError: the port is missing, or the arm is one that a person's hand moves: its motors stay off.
    """
    if embodiment.leads:
        raise UserError(
            f"robot: {embodiment.name} is moved by a person's hand and read only, expected a follower, "
            f"e.g. {embodiment.leads}"
        )
    open_line(line)


def survey(line: ServoLine, family: Family, layout: ServoBus) -> list[ServoReport]:
    """Returns what every servo says, those of the joints first, then shadows; changes nothing.

    Raises:
        UserError: servos that do not answer, all of them named.
    """
    reports, missing = [], []
    for servo in layout.motors:
        table = read_piece(line, servo, 0, family.table_size)
        if table is None:
            missing.append(f"{servo.joint} (id {servo.id})")
        else:
            reports.append(family.report(servo, table))
    if missing:
        few = "check its cable" if len(missing) < len(layout.motors) else "check cables and supply"
        raise UserError(
            f"bus: no answer at {line.path} from {', '.join(missing)}, "
            f"expected {len(layout.motors)} servos ({few})"
        )
    return reports


def check(reports: list[ServoReport], family: Family, layout: ServoBus, calibration: Calibration) -> None:
    """Refuses servos that are not as the files say, or joints outside their range.

    Raises:
        UserError: the first thing that is wrong, with joint, value and what was expected.
    """
    check_servos(reports, family, calibration)
    for report, known in zip(reports, calibration.joints, strict=False):  # shadows have no calibration
        check_position(report.counts, family, report.servo, known)


def check_servos(reports: list[ServoReport], family: Family, calibration: Calibration) -> None:
    """Refuses servos that are not as the files say; where the joints are is not looked at.

    Raises:
        UserError: the first thing that is wrong, with joint, value and what was expected.
    """
    for report in reports:
        servo, joint = report.servo, report.servo.joint
        if report.model != servo.model.number:
            expected = f"{servo.model.number} ({servo.model.name})"
            raise UserError(f"{joint}: model: got {report.model}, expected {expected}")
        family.check(report)
        if not servo.min_voltage <= report.voltage <= servo.max_voltage:
            expected = f"{servo.min_voltage:g} to {servo.max_voltage:g} V"
            raise UserError(f"{joint}: voltage: got {report.voltage:.1f} V, expected {expected}")
        if report.temperature >= servo.model.max_temperature:
            expected = f"less than {servo.model.max_temperature:g} °C"
            raise UserError(f"{joint}: temperature: got {report.temperature:.0f} °C, expected {expected}")
    for report, known in zip(reports, calibration.joints, strict=False):  # shadows have no calibration
        if known.offset is not None and report.offset != known.offset:
            raise UserError(
                f"{known.joint}: offset in the servo: got {report.offset}, expected {known.offset} as "
                "calibrated; another program has changed it, or this is another arm: calibrate it"
            )


def left_otherwise(
    reports: list[ServoReport],
    family: Family,
    embodiment: Embodiment,
    layout: ServoBus,
    calibration: Calibration,
) -> list[Difference]:
    """Returns what another program has left in the servos that makes the joints move otherwise."""
    needs = needs_of(embodiment, layout, calibration)
    return differences(family.settings, [(report.servo, report.table) for report in reports], needs)


def reset(line: ServoLine, family: Family, found: list[Difference]) -> None:
    """Puts settings back, in servos whose motors are off.

    Raises:
        UserError: a motor is on, or a servo did not take something.
    """
    servos = {difference.servo.id: difference.servo for difference in found}
    on = [servo.joint for servo in servos.values() if read(line, servo, family.torque) != b"\0"]
    if on:
        raise UserError(
            f"servos: the motors of {', '.join(on)} are on, expected them off before their settings are "
            "reset; support the arm and switch its supply off and on"
        )
    for servo in servos.values():
        family.reset(line, servo, [d for d in found if d.servo.id == servo.id])


def check_position(counts: int, family: Family, servo: Servo, known: JointCalibration) -> None:
    """UserError if a joint is far outside its range."""
    within = counts - whole_turns(counts, family, servo, known)
    if not known.lower - RANGE_MARGIN <= within <= known.upper + RANGE_MARGIN:
        raise UserError(
            f"{known.joint}: position: got {within} counts, expected {known.lower} to {known.upper}; "
            "move the joint into its range, or calibrate the arm"
        )


def whole_turns(counts: int, family: Family, servo: Servo, known: JointCalibration) -> int:
    """Returns the counts of the whole turns that a servo may measure besides where its joint is."""
    if not family.many_turns:
        return 0
    turn = servo.model.counts_per_turn
    return turn * round((counts - (known.lower + known.upper) / 2) / turn)


def positions(
    reports: list[ServoReport], family: Family, layout: ServoBus, calibration: Calibration
) -> np.ndarray:
    """Returns where the joints are, (A,) [rad or m]."""
    found = zip(reports, layout.servos, calibration.joints, strict=False)  # shadows come last
    offsets = [
        (report.counts - whole_turns(report.counts, family, servo, known) - known.zero)
        / servo.counts_per_unit
        for report, servo, known in found
    ]
    return np.array(offsets)


def bring_up(
    line: ServoLine, family: Family, embodiment: Embodiment, layout: ServoBus, calibration: Calibration
) -> dict[int, int]:
    """Checks every servo, sets it up and switches its motor on where it is.

    Returns:
        {id: counts}, the goals that the servos now hold, whole turns included.

    Raises:
        UserError: something is not as expected; nothing was switched on before all checks had passed, and
            what was off before is off again.
        MotorsOnError: the same, but motors are on: they were before, or do not say that they are off.
    """
    reports = survey(line, family, layout)
    on = {report.servo.id for report in reports if report.torque}
    try:
        check_servos(reports, family, calibration)
        refuse(left_otherwise(reports, family, embodiment, layout, calibration))
        check(reports, family, layout, calibration)
        check_start(embodiment, positions(reports, family, layout, calibration))
    except UserError as error:
        raise (MotorsOnError(str(error)) if on else error) from None
    try:
        return _switch_on(line, family, embodiment, layout, calibration)
    except BaseException as error:
        off = switch_off(line, family, layout, keep=on)
        if isinstance(error, UserError) and (on or not off):
            raise MotorsOnError(str(error)) from error
        raise


def _switch_on(
    line: ServoLine, family: Family, embodiment: Embodiment, layout: ServoBus, calibration: Calibration
) -> dict[int, int]:
    """Sets the servos up and switches their motors on; returns the goals as `bring_up` does."""
    efforts = {joint.name: joint.max_effort for joint in embodiment.joints}
    for servo in layout.motors:
        family.prepare(line, servo, effort_share(servo, efforts[servo.joint]))
    check_pace(line, family, layout, embodiment.control_hz)
    goals = {}
    for servo, known in zip(layout.servos, calibration.joints, strict=True):
        counts = family.position.decode(read(line, servo, family.position))
        check_position(counts, family, servo, known)
        turns = whole_turns(counts, family, servo, known)
        goals[servo.id] = turns + min(max(counts - turns, known.lower), known.upper)
        send(line, servo, family.goal, goals[servo.id])
    for servo in layout.motors:
        write(line, servo, family.torque, 1)
    if family.watchdog is not None:
        for servo in layout.motors:
            write(line, servo, family.watchdog, family.watchdog_units)
    return goals


def switch_off(
    line: ServoLine, family: Family, layout: ServoBus, keep: Collection[int] = frozenset()
) -> bool:
    """Switches every motor off that listens, but for ids to `keep`; whether all said that they are off."""
    ids = [servo.id for servo in layout.motors if servo.id not in keep]
    off: set[int] = set()
    for _ in range(TRIES if ids else 0):
        line.sync_write(dict.fromkeys(ids, b"\0"), family.torque.address)
        for servo in ids:
            if servo not in off and line.is_open:
                data = line.read(servo, family.torque.address, 1, REPLY_S).data.get(servo)
                off |= {servo} if data == b"\0" else set()
        if len(off) == len(ids) or not line.is_open:
            break
    return len(off) == len(ids)


def stand_alone(line: ServoLine, family: Family, layout: ServoBus) -> None:
    """Lets motors that are on stay on although nobody will speak to them."""
    if family.watchdog is not None:
        for _ in range(TRIES):  # nobody answers
            line.sync_write({servo.id: b"\0" for servo in layout.motors}, family.watchdog.address)
