"""Commands that a line of servos does not carry out as they are: without a number, or too far."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.types import Command
from ideomotor.sim.twin.process import Twin

pytestmark = pytest.mark.realtime

SDKS = {"so101": "scservo_sdk", "koch": "dynamixel_sdk"}
SLOW_REPLIES = {"timeout": 0.05, "stale_after": 0.3}  # [s], where the twin has to wait for its turn


@pytest.fixture(scope="module", params=SDKS)
def line(request: pytest.FixtureRequest) -> Iterator[tuple[ServoArm, Twin]]:
    """An arm with its motors on, and its twin."""
    pytest.importorskip(SDKS[request.param])
    with Twin(request.param) as twin:
        robot = ServoArm(load_embodiment(request.param), twin.port, **SLOW_REPLIES)
        for tries in range(10):
            try:
                robot.connect()
                break
            except UserError:  # a machine that stands still now and then
                if tries == 9:
                    raise
        yield robot, twin
        robot.disconnect()


def test_a_command_that_is_not_finite_is_not_sent(line: tuple[ServoArm, Twin]) -> None:
    arm, twin = line
    arm.read()
    arm.write(Command(0, arm.embodiment.home_position))
    before = twin.where()
    for tick in range(1, 21):
        arm.write(Command(tick, np.full(len(before), np.nan)))
        arm.hold()
        arm.read()
    assert np.abs(twin.where() - before).max() < 0.2
    assert "not_finite" in {fault.name for fault in arm.faults() if fault.kind.stops}


def test_a_command_out_of_range_ends_at_the_calibrated_range(line: tuple[ServoArm, Twin]) -> None:
    arm, twin = line
    far = arm.embodiment.home_position.copy()
    far[0] = 3.0
    for tick in range(120):
        arm.read()
        arm.write(Command(tick, far))
        time.sleep(1 / 120)
    assert twin.where()[0] == pytest.approx(arm.embodiment.upper[0], abs=0.02)
