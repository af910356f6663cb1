"""A joint that does not follow its commands is not one that is late, holds a thing or is not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.safety.following import FollowingWatch
from ideomotor.control.types import RobotState

ROBOT = load_embodiment("so101")
DT = 1.0 / ROBOT.control_hz
PAN, GRIPPER = 0, 5
UNKNOWN = np.full(6, np.nan)


def first_word(
    commands: np.ndarray, positions: np.ndarray, efforts: np.ndarray = UNKNOWN, robot: Embodiment = ROBOT
) -> tuple[float, str]:
    """When the watch first says something [s], and what; at the end, and nothing, if it never does.

    Args:
        commands, positions: (T, A)
        efforts: (A,) or (T, A)
    """
    watch = FollowingWatch(robot)
    watch.reset(commands[0])
    efforts = np.broadcast_to(efforts, commands.shape)
    for i in range(1, len(commands)):
        state = RobotState(i * DT, positions[i], UNKNOWN, efforts[i])
        if said := watch.check(commands[i - 1], state, True, i * DT):
            return i * DT, said
    return len(commands) * DT, ""


def home(seconds: float) -> np.ndarray:
    """(T, A) at the home pose."""
    return np.repeat(ROBOT.home_position[None], round(seconds / DT), axis=0)


def ramp(seconds: float, joint: int, speed: float, most: float) -> np.ndarray:
    """(T, A): one joint moves off at `speed` [rad/s] until it is `most` [rad] away."""
    commands = home(seconds)
    way = np.minimum(np.abs(speed) * DT * np.arange(len(commands)), most)
    commands[:, joint] += np.copysign(way, speed)
    return commands


@pytest.mark.parametrize("speed", [2.0, -2.0])
def test_a_frozen_joint_is_named_within_its_time(speed: float) -> None:
    commands = ramp(3.0, PAN, speed, 0.8)
    at, said = first_word(commands, home(3.0))
    limit, for_s = ROBOT.max_following_error[PAN], ROBOT.following_s
    assert at == pytest.approx(limit / 2.0 + 0.25 + for_s, abs=0.05)  # under way, late, for so long
    assert said.startswith("not following: shoulder_pan: ") and f"at most {limit:.2f} rad" in said
    assert "pushes" not in said


def test_a_joint_that_is_a_fifth_of_a_second_late_follows_even_at_full_speed() -> None:
    t = DT * np.arange(round(6.0 / DT))
    commands = home(6.0)
    commands[:, PAN] = 1.5 * np.sin(2.0 * t)  # up to 3 rad/s
    late = np.concatenate([np.repeat(commands[:1], 24, axis=0), commands[:-24]])
    assert np.abs(commands - late).max() > 0.5
    assert first_word(commands, late) == (6.0, "")


def test_what_pushes_and_what_does_not_is_said_where_the_servos_tell() -> None:
    commands = ramp(2.0, PAN, 2.0, 0.8)
    _, blocked = first_word(commands, home(2.0), np.full(6, 2.9))
    _, limp = first_word(commands, home(2.0), np.zeros(6))
    assert blocked.endswith("it pushes with 2.90 N m, and something holds it or it is too weak")
    assert limp.endswith("it pushes with 0.00 N m, so what limits it is in its servo")


def test_a_gripper_may_hold_a_thing_but_must_push() -> None:
    closing = ramp(4.0, GRIPPER, -2.0, 0.45)
    squeezing = np.full(6, -1.47)
    assert first_word(closing, home(4.0), squeezing) == (4.0, "")
    assert first_word(closing, home(4.0), UNKNOWN) == (4.0, ""), "nobody tells"
    assert first_word(closing, home(4.0), np.zeros(6))[1].startswith("not following: gripper")
    assert first_word(closing, home(4.0), -squeezing)[1].startswith("not following: gripper"), "the other way"


def test_what_was_not_measured_is_neither_in_error_nor_in_order() -> None:
    commands, positions = ramp(3.0, PAN, 2.0, 0.8), home(3.0)
    hidden = positions.copy()
    hidden[:, PAN] = np.nan
    assert first_word(commands, hidden) == (3.0, "")
    now_and_then = positions.copy()
    now_and_then[::2, PAN] = np.nan
    assert first_word(commands, now_and_then)[0] == pytest.approx(
        first_word(commands, positions)[0], abs=0.02
    )
    watch = FollowingWatch(ROBOT)
    state = RobotState(0.0, ROBOT.home_position, UNKNOWN, UNKNOWN)
    for i in range(360):
        assert not watch.check(commands[i], state, False, i * DT), "the robot gives no new state"


def test_a_file_decides_on_error_and_time_and_each_unit_has_its_default() -> None:
    wide = tuple(replace(joint, max_following_error=1.0) for joint in ROBOT.joints)
    commands, positions = ramp(3.0, PAN, 2.0, 0.8), home(3.0)
    assert first_word(commands, positions, robot=replace(ROBOT, joints=wide)) == (3.0, "")
    longer, _ = first_word(commands, positions, robot=replace(ROBOT, following_s=1.5))
    assert longer == pytest.approx(first_word(commands, positions)[0] + 1.5 - ROBOT.following_s, abs=0.02)


def test_a_joint_where_it_is_stuck_is_within_reach() -> None:
    watch = FollowingWatch(ROBOT)
    command = ROBOT.home_position + np.eye(6)[PAN] * 0.8 + np.eye(6)[1] * 0.01
    state = RobotState(0.0, ROBOT.home_position, UNKNOWN, UNKNOWN)
    for i in range(40):
        watch.check(command, state, True, i * DT)
    reach = watch.within_reach(command, ROBOT.home_position)
    np.testing.assert_array_equal(reach, ROBOT.home_position + np.eye(6)[1] * 0.01)


def test_a_gripper_keeps_its_grip_where_another_joint_is_stuck() -> None:
    watch = FollowingWatch(ROBOT)
    command = ROBOT.home_position + np.eye(6)[PAN] * 0.8 - np.eye(6)[GRIPPER] * 0.4
    state = RobotState(0.0, ROBOT.home_position, UNKNOWN, np.full(6, -1.47))
    for i in range(40):
        watch.check(command, state, True, i * DT)
    stuck = ROBOT.home_position - np.eye(6)[GRIPPER] * 0.4
    np.testing.assert_array_equal(watch.within_reach(command, ROBOT.home_position), stuck)
