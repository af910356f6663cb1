"""A run begins only where it may, and an arm that pushes too hard for too long is stopped."""

import numpy as np
import pytest

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.clearance import REASONS, Clearance
from ideomotor.control.safety.effort import EffortLimit, EffortWatch
from ideomotor.control.safety.start_pose import check_start, too_far
from ideomotor.control.types import RobotState

ROBOT = load_embodiment("so101")
HOME = ROBOT.home_position
FOLDED = np.array([0.0, -1.745, 1.69, 1.2, 0.0, 0.0])  # at rest, its forearm on its shoulder


def deep(reason: str) -> np.ndarray:
    """A posture (A,) that touches something for sure."""
    assert ROBOT.geometry
    clearance = Clearance(ROBOT, ROBOT.geometry)
    postures = np.random.default_rng(0).uniform(ROBOT.lower, ROBOT.upper, (1000, len(HOME)))
    reached = clearance(postures)
    others = clearance.reasons == REASONS.index("self_collision" if reason == "table" else "table")
    mine = clearance.reasons == REASONS.index(reason)
    return postures[(reached[:, mine].min(1) < -0.03) & (reached[:, others].min(1) > 0)][0]


def test_home_an_arm_at_rest_and_one_at_its_end_stop_may_start() -> None:
    for position in (HOME, FOLDED, np.r_[ROBOT.upper[0] + 0.05, HOME[1:]]):
        check_start(ROBOT, position)


def test_a_joint_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(
        UserError, match=r"^start: wrist_flex: got 1\.858 rad, expected -1\.658 to 1\.658; support"
    ):
        check_start(ROBOT, HOME + np.eye(6)[3] * (ROBOT.upper[3] + 0.2 - HOME[3]))


@pytest.mark.parametrize(
    ("reason", "words"), [("table", "table"), ("self_collision", "(shoulder|upper_arm|base), ")]
)
def test_an_arm_in_collision_is_refused_before_anything_moves(reason: str, words: str) -> None:
    position = deep(reason)
    controller = Controller(ROBOT)
    zeros = np.zeros(6)
    with pytest.raises(
        UserError, match=rf"^start: .*{words}.*: \d+ mm closer than allowed.*elbow_flex {position[2]:.2f}"
    ):
        controller.reset(RobotState(0.0, position, zeros, zeros))


def test_a_first_target_far_away_is_named() -> None:
    assert too_far(ROBOT, HOME, HOME + 0.7) == ""
    assert "elbow_flex: the first target is 1.500 rad" in too_far(ROBOT, HOME, HOME + np.eye(6)[2] * 0.8)


def test_effort_over_the_limit_is_named_once_it_lasts() -> None:
    watch = EffortWatch(ROBOT, EffortLimit(share=0.8, for_s=1.0))
    hard, soft = np.eye(6)[2] * -2.9, np.zeros(6)
    grip = np.eye(6)[5] * ROBOT.max_effort
    assert not any(watch.check(hard, 0.1 * k) for k in range(10))
    assert watch.check(soft, 1.0) == "" and watch.check(hard, 1.1) == "", "a break starts it anew"
    assert watch.check(hard, 2.2) == "effort: elbow_flex: 2.90 N m, more than 2.35 N m for 1.1 s"
    watch.reset()
    for k in range(40):
        assert watch.check(grip, 0.1 * k) == "", "holding a thing is no overload"
        assert watch.check(np.full(6, np.nan), 0.1 * k) == ""
