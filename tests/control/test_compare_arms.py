"""What two arms that were held alike differ by, and how the leader's zeros are put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop.compare_arms import JointDifference, corrected, differences

LEADER, FOLLOWER = load_embodiment("so101_leader"), load_embodiment("so101")
MIDDLE = (FOLLOWER.lower + FOLLOWER.upper) / 2
HALF = (FOLLOWER.upper - FOLLOWER.lower) / 2
HELD = [MIDDLE + share * HALF for share in (0.0, 0.5, -0.4)]


def compared(off_deg: Sequence[Sequence[float]]) -> dict[str, JointDifference]:
    """`off_deg`: (3, 6), what the leader is off at each pose."""
    poses = [(held + np.radians(off), held) for held, off in zip(HELD, off_deg, strict=True)]
    return {each.joint: each for each in differences(LEADER, FOLLOWER, poses)}


def test_a_joint_that_is_off_everywhere_is_told_from_one_that_is_off_somewhere() -> None:
    found = compared([[0, 2.9, 17, 4, -17, 40], [0, -2.9, 16.5, 0, -17.5, 0], [0, 1, 18, -4, -16.5, -40]])
    assert list(found) == ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
    assert [each.differs for each in found.values()] == [False, False, True, True, True]
    assert [each.is_offset for each in found.values()] == [False, False, True, False, True]
    assert str(found["elbow_flex"]) == "elbow_flex: the leader is +17.2° off (+17.0°, +16.5°, +18.0°)"
    assert "differs from pose to pose (+4.0°, +0.0°, -4.0°)" in str(found["wrist_flex"])


def test_poses_that_are_all_alike_say_nothing() -> None:
    poses = [(held.copy(), held.copy()) for held in HELD]
    for leader, follower in poses:
        leader[3] = follower[3] = 0.1
    with pytest.raises(UserError, match=r"poses: wrist_flex stood about the same in all of them"):
        differences(LEADER, FOLLOWER, poses)


@pytest.mark.parametrize("direction", [1, -1])
def test_the_corrected_leader_is_where_the_follower_is(direction: int) -> None:
    assert LEADER.bus is not None
    servos = tuple(replace(servo, direction=direction) for servo in LEADER.bus.servos)
    leader = replace(LEADER, bus=replace(LEADER.bus, servos=servos))
    known = default_calibration(LEADER)
    found = compared([[0, 0, 17, 0, -9, 0]] * 3)
    made = corrected(known, leader, list(found.values()))
    counts = known.joints[2].zero + servos[2].counts_per_unit * np.radians(
        50 + 17
    )  # at 50°, which reads as 67°
    assert (counts - made.joints[2].zero) / servos[2].counts_per_unit == pytest.approx(
        np.radians(50), abs=0.001
    )
    assert [a == b for a, b in zip(made.joints, known.joints, strict=True)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_zero_outside_a_turn_is_refused() -> None:
    known = default_calibration(LEADER)
    joints = (replace(known.joints[0], zero=4000), *known.joints[1:])
    found = compared([[30, 0, 0, 0, 0, 0]] * 3)
    with pytest.raises(
        UserError, match="its zero would be at 4341 counts, .* ideomotor calibrate so101_leader"
    ):
        corrected(replace(known, joints=joints), LEADER, list(found.values()))


def test_arms_that_are_no_pair_are_refused() -> None:
    with pytest.raises(UserError, match="leader: vx300s has the joints waist"):
        differences(load_embodiment("vx300s"), FOLLOWER, [(MIDDLE, MIDDLE)] * 3)
