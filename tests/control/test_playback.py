"""What the decoder gets of the policy's time: the commands before a tick, as they were sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.playback import Playback
from ideomotor.control.timing import PAST_COMMAND_TICKS
from ideomotor.control.types import ActionChunk, RobotState

ROBOT = load_embodiment("so101")
START = ROBOT.home_position


@pytest.fixture
def shared() -> Iterator[shared_state.SharedState]:
    shared = shared_state.create(ROBOT)
    yield shared
    shared.close()


def state(position: np.ndarray) -> RobotState:
    return RobotState(0.0, position, np.zeros(6), np.zeros(6))


@pytest.mark.parametrize("speed", [1.0, 0.25])
def test_past_commands_are_those_sent_before_each_tick_of_the_policys_time(
    shared: shared_state.SharedState, speed: float
) -> None:
    controller = Controller(ROBOT)
    controller.reset(state(START))
    playback, record = Playback(shared, controller, speed), shared.state.new()
    swing = START + 0.05 * (1 - np.cos(np.linspace(0, np.pi, 64)))[:, None] * np.ones(6)
    controller.submit(ActionChunk(swing, 120.0, 0, 0.0, 0.0))
    sent: list[np.ndarray] = [START] * PAST_COMMAND_TICKS  # the last of each policy's tick
    for tick in range(48):
        position = controller.follow(tick, state(START), swing[playback.tick]).position
        playback.publish(record, executed=True)
        expected = sent[-PAST_COMMAND_TICKS:]
        assert np.array_equal(record["past_commands"], expected), tick
        if playback.tick > record["policy_tick"]:
            sent.append(position)
    assert len(sent) - PAST_COMMAND_TICKS == 48 * speed
    assert not np.array_equal(sent[-1], START)


def test_after_a_hold_a_chunk_begins_where_the_arm_was_left(shared: shared_state.SharedState) -> None:
    controller = Controller(ROBOT)
    controller.reset(state(START))
    playback, record = Playback(shared, controller), shared.state.new()
    moving = controller.follow(0, state(START), START + 0.001)
    playback.publish(record, executed=True)
    held = [controller.follow(tick, state(START), None).position for tick in (1, 2)]
    playback.publish(record, executed=False)
    assert np.array_equal(record["past_commands"][-3:], [moving.position, *held])
