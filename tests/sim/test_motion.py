"""Motions keep within the experts' limits and end where they should."""

from __future__ import annotations

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.safety.kinematics import Kinematics
from ideomotor.sim.motion import Arm, Unreachable, gripper_rotation

ROBOT = load_embodiment("so101")


def new_arm() -> Arm:
    return Arm(ROBOT, ROBOT.home_position)


@pytest.mark.parametrize("position", [(0.20, 0.05, 0.02), (0.17, -0.12, 0.05), (0.27, 0.0, 0.07)])
@pytest.mark.parametrize("roll", [-1.5, 0.0, 0.7])
def test_solutions_agree_with_the_table(position: tuple[float, float, float], roll: float) -> None:
    arm = new_arm()
    posture = arm.solve(np.array(position), roll)
    assert (posture >= ROBOT.lower).all() and (posture <= ROBOT.upper).all()
    assert ROBOT.geometry
    kinematics = Kinematics(ROBOT, ROBOT.geometry)
    gripper = kinematics.frames(posture[None])[:, 0, kinematics.names.index("gripper")]
    tip = gripper @ (0.012, -0.00022, -0.09813, 1.0)
    np.testing.assert_allclose(tip[:3], position, atol=2e-3)
    bearing = np.arctan2(position[1], position[0] - 0.0388)
    np.testing.assert_allclose(gripper[:3, :3], gripper_rotation(bearing, roll, 0.2), atol=0.06)


def test_out_of_reach_is_said_so() -> None:
    with pytest.raises(Unreachable, match="no posture"):
        new_arm().solve(np.array([0.6, 0.0, 0.1]))


def test_paths_are_smooth_and_start_and_end_at_rest() -> None:
    arm = new_arm()
    path = [ROBOT.home_position] * 4
    path += list(arm.move_to(np.array([0.2, 0.1, 0.07])))
    path += list(arm.line_to(np.array([0.2, 0.1, 0.02])))
    path += list(arm.grip(0.5))
    path += [path[-1]] * 4
    steps = np.array(path)
    for order, limit in ((1, ROBOT.max_velocity), (2, ROBOT.max_acceleration), (3, ROBOT.max_jerk)):
        rate = np.diff(steps, n=order, axis=0) * ROBOT.control_hz**order
        assert (np.abs(rate) <= limit).all(), order
    assert steps[-1][-1] == pytest.approx(0.5)


def test_lines_are_straight() -> None:
    arm = new_arm()
    list(arm.move_to(np.array([0.18, -0.08, 0.03])))
    start, end = np.array([0.18, -0.08, 0.03]), np.array([0.22, 0.06, 0.03])
    direction = (end - start) / np.linalg.norm(end - start)
    for _ in arm.line_to(end):
        tip, _ = arm.pose()
        offset = tip - start
        assert np.linalg.norm(offset - (offset @ direction) * direction) < 3e-3


def test_a_detour_ends_off_the_way_and_is_made_once() -> None:
    low, high = np.array([0.2, 0.0, 0.02]), np.array([0.2, 0.0, 0.075])
    for seed in range(20):
        arm = Arm(ROBOT, ROBOT.home_position, np.random.default_rng(seed), noise=1.0)
        seen = [arm.detouring for _ in arm.detour(low, high)]
        assert seen and all(seen) and not arm.detouring
        tip, _ = arm.pose()
        off = float(np.hypot(*(tip - low)[:2]))
        assert 1e-4 < off < 0.12 and 0.015 < tip[2] < 0.13
        assert not list(arm.detour(low, high))


def test_a_low_arm_rises_straight_up() -> None:
    arm = new_arm()
    list(arm.move_to(np.array([0.2, 0.05, 0.02]), roll=0.6))
    list(arm.rise(0.07))
    tip, _ = arm.pose()
    np.testing.assert_allclose(tip, (0.2, 0.05, 0.07), atol=2e-3)
    assert abs(arm.roll() - 0.6) < 0.05
    assert not list(arm.rise(0.07))
