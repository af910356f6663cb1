"""What is true of one arm and not of its kind: where each joint's zero is and how far it really goes.

One YAML file for each arm, in the user's configuration folder ($XDG_CONFIG_HOME or ~/.config), as
`ideomotor/calibration/ROBOT/ARM.yaml`. People may read and edit it; loading checks every number. All
positions are servo counts as the servo reports them, its own offset subtracted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.fields import Field, read_yaml
from ideomotor.control.servo_bus import Servo, ServoBus

VERSION = 1
USUAL_ARM = "main"


@dataclass(frozen=True)
class JointCalibration:
    """One joint's; all in counts."""

    joint: str
    id: int
    zero: int  # where the joint's position is 0
    lower: int  # goals are never sent below it
    upper: int  # nor above it
    offset: int | None  # that the servo itself subtracts; None: whatever it has


@dataclass(frozen=True)
class Calibration:
    """One arm's, joints in the order of the embodiment."""

    robot: str
    arm: str
    made_at: str  # date and time, for people
    joints: tuple[JointCalibration, ...]


def calibration_path(robot: str, arm: str = USUAL_ARM) -> Path:
    """Returns where the calibration of an arm is kept.

    Raises:
        UserError: `robot` or `arm` cannot be part of a file's name.
    """
    for field, name in (("robot", robot), ("arm", arm)):
        if not name or not all(c.isalnum() or c in "-_" for c in name):
            raise UserError(f"{field}: got {name!r}, expected letters, digits, - and _")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if os.path.isabs(base) else Path.home() / ".config"
    return folder / "ideomotor" / "calibration" / robot / f"{arm}.yaml"


def calibration_files(embodiment: Embodiment, arm: str = USUAL_ARM) -> list[Path]:
    """Returns where the calibration of an arm is kept, or those of both arms of a pair."""
    if not embodiment.arms:
        return [calibration_path(embodiment.name, arm)]
    return [calibration_path(each.embodiment.name, arm_name(each.name, arm)) for each in embodiment.arms]


def arm_name(side: str, pair: str = USUAL_ARM) -> str:
    """Returns the name under which one arm of a pair is calibrated: left, or OFFICE_left of a pair OFFICE."""
    return side if pair == USUAL_ARM else f"{pair}_{side}"


def split_calibration(embodiment: Embodiment, calibration: Calibration) -> dict[str, Calibration]:
    """Returns {arm: its calibration} of that of a pair."""
    parts, first = {}, 0
    for arm in embodiment.arms:
        count = len(arm.embodiment.joints)
        own = calibration.joints[first : first + count]
        joints = tuple(replace(joint, joint=joint.joint.removeprefix(arm.prefix)) for joint in own)
        name = arm_name(arm.name, calibration.arm)
        parts[arm.name] = Calibration(arm.embodiment.name, name, calibration.made_at, joints)
        first += count
    return parts


def join_calibrations(embodiment: Embodiment, name: str, parts: Sequence[Calibration]) -> Calibration:
    """Returns the calibration of a pair, of those of its arms in order."""
    joints = tuple(
        replace(joint, joint=arm.prefix + joint.joint)
        for arm, part in zip(embodiment.arms, parts, strict=True)
        for joint in part.joints
    )
    made = " and ".join(dict.fromkeys(part.made_at for part in parts))
    return Calibration(embodiment.name, name, made, joints)


def default_calibration(embodiment: Embodiment) -> Calibration:
    """Returns that of an arm which is built exactly as its file says."""
    if embodiment.arms:
        parts = [default_calibration(arm.embodiment) for arm in embodiment.arms]
        return join_calibrations(embodiment, USUAL_ARM, parts)
    joints = []
    for servo, joint in zip(_bus(embodiment).servos, embodiment.joints, strict=True):
        lower, upper = counts_range(servo, servo.zero, joint.lower, joint.upper)
        joints.append(JointCalibration(servo.joint, servo.id, servo.zero, lower, upper, None))
    return Calibration(embodiment.name, USUAL_ARM, "", tuple(joints))


def load_calibration(embodiment: Embodiment, arm: str = USUAL_ARM, path: Path | None = None) -> Calibration:
    """Returns the calibration of an arm, from its usual place unless `path` names another file.

    Raises:
        UserError: there is none, it is of another robot or version, or a number in it is out of range.
    """
    if embodiment.arms and path is None:
        return _of_pair(embodiment, arm)
    path = path or calibration_path(embodiment.name, arm)
    if not path.exists():
        name = "" if arm == USUAL_ARM else f" --arm {arm}"
        raise UserError(
            f"calibration: {path} does not exist; make it with: ideomotor calibrate {embodiment.name}{name}"
        )
    top = Field(read_yaml(path), "", path.name).record(("version", "robot", "arm", "made_at", "joints"))
    if top["version"].value != VERSION:
        raise top["version"].fail(f"{VERSION}; calibrate the arm again")
    if top["robot"].value != embodiment.name:
        raise top["robot"].fail(embodiment.name)
    servos = _bus(embodiment).servos
    entries = top["joints"].items(len(servos))
    joints = tuple(_joint(entry, servo) for entry, servo in zip(entries, servos, strict=True))
    return Calibration(embodiment.name, top["arm"].text(), top["made_at"].text(), joints)


def save_calibration(calibration: Calibration, path: Path | None = None) -> Path:
    """Writes the calibration of an arm, whole or not at all, to its usual place or `path`; returns where."""
    path = path or calibration_path(calibration.robot, calibration.arm)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"  - {{joint: {json.dumps(j.joint)}, id: {j.id}, zero: {j.zero}, lower: {j.lower}, "
        f"upper: {j.upper}, offset: {'null' if j.offset is None else j.offset}}}\n"
        for j in calibration.joints
    ]
    text = (
        "# Made by `ideomotor calibrate`. Positions in servo counts: zero is where the joint's position\n"
        "# is 0, goals stay between lower and upper, offset is what the servo itself subtracts.\n"
        f"version: {VERSION}\nrobot: {json.dumps(calibration.robot)}\n"
        f"arm: {json.dumps(calibration.arm)}\nmade_at: {json.dumps(calibration.made_at)}\n"
        "joints:\n" + "".join(rows)
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _of_pair(embodiment: Embodiment, name: str) -> Calibration:
    arms = embodiment.arms
    parts = [load_calibration(arm.embodiment, arm_name(arm.name, name)) for arm in arms]
    return join_calibrations(embodiment, name, parts)


def _joint(item: Field, servo: Servo) -> JointCalibration:
    fields = item.record(JointCalibration.__dataclass_fields__)
    turn = servo.model.counts_per_turn
    if fields["joint"].value != servo.joint:
        raise fields["joint"].fail(f"{servo.joint!r}, the joint at this place")
    if fields["id"].value != servo.id:
        raise fields["id"].fail(f"{servo.id}, the id of {servo.joint}'s servo")
    lower = fields["lower"].integer(-1, turn)
    offset = fields["offset"]
    return JointCalibration(
        joint=servo.joint,
        id=servo.id,
        zero=fields["zero"].integer(-1, turn),
        lower=lower,
        upper=fields["upper"].integer(lower, turn),
        offset=None if offset.value is None else offset.integer(-turn // 2, turn // 2),
    )


def counts_range(servo: Servo, zero: int, lower: float, upper: float) -> tuple[int, int]:
    """Returns the counts of a joint's range, the lower ones first."""
    ends = sorted(zero + servo.counts_per_unit * end for end in (lower, upper))
    return round(ends[0]), round(ends[1])


def _bus(embodiment: Embodiment) -> ServoBus:
    if embodiment.bus is None:
        raise no_bus(embodiment)
    return embodiment.bus


def no_bus(embodiment: Embodiment) -> UserError:
    """The error for a robot without a line of servos where one is needed."""
    if embodiment.arms:
        each = " and ".join(f"{arm.embodiment.name} --arm {arm.name}" for arm in embodiment.arms)
        return UserError(f"robot: {embodiment.name} is made of two arms, expected one at a time: {each}")
    return UserError(f"robot: {embodiment.name} has no section bus in its file, so it has no servos")
