"""Jogging the tip: it goes where it is commanded, within the joints' limits, wherever the arm is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.kinematics import Kinematics
from ideomotor.control.teleop.jog import AXES, LEAD, JogLimits, TipJog, TipKinematics

ROBOT = load_embodiment("so101")
assert ROBOT.geometry is not None
TIP = TipKinematics(ROBOT, ROBOT.geometry)
POSE = np.array([0.2, -0.6, 0.6, 0.9, 0.1, 0.5])
POSES = st.lists(st.floats(0.02, 0.98), min_size=6, max_size=6).map(
    lambda shares: ROBOT.lower + np.array(shares) * (ROBOT.upper - ROBOT.lower)
)


def jogged(wanted: list[float], start: np.ndarray, ticks: int = 60, grip: float = 0.0) -> np.ndarray:
    """(ticks, 6) targets of a follower that goes where it is commanded."""
    jog, targets = TipJog(ROBOT), []
    jog.stand(start)
    for _ in range(ticks):
        state = SimpleNamespace(command=jog.target.copy())
        targets.append(jog.step(np.array(wanted), grip, state, 1 / 120))
    return np.array(targets)


@given(pose=POSES)
def test_the_jacobian_is_how_the_tip_moves(pose: np.ndarray) -> None:
    small = 1e-6 * np.eye(6)
    measured = np.stack([(TIP.tip(pose + step) - TIP.tip(pose - step)) / 2e-6 for step in small], axis=1)
    assert TIP.jacobian(pose)[:3] == pytest.approx(measured, abs=1e-7)
    assert not TIP.jacobian(pose)[:, 5].any(), "the jaw does not move the tip"


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_the_tip_goes_straight_and_keeps_its_pitch_and_roll(axis: int, sign: int) -> None:
    wanted = [0.0] * 5
    wanted[axis] = 0.1 * sign
    path = np.array([TIP.tip(target) for target in jogged(wanted, POSE)]) - TIP.tip(POSE)
    expected = 0.1 * sign * (60 / 120 - JogLimits().rise_s * (0.1 / 0.15) / 2)
    assert path[-1, axis] == pytest.approx(expected, rel=0.03)
    assert np.abs(np.delete(path, axis, axis=1)).max() < 0.002
    turned = tilt(jogged(wanted, POSE)[-1]) - tilt(POSE)
    assert turned == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("axis", "joint"), [("pitch", None), ("roll", "wrist_roll")])
def test_the_gripper_turns_about_its_tip(axis: str, joint: str | None) -> None:
    wanted = [0.0] * 5
    wanted[AXES.index(axis)] = 0.5
    end = jogged(wanted, POSE)[-1]
    assert np.linalg.norm(TIP.tip(end) - TIP.tip(POSE)) < 0.002, "which stays where it is"
    if joint:
        assert abs(end - POSE)[ROBOT.joint_names.index(joint)] > 0.15
    else:
        assert tilt(end) - tilt(POSE) == pytest.approx(-0.5 * (0.5 - 0.03), abs=0.02), "its nose goes down"


@given(
    pose=POSES,
    wanted=st.lists(st.floats(-9, 9), min_size=5, max_size=5),
    grip=st.floats(-9, 9),
)
def test_no_pose_makes_a_joint_fast_or_leave_its_range(pose, wanted: list[float], grip: float) -> None:
    """Singular poses and ends of ranges are among them: shares of 0.02 and arms stretched out."""
    targets = np.vstack([pose, jogged(wanted, pose, 20, grip)])
    speeds = np.abs(np.diff(targets, axis=0)) * 120
    assert (speeds <= 0.71 * ROBOT.max_velocity + 1e-9).all()
    assert (targets >= ROBOT.lower).all() and (targets <= ROBOT.upper).all()
    limits = JogLimits()
    ways = np.linalg.norm(np.diff([TIP.tip(target) for target in targets], axis=0), axis=1) * 120
    assert ways.max() <= np.sqrt(3) * limits.way + 0.25 * limits.turn + 0.05


def test_a_stretched_arm_comes_back() -> None:
    """Jogged forward until it can go no further, it comes back as soon as it is commanded to."""
    out = jogged([0.15, 0, 0, 0, 0], POSE, 600)[-1]
    further = TIP.tip(jogged([0.15, 0, 0, 0, 0], out, 60)[-1]) - TIP.tip(out)
    assert further[0] < 0.01, "it was at its end"
    back = TIP.tip(jogged([-0.15, 0, 0, 0, 0], out, 60)[-1]) - TIP.tip(out)
    assert back[0] < -0.02


def test_a_target_does_not_run_away_from_an_arm_that_stands() -> None:
    jog = TipJog(ROBOT)
    jog.stand(POSE)
    state, target = SimpleNamespace(command=POSE), POSE
    for _ in range(300):
        target = jog.step(np.array([0.0, 0.0, -0.15, 0.0, 0.0]), 0.0, state, 1 / 120)
    assert np.abs(target - POSE).max() == pytest.approx(LEAD)


def test_the_gripper_goes_by_shares_of_its_range() -> None:
    end = jogged([0.0] * 5, POSE, 60, grip=0.4)[-1]
    expected = 0.4 * (60 / 120 - JogLimits().rise_s / 4) * (ROBOT.upper - ROBOT.lower)[5]
    assert end[5] - POSE[5] == pytest.approx(expected, rel=0.05) and (end[:5] == POSE[:5]).all()


def test_a_robot_whose_links_nobody_knows_cannot_be_jogged() -> None:
    with pytest.raises(UserError, match="jogging the tip of koch needs the section geometry"):
        TipJog(load_embodiment("koch"))


def tilt(position: np.ndarray) -> float:
    """[rad] of the gripper above the horizontal."""
    assert ROBOT.geometry is not None
    kinematics = Kinematics(ROBOT, ROBOT.geometry)
    frame = kinematics.frames(position[None])[:, 0, kinematics.names.index(ROBOT.geometry.tip_link)]
    along = frame[:, :3] @ np.array(ROBOT.geometry.tip_position)
    return float(np.arcsin(along[2] / np.linalg.norm(along)))
