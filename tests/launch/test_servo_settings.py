"""`launch` and what another program left in the servos: asked, reset, refused, or only shown."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.drivers import driver_of
from ideomotor.launch.commands.bring_up.servo_settings import agree, settle
from ideomotor.launch.commands.video import VideoWriter
from ideomotor.launch.console import Output
from ideomotor.launch.runtime.preflight import unlike_a_launch

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
DRIVER, KNOWN = driver_of(ROBOT), default_calibration(ROBOT)


@pytest.fixture
def arm(emulated_arm: Callable[..., Any]) -> Any:
    """With the limits of the report, between which its gripper jumped and could not close."""
    arm = emulated_arm()
    arm.put(6, "min_position", 2556)
    arm.put(6, "max_position", 4000)
    return arm


def settled(arm: Any, yes: bool = False, only_look: bool = False) -> list[str]:
    return settle(DRIVER, ROBOT, arm.port, KNOWN, Output(None), yes=yes, only_look=only_look)


def test_yes_resets_it_and_says_what(arm: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert settled(arm, yes=True) == []
    shown = capsys.readouterr().out
    assert "lower position limit" in shown and "goals are clamped to it" in shown
    assert "1 settings were reset" in shown and arm.get(6, "min_position") == 0
    assert settled(arm) == []  # without a question


def test_without_anybody_to_ask_it_is_refused(arm: Any) -> None:
    with pytest.raises(UserError, match="gripper .id 6.: lower position limit: got 2556.*--yes resets it"):
        settled(arm)
    assert arm.history() == []


def test_a_dry_run_shows_it_and_writes_nothing(arm: Any) -> None:
    (line,) = settled(arm, yes=True, only_look=True)
    assert line.startswith("settings: gripper (id 6): lower position limit: got 2556")
    (line,) = unlike_a_launch(DRIVER.inspect(ROBOT, arm.port, KNOWN), ROBOT)
    assert line.startswith("return delay: 500 µs in shoulder_pan") and "take 3.5 ms longer" in line
    assert arm.history() == []
    for number in range(1, 7):
        arm.put(number, "return_delay", 0)
    assert unlike_a_launch(DRIVER.inspect(ROBOT, arm.port, KNOWN), ROBOT) == []


def test_a_no_is_a_refusal(arm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = DRIVER.differences(ROBOT, arm.port, KNOWN)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    agree(found, False, Output(None), lambda output, question: "Reset 1 settings?" in question)
    with pytest.raises(UserError, match="not reset, so the arm does not move"):
        agree(found, False, Output(None), lambda output, question: False)


@pytest.fixture
def launching(arm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    save_calibration(dataclasses.replace(KNOWN, made_at="today"))
    film = tmp_path / "film.mp4"
    with VideoWriter(film, fps=30) as video:
        for shade in range(60):
            video.write(np.full((96, 96, 3), shade, np.uint8))
    cameras = ("--camera", f"front={film}", f"wrist={film}")
    return ("launch", "so101", "--port", arm.port, *cameras, "--instruction", "lift the red cube")


def test_a_launch_with_such_servos_is_refused_before_any_torque(
    arm: Any, launching: tuple[object, ...], ideomotor: Callable[..., Any]
) -> None:
    done = ideomotor(*launching, "--countdown", 0, "--max-seconds", 1)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: gripper (id 6): lower position limit: got 2556, expected at most 1934"
    )
    assert arm.history() == []


def test_with_yes_a_launch_resets_them_first(arm: Any, launching: tuple[object, ...], command: Path) -> None:
    """It is given up then, at the latest in its countdown: what follows is `test_settings.py`'s."""
    process = subprocess.Popen(
        [command, *map(str, launching), "--countdown", "60", "--yes"], stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 120
        while arm.get(6, "min_position") != 0:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert arm.get(6, "lock") == 1 and not any(arm.torque().values())
