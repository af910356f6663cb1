"""Whether a leader and its follower agree on their joints: held alike at some poses, where is each of them?

An offset between the two is invisible to a policy that is trained on what they record, and still puts the
gripper elsewhere (17° on one joint, seen in the field, are 6 cm at the tip). One that is the same in all
poses is a wrong zero, and is put right in the leader's calibration; one that is not comes from elsewhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import check_servos, positions, survey
from ideomotor.control.robots.family import Family
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.servo_bus import ServoBus
from ideomotor.control.teleop.mirror import mirror

POSES = 3
LIMIT = math.radians(3.0)  # [rad] that the arms may differ by, and an offset from pose to pose
LIMIT_M = 0.003  # [m], of a sliding joint
APART = 0.2  # [rad], or a quarter of that [m], that each joint has to be moved between the poses
STILL = math.radians(1.0)  # [rad or m] that an arm may move while it is read
READINGS = 5


@dataclass(frozen=True)
class JointDifference:
    """One joint's, leader minus follower."""

    joint: str
    unit: str
    differences: tuple[float, ...]  # [rad or m], one for each pose
    limit: float  # [rad or m]

    @property
    def offset(self) -> float:
        """What is the same in all poses [rad or m]."""
        return float(np.mean(self.differences))

    @property
    def differs(self) -> bool:
        return max(abs(difference) for difference in self.differences) > self.limit

    @property
    def is_offset(self) -> bool:
        """It differs by about the same in all poses: a wrong zero."""
        return self.differs and max(self.differences) - min(self.differences) <= self.limit

    def __str__(self) -> str:
        what = ", ".join(_shown(difference, self.unit) for difference in self.differences)
        if not self.differs:
            return f"{self.joint}: alike ({what})"
        if self.is_offset:
            return f"{self.joint}: the leader is {_shown(self.offset, self.unit)} off ({what})"
        return (
            f"{self.joint}: it differs from pose to pose ({what}): the arms were not held alike, a horn is "
            "loose, or one of them was calibrated with a joint the other way round: hold them again, or "
            "calibrate both"
        )


def read_pose(line: ServoLine, family: Family, layout: ServoBus, calibration: Calibration) -> np.ndarray:
    """Returns where the joints of an arm that is held still are, (A,) [rad or m]; changes nothing.

    Raises:
        UserError: a servo does not answer, is not as the files say, or the arm moves.
    """
    readings = []
    for _ in range(READINGS):
        reports = survey(line, family, layout)
        check_servos(reports, family, calibration)
        readings.append(positions(reports, family, layout, calibration))
        time.sleep(0.02)
    moved = np.ptp(np.array(readings), axis=0)
    if (moved > STILL).any():
        restless = [servo.joint for servo, m in zip(layout.servos, moved, strict=True) if m > STILL]
        raise UserError(f"pose: {', '.join(restless)} moved, expected both arms to be held still")
    return np.mean(readings, axis=0)


def differences(
    leader: Embodiment, follower: Embodiment, poses: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[JointDifference]:
    """Returns what two arms that were held alike differ by, without grippers: their handles turn otherwise.

    Args:
        poses: (leader's joints (L,), follower's joints (A,)) [rad or m] of each.

    Raises:
        UserError: the leader does not lead that robot, or a joint was hardly moved between the poses.
    """
    how = mirror(leader, follower)
    led = np.array([how.unclipped(pose) for pose, _ in poses])
    held = np.array([pose for _, pose in poses])
    found, resting = [], []
    for i, joint in enumerate(follower.joints):
        if joint.name in follower.grippers:
            continue
        meter = joint.unit == "m"
        if np.ptp(held[:, i]) < (APART / 4 if meter else APART):
            resting.append(joint.name)
        off = tuple(float(value) for value in led[:, i] - held[:, i])
        found.append(JointDifference(joint.name, joint.unit, off, LIMIT_M if meter else LIMIT))
    if resting:
        raise UserError(
            f"poses: {', '.join(resting)} stood about the same in all of them, expected each joint to be "
            f"moved by at least {math.degrees(APART):.0f}°"
        )
    return found


def corrected(calibration: Calibration, leader: Embodiment, found: Sequence[JointDifference]) -> Calibration:
    """Returns the leader's calibration, with the zeros moved of joints that are off by the same everywhere.

    Raises:
        UserError: a zero would lie outside a turn of its servo: the arm has to be calibrated.
    """
    assert leader.bus is not None  # it has been read
    off = {each.joint: each.offset for each in found if each.is_offset}
    joints = []
    for known, servo in zip(calibration.joints, leader.bus.servos, strict=True):
        zero = round(known.zero + servo.counts_per_unit * off.get(known.joint, 0.0))
        if not 0 <= zero < servo.model.counts_per_turn:
            raise UserError(
                f"{known.joint}: its zero would be at {zero} counts, expected 0 to "
                f"{servo.model.counts_per_turn - 1}; calibrate the leader: ideomotor calibrate {leader.name}"
            )
        joints.append(replace(known, zero=zero))
    return replace(calibration, joints=tuple(joints))


def _shown(value: float, unit: str) -> str:
    return f"{1000 * value:+.1f} mm" if unit == "m" else f"{math.degrees(value):+.1f}°"
