"""LeRobot's own calibration files, as `lerobot-calibrate` writes them:

    ~/.cache/huggingface/lerobot/calibration/robots/so101_follower/ARM.json
    {"elbow_flex": {"id": 3, "drive_mode": 0, "homing_offset": -986, "range_min": 901, "range_max": 3110}, …}

Positions are counts with the offset that LeRobot has written into the servo; it has put the pose that the
arm was held in at first at 2047. `range_min` and `range_max` are the ends of the sweep, and stand in the
servo's position limits. LeRobot's zero is the middle between them; here it follows from the stops
(`control/sweep.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.fields import MAX_FILE_BYTES, Field
from ideomotor.control.servo_bus import Servo
from ideomotor.control.sweep import Sweep, from_sweep

SEAM = 40  # [counts] from both ends of a turn, within which a sweep went across the seam between them
MEND = (
    "it was swept across the seam of its counts (0/4095), so where its stops are is lost; calibrate again "
    "with the joint held in the middle of its range at first, or with ideomotor calibrate, which follows it "
    "across"
)
POSE = 2047  # [counts] that the homing pose gets


@dataclass(frozen=True)
class LerobotJoint:
    """One joint's entry, in counts."""

    joint: str
    id: int
    offset: int  # that the servo subtracts from its encoder (LeRobot's own sign is the servo's register's)
    range_min: int
    range_max: int


def read_lerobot_calibration(path: Path, embodiment: Embodiment) -> tuple[LerobotJoint, ...]:
    """Returns the entries of a file, in the order of the robot's joints.

    Raises:
        UserError: names what cannot be read or does not fit the robot.
    """
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_FILE_BYTES))
    except OSError as error:
        raise UserError(f"import: cannot read {str(path)!r} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"import: {str(path)!r} is not JSON ({error}), expected a LeRobot calibration"
        ) from error
    if isinstance(data, dict) and "motor_names" in data:
        raise UserError(
            f"import: {str(path)!r} has LeRobot's format of before June 2025, expected one entry for each "
            "joint: calibrate with a newer lerobot-calibrate, or with ideomotor calibrate"
        )
    assert embodiment.bus is not None  # `family_of` has looked
    servos = embodiment.bus.servos
    top = Field(data, "", path.name).record([servo.joint for servo in servos])
    return tuple(_joint(top[servo.joint], servo) for servo in servos)


def from_lerobot(
    joints: Sequence[LerobotJoint], embodiment: Embodiment, arm: str, made_at: str
) -> tuple[Calibration, list[str], list[str]]:
    """Returns the calibration that such a file means, what is implausible about it, and what to know."""
    assert embodiment.bus is not None
    made, problems, notes = [], [], []
    for servo, limits, entry in zip(embodiment.bus.servos, embodiment.joints, joints, strict=True):
        sweep = Sweep(POSE, entry.range_min, entry.range_max)
        found = from_sweep(servo, limits.lower, limits.upper, sweep)
        made.append(replace(found.joint, offset=entry.offset))
        if problem := _across_the_seam(servo, entry):
            problems.append(problem)
            continue
        problems += found.problems
        notes += found.notes
    return Calibration(embodiment.name, arm, made_at, tuple(made)), problems, notes


def _across_the_seam(servo: Servo, entry: LerobotJoint) -> str:
    """What is wrong with a sweep that was recorded within one turn and left it; empty if it did not.

    Its smallest and largest counts are then the ends of the turn, not of the joint (lerobot#3586).
    """
    last = servo.model.counts_per_turn - 1
    stopped = servo.end_stops or servo.zero_stop != "middle"
    if not stopped or entry.range_min > SEAM or entry.range_max < last - SEAM:
        return ""  # a joint without stops has its zero by the pose that it was held in
    span = entry.range_max - entry.range_min
    return f"{servo.joint}: its range was {span} counts, nearly a whole turn: {MEND}"


def _joint(item: Field, servo: Servo) -> LerobotJoint:
    fields = item.record(("id", "drive_mode", "homing_offset", "range_min", "range_max"), ("norm_mode",))
    turn = servo.model.counts_per_turn
    if fields["id"].value != servo.id:
        raise fields["id"].fail(f"{servo.id}, the id of {servo.joint}'s servo")
    if fields["drive_mode"].value != 0:
        raise fields["drive_mode"].fail("0: a servo that turns the other way round needs its own robot file")
    offset = fields["homing_offset"].integer(-turn // 2, turn // 2)
    for key in ("range_min", "range_max"):
        value = fields[key].value
        if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value < turn:
            raise fields[key].fail(f"0 to {turn - 1}: {MEND}")
    lower = fields["range_min"].integer(-1, turn)
    return LerobotJoint(
        joint=servo.joint,
        id=servo.id,
        offset=-offset if servo.model.protocol == "dynamixel" else offset,  # Dynamixel servos add it
        range_min=lower,
        range_max=fields["range_max"].integer(lower, turn),
    )
