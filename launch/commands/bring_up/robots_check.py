"""`ideomotor robots check`: how well each servo of an arm is, without switching anything on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.robots.servo_check import ArmCheck, ServoCheck


@dataclass(frozen=True)
class RobotsCheckOptions:
    """Shows how each servo of an arm is: supply, heat, load, firmware, errors, reply times, lost replies.

    Only reads: motors stay as they are. What is out of bounds is said in words, and the exit code is then 1.
    """

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """serial device of the servo adapter, e.g. /dev/ttyACM0"""

    twin: bool = False
    """look at a simulated arm"""

    arm: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """name of the arm whose calibration is compared with its servos; main, if that is calibrated"""

    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 5.0
    """for how long the servos are asked"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was found as JSON; - is standard output"""


def robots_check(options: RobotsCheckOptions) -> int:
    """Prints the table; 0 if all is within its bounds, 1 if something is not."""
    output = Output(options.json)
    if not 0 < options.seconds <= 600:
        raise UserError(f"seconds: got {options.seconds:g}, expected more than 0, at most 600")
    if options.twin == (options.port is not None):
        raise UserError("port: expected one of --port DEV (e.g. /dev/ttyACM0) and --twin")

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.control.robots.servo_check import check_arm  # noqa: F401, what takes long to load

    embodiment = load_embodiment(options.robot)
    found = [_looked_at(*arm, options) for arm in _arms(embodiment, options)]
    result = found[0].as_json
    if embodiment.arms:
        result = _both(embodiment, [each.as_json for each in found])
    output.result(result)
    for each in found:
        output.text.print(f"{each.name} at {each.port}, read for {options.seconds:g} s", markup=False)
        output.text.print(table(each.check.servos))
        if (tick_ms := each.as_json["tick_ms"]) is not None:
            of_ms = f"{tick_ms:.1f} ms of {1000 / embodiment.control_hz:.1f} ms"
            output.text.print(f"line: the readings of a tick take {of_ms}", markup=False)
    problems = result["problems"]
    for note in result["notes"]:
        output.text.print(f"note: {note}", markup=False)
    for problem in problems:
        output.text.print(f"problem: {problem}", markup=False)
    output.text.print(f"{len(problems)} problems" if problems else "all servos are well", markup=False)
    return 1 if problems else 0


@dataclass(frozen=True)
class _Looked:
    """One arm that was looked at."""

    name: str
    port: str
    check: ArmCheck
    as_json: dict[str, Any]


def _arms(
    embodiment: Embodiment, options: RobotsCheckOptions
) -> list[tuple[str, Embodiment, str, str | None, str]]:
    """(name, robot, that of its twin, port, arm that is calibrated) of the robot, or of a pair's arms."""
    from ideomotor.control.calibration import USUAL_ARM, arm_name
    from ideomotor.control.pair import split_ports
    from ideomotor.control.robots.families import family_of

    if not embodiment.arms:
        family_of(embodiment)
        return [(embodiment.name, embodiment, options.robot, options.port, options.arm)]
    ports = split_ports(options.port) if options.port is not None else {}
    return [
        (
            f"{arm.name} arm, {arm.embodiment.name}",
            arm.embodiment,
            arm.robot,
            ports.get(arm.name),
            arm_name(arm.name, options.arm or USUAL_ARM),
        )
        for arm in embodiment.arms
    ]


def _looked_at(
    name: str, embodiment: Embodiment, robot: str, port: str | None, arm: str, options: RobotsCheckOptions
) -> _Looked:
    """Reads one arm, without a port its twin."""
    from ideomotor.control.robots.drivers import opened
    from ideomotor.control.robots.servo_check import check_arm

    with _port(robot, port) as device:
        with opened(embodiment, device) as (line, family, layout):
            found = check_arm(line, family, layout, embodiment.control_hz, options.seconds)
        problems, notes = list(found.problems), list(found.notes)
        if port is not None:  # a twin's servos are mounted as its file says
            more_problems, more_notes = _against_calibration(embodiment, arm, found, bool(options.arm))
            problems, notes = problems + more_problems, notes + more_notes
    as_json = _as_json(embodiment, device, options.seconds, found, problems, notes)
    return _Looked(name, device, found, as_json)


def _both(embodiment: Embodiment, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was found of the arms of a pair, as one robot."""
    from ideomotor.control.pair import join_ports

    sides = [arm.name for arm in embodiment.arms]
    ticks = [each["tick_ms"] for each in found]
    return {
        "robot": embodiment.name,
        "port": join_ports({side: each["port"] for side, each in zip(sides, found, strict=True)}),
        "seconds": found[0]["seconds"],
        "tick_ms": None if None in ticks else max(ticks),  # both lines are read at once
        "servos": [
            servo | {"joint": f"{side}_{servo['joint']}"}
            for side, each in zip(sides, found, strict=True)
            for servo in each["servos"]
        ],
        **{
            key: [
                f"{side} arm: {said}" for side, each in zip(sides, found, strict=True) for said in each[key]
            ]
            for key in ("problems", "notes")
        },
    }


@contextlib.contextmanager
def _port(robot: str, port: str | None) -> Iterator[str]:
    if port is not None:
        yield port
        return
    from ideomotor.sim.twin.process import Twin

    with Twin(robot) as twin:
        yield twin.port


def _against_calibration(
    embodiment: Embodiment, arm: str, found: ArmCheck, asked: bool
) -> tuple[list[str], list[str]]:
    """(problems, notes) of what the servos say beside the arm's calibration, if there is one.

    Args:
        asked: somebody named the arm, and not the pair that it belongs to.

    Raises:
        UserError: an arm was named and has none.
    """
    from ideomotor.control.calibration import USUAL_ARM, calibration_path, load_calibration
    from ideomotor.control.robots.bring_up import check_position, left_otherwise
    from ideomotor.control.robots.families import family_of

    if not asked and not calibration_path(embodiment.name, arm or USUAL_ARM).exists():
        named = f" --arm {arm}" if arm else ""
        return [], [f"not calibrated: ideomotor calibrate {embodiment.name}{named}"]
    calibration = load_calibration(embodiment, arm or USUAL_ARM)
    family, layout = family_of(embodiment)
    reports = [check.report for check in found.servos if check.report is not None]
    problems = []
    for report, known in zip(reports, calibration.joints, strict=False):  # shadows have no calibration
        if len(reports) < len(layout.motors):
            return [], []  # servos are missing, which is said already
        if known.offset is not None and report.offset != known.offset:
            problems.append(
                f"{known.joint} (id {known.id}): offset {report.offset} in the servo, {known.offset} in the "
                f"calibration of arm {calibration.arm}: another arm, or another program changed it"
            )
            continue
        try:
            check_position(report.counts, family, report.servo, known)
        except UserError as error:
            problems.append(str(error))
    left = left_otherwise(reports, family, embodiment, layout, calibration)
    return problems, [f"setting: {difference} (a launch resets it after asking)" for difference in left]


def table(servos: Sequence[ServoCheck]) -> Table:
    """The health of servos for people, within 80 columns."""
    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("joint", "id", "model", "V", "°C", "load", "A", "state"):
        rows.add_column(heading, no_wrap=True)
    for heading in ("p50", "p99 ms", "lost"):
        rows.add_column(heading, no_wrap=True, justify="right")
    for check in servos:
        servo, report = check.servo, check.report
        name = servo.joint + (", shadow" if servo.follows is not None else "")
        if report is None:
            rows.add_row(name, str(servo.id), servo.model.name, "no answer")
            continue
        current = max(check.current, key=abs) if check.current else math.nan
        state = f"{check.status:#04x}" if check.status else "on" if report.torque else "off"
        rows.add_row(
            name,
            str(servo.id),
            f"{servo.model.name} {report.firmware}",
            _range(check.voltage),
            f"{max(check.temperature):.0f}" if check.temperature else "",
            f"{100 * max(map(abs, check.load)):.0f} %" if check.load else "",
            "" if math.isnan(current) else f"{abs(current):.2f}",
            state,
            f"{check.reply_ms(50):.2f}" if check.reply_s else "",
            f"{check.reply_ms(99):.2f}" if check.reply_s else "",
            f"{check.lost}/{check.asked}",
        )
    return rows


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return f"{low:.1f}" if high - low < 0.15 else f"{low:.1f}..{high:.1f}"


def _as_json(
    embodiment: Embodiment,
    port: str,
    seconds: float,
    found: ArmCheck,
    problems: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    tick_ms = 1000 * float(np.median(found.tick_s)) if len(found.tick_s) else None
    return {
        "robot": embodiment.name,
        "port": port,
        "seconds": seconds,
        "tick_ms": tick_ms,
        "servos": [_servo_as_json(check) for check in found.servos],
        "problems": list(problems),
        "notes": list(notes),
    }


def _servo_as_json(check: ServoCheck) -> dict[str, Any]:
    servo, report = check.servo, check.report

    def of(values: Sequence[float], which: Any) -> float | None:
        known = [value for value in values if not math.isnan(value)]
        return float(which(known)) if known else None

    return {
        "joint": servo.joint,
        "id": servo.id,
        "model": servo.model.name,
        "answers": report is not None,
        "firmware": report and report.firmware,
        "motor_on": report and report.torque,
        "voltage": {"min": of(check.voltage, min), "max": of(check.voltage, max)},
        "temperature": of(check.temperature, max),
        "load": of([abs(load) for load in check.load], max),
        "current": of([abs(current) for current in check.current], max),
        "status": check.status,
        "faults": sorted(check.wrong),
        "reply_ms": {"p50": of([check.reply_ms(50)], max), "p99": of([check.reply_ms(99)], max)},
        "asked": check.asked,
        "lost": check.lost,
        "damaged": check.damaged,
    }
