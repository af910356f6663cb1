"""What is true of one arm and not of its kind: where each joint's zero is and how far it really goes.

One YAML file for each arm, in the user's configuration folder ($XDG_CONFIG_HOME or ~/.config), as
`ideomotor/calibration/ROBOT/ARM.yaml`. People may read and edit it; loading checks every number. All
positions are servo counts as the servo reports them, its own offset subtracted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
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


def default_calibration(embodiment: Embodiment) -> Calibration:
    """Returns that of an arm which is built exactly as its file says."""
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
        raise UserError(f"robot: {embodiment.name} has no section bus in its file, so it has no servos")
    return embodiment.bus
