"""The control tick over an emulated bus of servos: a joint that is held, and one that its servo limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.drivers import open_robot
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.loop import run_loop
from ideomotor.control.runtime.realtime import PRIORITY, realtime
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import StopConfig, StopState
from ideomotor.control.runtime.tick import ControlTick
from ideomotor.control.types import ActionChunk

pytestmark = pytest.mark.realtime

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)
GIVE_UP_S = 60.0
PAN, GRIPPER = 0, 5


class Driven:
    """An arm whose pan and gripper swing by 0.6 and 0.5 rad, six seconds to and fro."""

    def __init__(self, arm: Any) -> None:
        self.arm, self.shared = arm, shared_state.create(ROBOT)
        self.robot = open_robot(ROBOT, arm.port, default_calibration(ROBOT), False, self.shared)
        self.robot.connect()
        stop = StopConfig(park_after_s=0.5)
        self.control = ControlTick(
            self.shared, ROBOT, self.robot, ControlConfig(peers=(), stop=stop), EStop()
        )
        self._record, self._state = self.shared.chunk.new(), self.shared.state.new()

    def run(self, until: Callable[[], bool]) -> None:
        """Ticks by the clock until something is so, or the run has ended."""
        gives_up = time.monotonic() + GIVE_UP_S

        def step(tick: int) -> bool:
            if tick % 16 == 0:
                self._feed()
            assert time.monotonic() < gives_up, "not within the test's time"
            return self.control.step(tick) and not until()

        with realtime(PRIORITY):
            run_loop(step, self.control.record)

    def _feed(self) -> None:
        number = self.shared.state.read(self._state)
        epoch, tick = (int(self._state["epoch"]), int(self._state["policy_tick"])) if number else (1, 0)
        phase = 2 * np.pi * np.arange(tick, tick + 96) / HZ / 6
        swing = np.zeros((96, 6))
        swing[:, PAN], swing[:, GRIPPER] = 0.6 * np.sin(phase), 0.5 * np.sin(phase) ** 2
        now = time.monotonic()
        actions = (ROBOT.home_position + swing).astype(np.float32)
        shared_state.pack_chunk(self._record, ActionChunk(actions, HZ, tick, now, now), epoch)
        self.shared.chunk.write(self._record)

    @property
    def reason(self) -> str:
        return self.control.safe_stop.reason

    @property
    def found(self) -> list[str]:
        """Joints that were said not to follow."""
        return [reason for _, reason in self.control.faults if reason.startswith("not following")]

    def close(self) -> None:
        self.control.close()
        self.robot.disconnect()
        self.shared.close()


@pytest.fixture
def driven(emulated_arm: Callable[..., Any]) -> Iterator[Driven]:
    driven = Driven(emulated_arm())
    yield driven
    driven.close()


def not_following(driven: Driven) -> Callable[[], bool]:
    return lambda: driven.reason.startswith("not following")


def test_a_joint_that_is_held_stops_the_arm_and_is_named(driven: Driven) -> None:
    driven.run(lambda: driven.control.record.ticks > 60)
    assert driven.found == []
    driven.arm.set(1, frozen=True)
    held_at = driven.arm.state()[1]["angle"]
    driven.run(not_following(driven))
    assert driven.reason.startswith("not following: shoulder_pan: 0.")
    assert driven.reason.endswith("and something holds it or it is too weak")
    driven.run(lambda: False)  # to its end
    assert driven.control.safe_stop.stop_state is StopState.HOLD
    assert all(driven.arm.torque().values()), "an arm that is held somewhere is not dropped"
    goal = driven.arm.get(1, "goal_position")
    assert abs(goal - held_at) < 10, "the motor does not push any more"


def test_a_gripper_that_its_servo_limits_is_named_and_one_that_squeezes_is_none(driven: Driven) -> None:
    at = driven.arm.get(6, "position")
    driven.arm.set(6, stops=(at - 20, at + 20))  # it meets a thing, and pushes against it
    driven.run(lambda: driven.control.record.ticks > 2.5 * HZ)
    assert driven.found == []
    driven.arm.set(6, stops=None)
    driven.arm.put(6, "min_position", at - 20)
    driven.arm.put(6, "max_position", at + 20)
    driven.run(not_following(driven))
    assert driven.reason.startswith("not following: gripper: 0.")
    assert driven.reason.endswith("so what limits it is in its servo")
