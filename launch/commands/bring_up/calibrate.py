"""`ideomotor calibrate`: a guided dialogue that finds out where an arm's zeros and ends are.

The arm is moved by hand with its motors off. Until the last question is answered with yes nothing is
written, neither into the servos nor to disk: Ctrl-C leaves everything as it was.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table

from ideomotor.control.calibration import USUAL_ARM
from ideomotor.control.errors import UserError
from ideomotor.launch.commands.bring_up.calibration_person import (
    Person,
    SimulatedPerson,
    TerminalPerson,
    joints_as_json,
)
from ideomotor.launch.commands.bring_up.servo_settings import table as settings_table
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.calibration import Calibration
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.robots.hand_calibration import SweptArm

WATCH_HZ = 60.0
SHOW_EVERY_S = 1.0


@dataclass(frozen=True)
class CalibrateOptions:
    """Calibrates an arm: you move it by hand, its motors are off."""

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    port: str | None = None
    """serial device of the servo adapter, e.g. /dev/ttyACM0"""

    arm: str = "main"
    """name of this arm, if you have several of its kind; of a pair: left or right"""

    twin: bool = False
    """rehearse it with a simulated arm, moved by a simulated hand; keeps the result as arm twin"""

    from_lerobot: Annotated[Path | None, tyro.conf.arg(name="import", metavar="FILE")] = None
    """take LeRobot's own calibration file of this arm, after comparing it with what the servos say; nothing
    has to be moved (LeRobot keeps it in ~/.cache/huggingface/lerobot/calibration/robots)"""

    compare: Annotated[str | None, tyro.conf.arg(metavar="LEADER[@DEV]")] = None
    """compare the joints of a leader with this arm's, both held alike at three poses; what differs by more
    than 3° is said, and put right in the leader's calibration file after a yes"""

    leader_arm: Annotated[str, tyro.conf.arg(metavar="NAME")] = "main"
    """with --compare: name of the leader arm, if you have several of its kind"""

    yes: bool = False
    """with --import: agree to what is asked, though not to letting go an arm that its motors hold"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the calibration as JSON; - is standard output"""


def calibrate(options: CalibrateOptions) -> int:
    """Runs the dialogue; 0 if a calibration was written, 1 if the arm moved implausibly."""
    from ideomotor.control.embodiment import load_embodiment

    output = Output(options.json)
    embodiment = load_embodiment(options.robot)
    if embodiment.arms:
        options = _of_one_arm(options, embodiment)
        embodiment = load_embodiment(options.robot)
    if options.twin and options.from_lerobot is not None:
        raise UserError("import: --import and --twin exclude each other: a file is compared with a real arm")
    if options.compare is not None:
        from ideomotor.launch.commands.bring_up.compare_arms import compare_arms

        if options.from_lerobot is not None:
            raise UserError("compare: --compare and --import exclude each other")
        arms = options.port, options.arm, options.compare, options.leader_arm
        return compare_arms(options.robot, *arms, options.twin, output)
    if options.twin:
        from ideomotor.sim.twin.process import Twin

        with Twin(options.robot, _mounted_anyhow(len(embodiment.joints))) as twin:
            return dialogue(embodiment, twin.port, "twin", SimulatedPerson(twin, output), output)
    if options.port is None:
        raise UserError(
            "port: missing, expected the servo adapter's device, e.g. --port /dev/ttyACM0, or --twin"
        )
    if options.from_lerobot is not None:
        from ideomotor.launch.commands.bring_up.import_calibration import import_calibration

        return import_calibration(
            embodiment, options.port, options.arm, options.from_lerobot, output, options.yes
        )
    if not sys.stdin.isatty():
        raise UserError(
            "standard input: expected a terminal, since calibrating is a dialogue (or use --twin)"
        )
    return dialogue(embodiment, options.port, options.arm, TerminalPerson(output), output)


def _of_one_arm(options: CalibrateOptions, pair: Embodiment) -> CalibrateOptions:
    """The options for the arm of a pair that is meant: its own robot, its name, and its leader's."""
    for arm in pair.arms:
        side = arm.name
        if options.arm == side or options.arm.endswith(f"_{side}"):
            leader = options.leader_arm if options.leader_arm != USUAL_ARM else options.arm
            return replace(options, robot=arm.robot, leader_arm=leader)
    names = " or ".join(f"--arm {arm.name}" for arm in pair.arms)
    raise UserError(f"arm: got {options.arm!r}, expected one of {pair.name}'s: {names}")


def dialogue(embodiment: Any, port: str, arm: str, person: Person, output: Output) -> int:
    """Asks `person` for each step; writes only after the last yes."""
    from ideomotor.control.calibration import calibration_path, save_calibration
    from ideomotor.control.robots.hand_calibration import SweptArm

    path = calibration_path(embodiment.name, arm)
    swept = SweptArm(embodiment, port)
    try:
        output.text.print(_servos(swept))
        if swept.motors_on:
            person.ready("Hold the arm: its motors will be switched off, and it sinks.")
        swept.release()
        if not _reset_counting(swept, person, output):
            return 1
        person.ready(
            "Put every joint about into the middle of its range, the gripper half open, and hold it still."
        )
        swept.take_middle()
        going_on = person.moving("Move every joint, one after the other, to both of its ends.")
        _watch(swept, going_on, output)
        if grippers := swept.with_zero_stops:
            person.ready(
                f"Now close the {' and the '.join(grippers)} completely and let it stay so.", "closed"
            )
            swept.take_zero_stops()
        result, problems, notes = swept.result(arm, time.strftime("%Y-%m-%d %H:%M:%S"))
        output.text.print(_ranges(swept, result))
        for note in notes:
            output.text.print(f"note: {note}")
        for problem in problems:
            output.text.print(f"implausible: {problem}")
        if problems:
            output.text.print("Nothing was written. Please calibrate again.")
            return 1
        left = swept.left_otherwise(result)
        if left:
            output.text.print("\nAnother program left this in the servos:")
            output.text.print(settings_table(left))
        replaces = ", replacing the one there" if path.exists() else ""
        resets = f", and reset {len(left)} settings" if left else ""
        if not person.agrees(f"Write this to the servos and to {path}{replaces}{resets}?"):
            output.text.print("Nothing was written.")
            return 1
        swept.reset(left)
        swept.write_offsets()
        save_calibration(result)
    finally:
        swept.close()
    output.result({"robot": embodiment.name, "arm": arm, "path": str(path), "joints": joints_as_json(result)})
    output.text.print(f"Written to {path}. The motors are off.")
    return 0


def _reset_counting(swept: SweptArm, person: Person, output: Output) -> bool:
    """Resets what makes servos count otherwise, which a sweep cannot do without; whether all is well."""
    found = swept.counted_otherwise()
    if not found:
        return True
    output.text.print(
        "\nAnother program left this in the servos, so that their positions mean something else:"
    )
    output.text.print(settings_table(found))
    if not person.agrees("Reset it now, before the arm is moved?"):
        output.text.print("Nothing was written.")
        return False
    swept.reset(found)
    return True


def _watch(swept: SweptArm, going_on: Callable[[], bool], output: Output) -> None:
    shown = time.monotonic()
    while going_on():
        start = time.monotonic()
        swept.watch()
        if start - shown >= SHOW_EVERY_S:
            shown = start
            spans = swept.highest - swept.lowest
            parts = [f"{s.joint} {span:.0f}" for s, span in zip(swept.layout.servos, spans, strict=True)]
            output.text.print("  counts so far: " + ", ".join(parts))
        time.sleep(max(0.0, start + 1 / WATCH_HZ - time.monotonic()))


def _servos(swept: SweptArm) -> Table:
    table = Table("joint", "id", "model", "firmware", "voltage", "temperature", "motor", box=None)
    for report in swept.reports:
        row = (report.servo.id, report.servo.model.name, report.firmware)
        health = (f"{report.voltage:.1f} V", f"{report.temperature:.0f} °C", "on" if report.torque else "off")
        table.add_row(report.servo.joint, *map(str, row), *health)
    return table


def _ranges(swept: SweptArm, result: Calibration) -> Table:
    table = Table("joint", "from", "to", "zero", "offset", "moved", box=None)
    spans = swept.highest - swept.lowest
    for joint, span in zip(result.joints, spans, strict=True):
        row = (joint.lower, joint.upper, joint.zero, joint.offset, f"{span * 360 / 4096:.0f}°")
        table.add_row(joint.joint, *map(str, row))
    return table


def _mounted_anyhow(joints: int) -> tuple[int, ...]:
    """Servo horns as a first-time builder mounts them, the seam in the way of some."""
    return tuple((1365 * i + 700) % 4096 - 2048 for i in range(joints))
