"""The way of a resting arm to a pose: within its limits, clear of the table and itself, or refused."""

import numpy as np
import pytest

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety import way as way_module
from ideomotor.control.safety.clearance import Clearance
from ideomotor.control.safety.way import way_to
from ideomotor.control.types import RobotState

ROBOT = load_embodiment("so101")
HOME = ROBOT.home_position
NEXT_TO_HOME = HOME + [0.8, 0.3, -0.2, 0.1, 1.5, 0.5]


def sent_along(way: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """What the safety filter makes of a way, (T, A), and the reasons for its changes."""
    controller = Controller(ROBOT)
    nothing = np.zeros_like(start)
    controller.reset(RobotState(0.0, start, nothing, nothing))
    sent = [
        controller.follow(tick, RobotState(0.0, pose, nothing, nothing), pose)
        for tick, pose in enumerate(way)
    ]
    return np.stack([command.position for command in sent]), controller.interventions


def test_it_ends_at_the_goal_and_the_safety_filter_changes_nothing():
    way = way_to(ROBOT, HOME, NEXT_TO_HOME)
    assert way[-1] == pytest.approx(NEXT_TO_HOME, abs=1e-12)
    sent, changed = sent_along(way, HOME)
    np.testing.assert_array_equal(sent, way)
    assert changed == {}
    assert np.abs(np.diff(way, axis=0)).max() * ROBOT.control_hz <= way_module.SPEED * (1 + 1e-9)
    assert np.abs(way[0] - HOME).max() < 1e-4  # no jump at its beginning


def test_there_is_none_to_where_the_arm_stands_already():
    assert way_to(ROBOT, HOME, HOME).shape == (0, len(HOME))


def test_what_is_in_the_way_is_gone_around_by_the_home_pose_or_refused():
    clearance = Clearance(ROBOT, ROBOT.geometry)
    rng = np.random.default_rng(3)
    poses = rng.uniform(ROBOT.lower, ROBOT.upper, (4000, len(HOME)))
    free = poses[clearance(poses).min(1) > 0.005]
    around = refused = 0
    for start, goal in zip(free[::2], free[1::2], strict=False):
        try:
            way = way_to(ROBOT, start, goal)
        except UserError as error:
            assert "in the way" in str(error)
            refused += 1
            continue
        assert clearance(way).min() > -2 * way_module.CLOSER
        around += bool((np.abs(way - HOME).max(1) < 1e-9).any())
    assert around and refused


def test_a_goal_out_of_reach_is_refused_with_the_joint():
    goal = HOME.copy()
    goal[2] = ROBOT.upper[2] + 0.1
    with pytest.raises(UserError, match=r"elbow_flex: got 1\.\d+ rad, expected -1\.690 to 1\.690"):
        way_to(ROBOT, HOME, goal)
