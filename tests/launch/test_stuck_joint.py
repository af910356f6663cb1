"""A launch on an arm one of whose joints does not move: it ends with its name and leaves the arm standing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.launch.commands.video import VideoWriter

pytestmark = [pytest.mark.realtime, pytest.mark.session]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")


def test_a_joint_that_does_not_go_home_ends_a_launch_with_its_name_and_the_motors_on(
    emulated_arm: Callable[..., Any],
    ideomotor: Callable[..., Any],
    swaying_policy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    save_calibration(dataclasses.replace(default_calibration(ROBOT), made_at="today"))
    film, result = tmp_path / "film.mp4", tmp_path / "result.json"
    with VideoWriter(film, fps=30) as video:
        for _ in range(60):
            video.write(np.full((96, 96, 3), 90, np.uint8))
    arm = emulated_arm()
    pan = arm.get(1, "position")
    arm.place({1: pan + 4096 * 0.6 / (2 * np.pi)})  # 0.6 rad from home
    arm.set(1, frozen=True)
    done = ideomotor(
        *("launch", "so101", "--port", arm.port, "--camera", f"front={film}", f"wrist={film}"),
        *("--instruction", "lift the red cube", "--countdown", 0, "--max-seconds", 0.5, "--yes"),
        *("--speed", 0.3, "--policy", swaying_policy, "--json", result),
    )
    outcome = json.loads(result.read_text())
    assert done.returncode == 1, done.stderr
    assert outcome["stop_reason"].startswith("not following: shoulder_pan: 0."), outcome
    assert outcome["stage"] == "hold" and outcome["motors_on"]
    assert all(arm.torque().values())
    assert abs(arm.get(1, "goal_position") - arm.get(1, "position")) < 15, "the motor does not push any more"
