"""`ideomotor record --leader`: what is refused before any torque, and one recording over the twin by keys."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.camera_spec import Capture
from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.video import encode
from ideomotor.launch.commands.record import by_person

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
HANDS = ("--port", "/dev/null", "--leader", "so101@/dev/zero")
TIMES = ("--episode-seconds", "5", "--reset-seconds", "5")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*HANDS, *TIMES), ("instruction: got ''",)),
        ((*HANDS, *TIMES, "--instruction", "  "), ("instruction: got ' '",)),
        (("--port", "/dev/null", "--instruction", "lift it"), ("leader: missing", "--twin")),
        ((*HANDS, "--instruction", "lift it"), ("episode-seconds: missing", "no terminal")),
        ((*HANDS, *TIMES, "--instruction", "lift it"), ("camera: front, wrist missing",)),
        (
            (*HANDS, *TIMES, "--instruction", "lift it", "--camera", "front=/nowhere"),
            ("front: cannot open '/nowhere'",),
        ),
        ((*HANDS, "--twin"), ("exclude each other",)),
        (("--twin", "--leader", "so102"), ("unknown name 'so102'",)),
        (("--twin", "--leader", "koch_leader"), ("leader",)),
        (("--twin", "--episodes", "0"), ("episodes: got 0",)),
        (("--twin", "--floor"), ("expected --max-seconds",)),
        (("--twin", "--workers", "2"), ("workers: is of what scripted experts do",)),
        (("lift", "--instruction", "lift it"), ("instruction: is of what a person does",)),
        ((), ("tasks: got none",)),
    ],
)
def test_mistakes_are_refused_before_any_torque(in_process, tmp_path, arguments, words):
    done = in_process("record", *arguments, "--out", tmp_path / "data")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "data").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for word in words:
        assert word in last


@pytest.mark.parametrize(
    ("robot", "resume", "words"),
    [
        ("other", True, ("recorded with robot 'other'", "expected 'so101'")),
        ("so101", False, ("has 1 episodes", "--resume")),
    ],
)
def test_a_folder_that_holds_something_is_refused_before_anything_is_opened(
    in_process, tmp_path, robot, resume, words
):
    owner = dataclasses.replace(ROBOT, name=robot)
    images = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in ROBOT.cameras}
    pose = np.repeat(ROBOT.home_position[None], 4, axis=0)
    with DemonstrationWriter(tmp_path / "data", owner, 30) as writer:
        writer.begin()
        for i in range(3):
            writer.add(Row(i / 30, images, dict.fromkeys(images, i / 30), pose, pose))
        writer.save("lift it", {})
    done = in_process("record", "--twin", *(["--resume"] * resume), "--out", tmp_path / "data")
    done.assert_refused(*words)


@pytest.mark.realtime
@pytest.mark.session
def test_a_recording_by_keys_over_the_twin_with_a_camera_that_is_unplugged(
    command, ideomotor, tmp_path, monkeypatch
):
    """Two episodes of a hand at the twin's table, one of them ended by a key; one is dropped by a key, one by
    the camera's cable."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from terminal import Terminal

    film = tmp_path / "film.mp4"
    ramp = np.repeat(np.repeat(np.arange(160, dtype=np.uint8)[None, :, None], 120, 0), 3, 2)
    film.write_bytes(encode([np.roll(ramp, 5 * i, axis=1) for i in range(32)], 30))
    cable, out, outcome = tmp_path / "pulled", tmp_path / "data", tmp_path / "outcome.json"
    cameras = (f"front=film:{film}?jitter=0.004", f"wrist=film:{film}?pulled={cable}")
    terminal = Terminal(
        [command, "record", "--twin", "--episodes", 2, "--countdown", 0, "--out", out, "--json", outcome]
        + ["--camera", *cameras]
    )
    try:
        terminal.wait_for("episode 0: recording")
        terminal.press("\x1b[D")  # again
        terminal.wait_for("episode 0: dropped, again")
        terminal.wait_for("episode 0: recording")
        cable.touch()
        terminal.wait_for("episode 0: dropped, camera wrist gives nothing")
        cable.unlink()
        terminal.wait_for("episode 0: saved")
        terminal.wait_for("episode 1: recording")
        time.sleep(1.5)
        terminal.press("\x1b[C")  # done, before the task is
        terminal.wait_for("all episodes are recorded: 2 episodes saved")
        assert terminal.wait() == 0
    finally:
        terminal.close()

    result = json.loads(outcome.read_text())
    assert result["stop_reason"] == "finished" and result["faults"] == [] and not result["motors_on"]
    assert (result["episodes"], result["recorded"]) == (2, 2)
    assert result["dropped_episodes"][:2] == ["again", "camera wrist gives nothing"]
    assert result["tasks"] == [result["instruction"]] and result["out"] == str(out)
    assert set(result["dropped_frames"]) == {"front", "wrist"} and result["late_share"] is not None
    assert result["added_delay_ms"]["p50"] > 0 and result["tracking_error_rad"]["p50"] > 0
    dataset = Dataset(out)
    assert validate(out) == [] and result["frames"] == dataset.starts[-1] > 60
    for episode in range(2):
        columns = dataset.columns(episode)
        assert (columns["driver"] == 1).all() and columns["next.done"][-1] and len(columns["driver"]) > 15
        assert (np.diff(columns["measured_time"]) > 0).all()
        assert (columns["capture_time"] <= columns["measured_time"][:, None] + 1e-3).all()
        assert np.abs(np.diff(columns["action"], axis=0)).max() > 1e-3  # it moved
        assert dataset.frames(episode, "front", [0]).shape == (1, 120, 160, 3)
    rows = dataset.episodes.to_pylist()
    assert [(row["task_name"], row["seed"], row["success"]) for row in rows] == [("lift", 1, True)] * 2
    again = ideomotor("replay", out, "--episode", 0, "--sim", "--json", "-").json
    assert (again["task"], again["seed"], again["recorded_success"]) == ("lift", 1, True)
    assert again["judged"] and again["command_error_rad"]["p50"] < 1e-3


def test_pictures_that_do_not_come_are_counted_against_the_rate_that_is_asked_for():
    front = dataclasses.replace(ROBOT.camera("front"), capture=Capture(640, 480, 60.0, "MJPG"))
    robot = dataclasses.replace(ROBOT, cameras=(front, ROBOT.camera("wrist")))
    assert by_person._rates(robot) == {"front": 60.0, "wrist": 30.0}
