"""`ideomotor calibrate ROBOT --import FILE`: LeRobot's own calibration file, after a look at the arm.

LeRobot keeps a calibration twice: in its file, and in the servos (offsets and position limits). If the
offsets agree, the file is of this arm and the servos need no writing. If not, it is another arm, or it was
calibrated again, or its servos were reset: only a person at a terminal can say, and `--yes` is not enough.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from ideomotor.control.errors import UserError
from ideomotor.launch.commands.bring_up.calibration_person import TerminalPerson, joints_as_json
from ideomotor.launch.commands.bring_up.servo_settings import table as settings_table
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.calibration import Calibration
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.lerobot_calibration import LerobotJoint
    from ideomotor.control.robots.family import ServoReport


def import_calibration(
    embodiment: Embodiment, port: str, arm: str, file: Path, output: Output, yes: bool
) -> int:
    """Compares, asks, writes; 0 if a calibration was written, 1 if the file is implausible or nobody agreed.

    Raises:
        UserError: the file cannot be read, does not fit the arm, or there is nobody to ask.
    """
    from ideomotor.control.calibration import calibration_path, save_calibration
    from ideomotor.control.lerobot_calibration import from_lerobot, read_lerobot_calibration
    from ideomotor.control.robots.bring_up import check_servos, left_otherwise, reset, survey, switch_off
    from ideomotor.control.robots.drivers import opened
    from ideomotor.control.robots.hand_calibration import write_offsets

    path, person = calibration_path(embodiment.name, arm), TerminalPerson(output)
    entries = read_lerobot_calibration(file, embodiment)
    made, problems, notes = from_lerobot(entries, embodiment, arm, time.strftime("%Y-%m-%d %H:%M:%S"))
    with opened(embodiment, port) as (line, family, layout):
        reports = survey(line, family, layout)
        check_servos(reports, family, _without_offsets(made))
        output.text.print(_compared(reports, entries, made))
        for note in notes:
            output.text.print(f"note: {note}")
        for problem in problems:
            output.text.print(f"implausible: {problem}")
        if problems:
            output.text.print("Nothing was written. Calibrate the arm again, here or with lerobot-calibrate.")
            return 1
        servos, new = layout.servos, [entry.offset for entry in entries]
        old = [report.offset for report in reports[: len(servos)]]
        strange = [servo.joint for servo, a, b in zip(servos, old, new, strict=True) if a != b]
        left = left_otherwise(reports, family, embodiment, layout, made)
        _check_positions(reports, entries, made)
        if left:
            output.text.print("\nAnother program left this in the servos:")
            output.text.print(settings_table(left))
        if not _agreed(person, yes, strange, len(left), path):
            output.text.print("Nothing was written.")
            return 1
        if (strange or left) and any(report.torque for report in reports):
            if yes:
                raise UserError(
                    "servos: their motors are on, expected them off before they are written to; support the "
                    "arm and switch its supply off and on"
                )
            person.ready("Hold the arm: its motors will be switched off, and it sinks.")
            if not switch_off(line, family, layout):
                raise UserError(f"bus: not all motors at {port} could be switched off, expected them off")
        reset(line, family, left)
        if strange:
            write_offsets(line, family, servos, new, old)
    save_calibration(made)
    output.text.print(f"Written to {path}.")
    output.result(
        {
            "robot": embodiment.name,
            "arm": arm,
            "path": str(path),
            "imported": str(file),
            "offsets_written": strange,
            "settings_reset": [str(difference) for difference in left],
            "notes": notes,
            "joints": joints_as_json(made),
        }
    )
    return 0


def _agreed(person: TerminalPerson, yes: bool, strange: list[str], resets: int, path: Path) -> bool:
    terminal = bool(sys.stdin) and sys.stdin.isatty()
    if strange:
        what = (
            f"import: the offsets in the servos of {', '.join(strange)} are not the file's: another arm's "
            "file, one from before its last calibration, or servos that were reset"
        )
        if yes or not terminal:
            raise UserError(f"{what}; expected a person at a terminal who knows that it is this arm's")
        person.ready(f"{what[8:]}. Go on only if it is this very arm's and no servo was exchanged.")
    writes = ["the file's offsets"] * bool(strange) + [f"{resets} settings"] * bool(resets)
    replaces = ", replacing the one there" if path.exists() else ""
    into = f"{' and '.join(writes)} into the servos, and " if writes else ""
    if not yes and not terminal:
        raise UserError("standard input: expected a terminal, since something is asked (or use --yes)")
    return yes or person.agrees(f"Write {into}the calibration to {path}{replaces}?")


def _check_positions(
    reports: list[ServoReport], entries: tuple[LerobotJoint, ...], made: Calibration
) -> None:
    """UserError if a joint is where the file says that it cannot be."""
    from ideomotor.control.robots.bring_up import RANGE_MARGIN

    for report, entry in zip(reports, entries, strict=False):
        counts = _with_offset(report, entry)
        if report.servo.end_stops and not (
            entry.range_min - RANGE_MARGIN <= counts <= entry.range_max + RANGE_MARGIN
        ):
            raise UserError(
                f"import: {entry.joint}: it is at {counts} counts with the file's offset, expected "
                f"{entry.range_min} to {entry.range_max}: the file is another arm's"
            )


def _with_offset(report: ServoReport, entry: LerobotJoint) -> int:
    return (report.counts + report.offset - entry.offset) % report.servo.model.counts_per_turn


def _without_offsets(made: Calibration) -> Calibration:
    return replace(made, joints=tuple(replace(joint, offset=None) for joint in made.joints))


def _compared(reports: list[ServoReport], entries: tuple[LerobotJoint, ...], made: Calibration) -> Table:
    """What the servos say beside what the file says."""
    table = Table("joint", "id", "offset", "file", "limits", "file", "is at", "zero", "from", "to", box=None)
    for report, entry, joint in zip(reports, entries, made.joints, strict=False):
        limits = f"{report.limits[0]}..{report.limits[1]}"
        numbers = (entry.id, report.offset, entry.offset, limits, f"{entry.range_min}..{entry.range_max}")
        place = (_with_offset(report, entry), joint.zero, joint.lower, joint.upper)
        table.add_row(entry.joint, *map(str, (*numbers, *place)))
    return table
