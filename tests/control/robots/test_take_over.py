"""An arm that another process has left is driven on, and one that is only read is not touched."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.adapters import KeepTorqueOn, ReadOnly
from ideomotor.control.robots.drivers import DRIVERS, driver_of
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.types import Command
from ideomotor.sim.twin.process import Twin

pytestmark = pytest.mark.realtime

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
SLOW_REPLIES = {
    "timeout": 0.05,
    "stale_after": 0.3,
}  # [s], where the twin has to wait for its turn


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("so101") as twin:
        yield twin


def motors_on(twin: Twin) -> list[bool]:
    servos = driver_of(ROBOT).inspect(ROBOT, twin.port, default_calibration(ROBOT))
    return [servo.motor_on for servo in servos]


def drive(robot: ServoArm, target: np.ndarray, ticks: int) -> np.ndarray:
    for tick in range(ticks):
        robot.write(Command(tick, target))
        robot.read()
        time.sleep(1 / 120)
    return robot.read().position


def test_an_arm_is_taken_over_with_its_motors_on(twin: Twin) -> None:
    first = ServoArm(ROBOT, twin.port, **SLOW_REPLIES)
    first.connect()
    drive(first, ROBOT.home_position, 30)
    first.bus.close()  # as its process does when it is killed
    second = KeepTorqueOn(ServoArm(ROBOT, twin.port, **SLOW_REPLIES))
    second.take_over()
    target = ROBOT.home_position + 0.1
    reached = drive(second.robot, target, 60)
    np.testing.assert_allclose(reached, target, atol=0.03)
    np.testing.assert_allclose(twin.where(), target, atol=0.03)
    second.disconnect()
    assert all(motors_on(twin))
    assert driver_of(ROBOT).let_go(ROBOT, twin.port)
    assert not any(motors_on(twin))


def test_an_arm_that_is_watched_is_not_touched(twin: Twin) -> None:
    twin.inject("hand middle")
    robot = ReadOnly(ServoArm(ROBOT, twin.port, **SLOW_REPLIES))
    robot.connect()
    for tick in range(60):
        robot.write(Command(tick, ROBOT.home_position))
        robot.read()
        robot.hold()
        time.sleep(1 / 120)
    position = robot.read().position
    robot.disconnect()
    np.testing.assert_allclose(position, twin.where(), atol=0.2)
    assert not any(motors_on(twin))
    twin.inject("dead id=4")
    with pytest.raises(UserError, match=r"wrist_flex \(id 4\)"):
        robot.connect()


def test_a_bus_without_a_driver_is_refused_with_the_ones_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ideomotor.control.robots.drivers.DRIVERS", {"other": DRIVERS["feetech"]})
    with pytest.raises(UserError, match="no driver for 'feetech' .valid: other"):
        driver_of(ROBOT)
