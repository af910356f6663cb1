"""The range filter: an environment's commands keep their range, and stop as their kind stops."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.safety.range_filter import RangeFilter, command_filter, resting_command
from ideomotor.control.types import ActionChunk, RobotState

DELTAS = load_embodiment("metaworld")  # x, y, z and a gripper, each -1 to 1
ABSOLUTE = replace(DELTAS, commands="absolute", home=(0.5, 0.5, 0.5, -1.0))


def test_only_joint_targets_need_the_whole_safety_filter() -> None:
    assert isinstance(command_filter(load_embodiment("so101")), SafetyFilter)
    assert isinstance(command_filter(DELTAS), RangeFilter) and isinstance(
        command_filter(ABSOLUTE), RangeFilter
    )


@pytest.mark.parametrize("embodiment", [DELTAS, ABSOLUTE], ids=["deltas", "absolute"])
def test_what_is_within_the_range_passes_however_far_it_jumps(embodiment: Embodiment) -> None:
    ranges = RangeFilter(embodiment)
    for tick, target in enumerate(([-1, -1, -1, -1], [1, 1, 1, 1], [0.25, -0.5, 0, 1])):
        command, reasons = ranges.filter(tick, np.array(target, float))
        assert command.tolist() == target and reasons == ()


@pytest.mark.parametrize("embodiment", [DELTAS, ABSOLUTE], ids=["deltas", "absolute"])
def test_what_is_out_of_the_range_is_cut_and_counted(embodiment: Embodiment) -> None:
    command, reasons = RangeFilter(embodiment).filter(0, np.array([3.0, -7.0, 0.5, 1.0]))
    assert command.tolist() == [1.0, -1.0, 0.5, 1.0] and reasons == ("position",)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (None, "no_command"),
        (np.array([0.1, math.nan, 0.1, 0.1]), "not_finite"),
        (np.array([math.inf, 0.1, 0.1, 0.1]), "not_finite"),
    ],
)
def test_without_a_command_deltas_stop_and_all_others_stay(target: np.ndarray | None, reason: str) -> None:
    last = np.array([0.3, -0.4, 0.5, 0.75])
    for embodiment, expected in ((DELTAS, [0.0, 0.0, 0.0, 0.75]), (ABSOLUTE, last.tolist())):
        ranges = RangeFilter(embodiment)
        ranges.filter(0, last)
        for tick in (1, 2):
            command, reasons = ranges.filter(tick, target)
            assert command.tolist() == expected and reasons == (reason,)


def test_a_command_is_the_callers_own() -> None:
    ranges = RangeFilter(ABSOLUTE)
    ranges.filter(0, np.full(4, 0.5))[0][:] = 9.0
    assert ranges.filter(1, None)[0].tolist() == [0.5] * 4


def test_to_rest_is_zero_for_deltas_and_where_the_robot_is_for_targets_that_the_state_tells() -> None:
    measured = np.array([0.2, 0.4, 7.0, -0.2])
    assert resting_command(DELTAS, measured).tolist() == [0.0] * 4
    assert resting_command(ABSOLUTE, measured).tolist() == [0.5, 0.5, 0.5, -1.0]  # hand_x is no x: home
    named = replace(ABSOLUTE, sensors=("y", "x", "z", "gripper"))
    assert resting_command(named, measured).tolist() == [0.4, 0.2, 1.0, -0.2]  # in its range
    arm = load_embodiment("so101")
    assert resting_command(arm, arm.home_position) is arm.home_position


def test_a_controller_of_deltas_counts_what_it_cut_and_stops_at_the_end_of_a_chunk() -> None:
    controller = Controller(DELTAS)
    state = RobotState(0.0, np.zeros(4), np.zeros(4), np.zeros(4))
    controller.reset(state)
    actions = np.full((3, 4), 0.5, np.float32)
    actions[1, 0] = 2.0
    controller.submit(ActionChunk(actions, float(DELTAS.control_hz), 0, 0.0, 0.0))
    commands = [controller.step(tick, state).position.tolist() for tick in range(5)]
    assert commands[1] == [1.0, 0.5, 0.5, 0.5]
    assert commands[3] == commands[4] == [0.0, 0.0, 0.0, 0.5]
    assert controller.interventions == {"position": 1, "no_command": 2} and controller.holds == 1
