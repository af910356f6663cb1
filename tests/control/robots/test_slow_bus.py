"""A line that is merely slow is called slow, with the rate it could keep; a USB timer is set or named."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.capabilities import first_state
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots import latency_timer
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.types import Command, RobotState

pytestmark = pytest.mark.realtime
pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")


@pytest.fixture
def arm(emulated_arm: Callable[..., Any]) -> Any:
    return emulated_arm()


@pytest.fixture
def timer(arm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file where Linux would show the timer of the emulated adapter."""
    file = tmp_path / Path(arm.port).resolve().name / "latency_timer"
    file.parent.mkdir()
    file.write_text("16\n")
    monkeypatch.setattr(latency_timer, "SYSFS", tmp_path)
    return file


@pytest.mark.parametrize("latency_ms", [(1, 3), (2, 3)])
def test_servos_that_answer_late_are_refused_as_slow_before_any_torque(
    arm: Any, latency_ms: tuple[float, float]
) -> None:
    arm.set(latency_s=[ms / 1000 for ms in latency_ms])
    with pytest.raises(UserError, match="is slow") as refused:
        ServoArm(ROBOT, arm.port).connect()
    words = re.search(
        r"take ([0-9.]+) ms, expected at most 6.7 ms for 120 Hz; it could keep ([0-9]+) Hz",
        str(refused.value),
    )
    assert words, refused.value
    took = float(words[1])
    assert took > 7 * latency_ms[0]  # seven replies, and what else the machine does
    assert int(words[2]) == pytest.approx(0.8 / (took / 1000), abs=1.5)
    assert not any(arm.torque().values())
    assert all(value == 0 for *_, value in arm.history("torque_enable"))


def test_servos_out_of_the_box_are_fast_enough(arm: Any) -> None:
    """With their return delay of 500 µs, which a dry run leaves and a launch sets to 0."""
    robot = ServoArm(ROBOT, arm.port, timeout=0.1)
    robot.watch()
    robot.disconnect()
    assert arm.history() == []
    robot.connect()
    robot.disconnect()
    assert arm.get(1, "return_delay") == 0


def test_a_line_that_becomes_slow_is_called_slow_and_not_silent(arm: Any) -> None:
    robot = ServoArm(ROBOT, arm.port)
    robot.connect()
    arm.set(latency_s=(0.002, 0.003))
    seen: dict[str, str] = {}
    until = time.monotonic() + 20
    tick = 0
    while "bus_slow" not in seen and time.monotonic() < until:
        robot.read()
        robot.write(Command(tick, ROBOT.home_position))
        seen |= {fault.name: str(fault) for fault in robot.faults() if fault.kind.stops}
        tick += 1
        time.sleep(1 / 120)
    arm.set(latency_s=(0, 0))
    words = re.search(
        r"replies come, but too late: about ([0-9.]+) ms each; .* keep about ([0-9]+) Hz", seen["bus_slow"]
    )
    assert words and 2 <= float(words[1]) <= 8 and 14 <= int(words[2]) <= 60
    assert not {"servo_silent", "bus_silent"} & set(seen)
    until = time.monotonic() + 20
    while any(fault.name == "bus_slow" for fault in robot.faults()):
        assert time.monotonic() < until
        robot.read()
        time.sleep(1 / 120)
    robot.disconnect()


def test_the_timer_of_an_adapter_is_set_where_that_is_permitted(arm: Any, timer: Path) -> None:
    robot = ServoArm(ROBOT, arm.port, timeout=0.1)
    robot.connect()
    robot.disconnect()
    assert timer.read_text() == "1"


def test_else_it_is_named_with_the_remedy(arm: Any, timer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path, text: str) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", forbidden)
    arm.adapter(0.016)
    with pytest.raises(UserError, match="is slow") as refused:
        ServoArm(ROBOT, arm.port).connect()
    assert f"latency timer is 16 ms and not this user's to change: echo 1 | sudo tee {timer}" in str(
        refused.value
    )
    assert not any(arm.torque().values())
    arm.adapter(0.0)  # a timer that does not matter is no reason
    robot = ServoArm(ROBOT, arm.port, timeout=0.1)
    robot.connect()
    robot.disconnect()


def test_an_adapter_without_a_timer_is_left_alone(arm: Any) -> None:
    assert latency_timer.latency_ms(arm.port) is None
    assert latency_timer.remedy(arm.port) == ""


def test_joints_that_say_nothing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ideomotor.control.capabilities.FIRST_STATE_S", 0.02)
    robot = ServoArm(ROBOT, "/nowhere")
    position = np.zeros(6)
    position[[2, 5]] = np.nan
    nothing = np.zeros(6)
    monkeypatch.setattr(robot, "read", lambda: RobotState(0.0, position, nothing, nothing))
    with pytest.raises(UserError, match="no position of elbow_flex, gripper within"):
        first_state(KeepTorqueOn(robot))
