"""However a launch on an arm ends, the motors are seen to, then the person, then the files.

The arm is emulated servos behind a pseudo-terminal, the cameras are films, and the command is the real one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ideomotor.control.calibration import calibration_path, default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot.video import encode
from ideomotor.launch.runtime.recording.session_recorder import REPORT, TICKS

pytest.importorskip("scservo_sdk")
pytestmark = [pytest.mark.realtime, pytest.mark.session]
ROBOT = load_embodiment("so101")


@pytest.fixture
def arm(emulated_arm: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An emulated arm that is calibrated, in a home of its own."""
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    calibration = dataclasses.replace(default_calibration(ROBOT), made_at="for a test")
    save_calibration(calibration, calibration_path(ROBOT.name, "main"))
    return emulated_arm()


@pytest.fixture
def launched(
    arm: Any, command: Path, swaying_policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """launched(...): a launch on that arm, in a terminal."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import terminal

    film = tmp_path / "film.mp4"
    pictures = (np.full((96, 96, 3), 20 + i, np.uint8) for i in range(60))
    film.write_bytes(encode(pictures, 30))
    running: list[Any] = []

    def launch(*arguments: object) -> Any:
        words = ("--port", arm.port, "--camera", f"front={film}", f"wrist={film}", "--countdown", "0")
        options = (
            "--policy",
            swaying_policy,
            "--instruction",
            "lift the red cube",
            "--log",
            tmp_path / "log",
        )
        options += () if "--json" in arguments else ("--json", tmp_path / "outcome.json")
        running.append(terminal.Terminal([command, "launch", "so101", *words, *options, *arguments]))
        return running[-1]

    yield launch
    for each in running:
        each.close()


def ideomotor(command: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, timeout=240)


def outcome(tmp_path: Path) -> dict[str, Any]:
    result = json.loads((tmp_path / "outcome.json").read_text())
    assert json.loads((tmp_path / "log" / REPORT).read_text())["outcome"] == result
    assert len(pq.read_table(tmp_path / "log" / TICKS)) == result["logged"]["ticks"] > 0
    return result


def test_a_closed_terminal_stops_the_arm_keeps_the_log_and_tells_whoever_comes_next(
    launched, arm, command, tmp_path
) -> None:
    run = launched()
    run.wait_for("Hz of 120")  # the picture: it runs
    time.sleep(1.0)
    run.hang_up()
    assert run.wait() == 130
    result = outcome(tmp_path)
    assert result["stop_reason"] in ("emergency stop: SIGHUP", "emergency stop: the terminal is gone")
    assert result["stage"] == "hold" and result["motors_on"] and result["interrupted"]
    arm.state()
    time.sleep(0.3)
    state = arm.state()
    assert all(row["torque"] == 1 for row in state.values())
    assert all(row["highest"] - row["lowest"] < 3 for row in state.values())  # it stands, and is held

    said = ideomotor(command, "tasks").stderr
    assert (
        said.startswith("note: the motors of so101") and f"ideomotor release so101 --port {arm.port}" in said
    )
    assert ideomotor(command, "release", "so101", "--port", arm.port).returncode == 2  # nobody was asked
    assert any(arm.torque().values())
    done = ideomotor(command, "release", "so101", "--port", arm.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert not any(arm.torque().values())
    assert ideomotor(command, "tasks").stderr == ""


def test_ctrl_z_stops_the_arm_and_no_process_and_the_person_lets_go(launched, arm, tmp_path) -> None:
    run = launched()
    run.wait_for("Hz of 120")
    time.sleep(0.5)
    run.press("\x1a")  # Ctrl-Z
    run.wait_for("ended        emergency stop: SIGTSTP, at stage hold")
    run.wait_for("press Enter to switch them off")
    assert all(arm.torque().values())
    assert not (tmp_path / "outcome.json").exists()  # motors, then the person, then the files
    run.press("\n")
    run.wait_for("The motors are off.")
    assert run.wait() == 130
    assert not any(arm.torque().values())
    assert outcome(tmp_path)["motors_on"] is False
    assert not list((tmp_path / "state" / "ideomotor" / "motors_on").glob("*"))


def test_a_start_that_fails_after_torque_came_on_ends_on_the_ladder_with_the_prompt(
    launched, arm, tmp_path
) -> None:
    on = threading.Event()

    def silence() -> None:  # as soon as every motor is on
        while not on.is_set() and not all(arm.torque().values()):
            time.sleep(0.001)
        arm.set(3, silent=True)

    run = launched()
    watcher = threading.Thread(target=silence)
    watcher.start()
    run.wait_for("press Enter to switch them off")
    on.set()
    watcher.join()
    # It stood at home, so the others have been let go there; and nobody takes this one's for off.
    assert [number for number, is_on in arm.torque().items() if is_on] == [3]
    arm.set(3, silent=False)
    run.press("\n")
    run.wait_for("The motors are off.")
    assert run.wait() == 1
    result = outcome(tmp_path)
    assert not any(arm.torque().values()) and not result["motors_on"]
    assert result["stop_reason"] == "robot: not all motors say that they are off"
    assert result["stage"] == "off" and "error:" not in run.shown and "Traceback" not in run.shown


def test_a_full_disk_is_said_at_once_and_the_launch_ends_as_it_should(
    launched, arm, command, tmp_path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        run = launched("--log", disk / "log")
        run.wait_for("Hz of 120")
        left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "other").write_bytes(b"x" * (left - 4_000_000))
        run.wait_for("expected at least 16 MB; nothing more is recorded, the arm goes on")
        assert all(arm.torque().values())  # it goes on
        time.sleep(0.5)
        run.press("q")
        run.wait_for("ended        finished, at stage off")
        assert run.wait() == 1
        assert not any(arm.torque().values())
        result = json.loads((tmp_path / "outcome.json").read_text())
        assert result["stop_reason"] == "finished" and result["logged"]["ticks"] < result["ticks"]
        assert any("expected at least 16 MB" in fault for fault in result["faults"])
        refused = launched("--log", disk / "again")
        refused.wait_for("4 MB free")
        assert refused.wait() == 2 and not any(arm.torque().values())
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
