"""The log of a launch, from a shared state that is filled by hand: what goes in comes out."""

from __future__ import annotations

import io
import os
import pty
import termios
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.teleop.teleoperator import DriverName
from ideomotor.control.types import LatentPlan
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.launch.commands.session_options import recorded
from ideomotor.launch.runtime.monitor import View
from ideomotor.launch.runtime.recording.session_log import SessionLog
from ideomotor.launch.runtime.recording.session_recorder import PLANS, TICKS, Recorder

ROBOT = load_embodiment("so101")
HZ = ROBOT.control_hz


@pytest.fixture
def shared() -> Iterator[shared_state.SharedState]:
    shared = shared_state.create(ROBOT)
    yield shared
    shared.close()


def tick(shared: shared_state.SharedState, number: int, reasons: bytes = b"", blind: bool = False) -> None:
    """One tick of control: the command is the tick's number in mrad, for every joint."""
    record = shared.ticks.new()
    record["tick"], record["time"], record["late_us"] = number, 100 + number / HZ, 50.0
    record["command"] = number / 1000
    record["position"] = np.nan if blind else number / 1000
    record["chunk_age"], record["plan_age"] = 0.1, np.nan
    record["stage"], record["interventions"] = b"run", reasons
    record["driver"] = b"person" if 60 <= number < 100 else b"policy"
    shared.ticks.write(record)


def picture(shared: shared_state.SharedState, at: float, level: int) -> None:
    record = shared.frames.new()
    images = {
        name: np.full((height, width, 3), level, np.uint8) for name, height, width in shared.spec.cameras
    }
    shared_state.pack_frames(record, at, images, shared.spec)
    shared.frames.write(record)


def test_what_goes_in_comes_out(shared, tmp_path: Path) -> None:
    log = tmp_path / "log"
    recorder = Recorder(shared, ROBOT, log, "reach the red cube")
    picture(shared, 99.99, 0)
    for number in range(122):
        tick(shared, number, b"velocity,jerk" if number == 7 else b"", blind=number == 8)
        if number % 4 == 1:  # a picture between each two rows, of a brightness that says which
            picture(shared, 100 + number / HZ, 2 * (number // 4) + 10)
        if number == 40:
            plan = shared.plan.new()
            shared_state.pack_plan(
                plan, LatentPlan(np.ones((2, 3), np.float32), 100.3, "now: lift it", progress=0.5)
            )
            shared.plan.write(plan)
        recorder.take()
    assert recorder.finish({"success": True}) == {"frames": 31, "ticks": 122, "lost_ticks": 0, "plans": 1}

    assert validate(log) == []
    dataset = Dataset(log)
    columns = dataset.columns(0)
    np.testing.assert_allclose(columns["action"][:, 0], np.arange(0, 122, 4) / 1000, atol=1e-6)
    np.testing.assert_allclose(columns["action.high_rate"][3, ::6], [0.012, 0.013, 0.014, 0.015], atol=1e-6)
    np.testing.assert_allclose(columns["action.high_rate"][30, ::6], [0.12, 0.121, 0.121, 0.121], atol=1e-6)
    assert columns["observation.state"][2, 0] == pytest.approx(0.007)  # at tick 8 nothing was measured
    assert [columns["policy.plan_text"][row] for row in (9, 11)] == ["", "now: lift it"]
    assert columns["driver"].tolist() == [15 <= row < 25 for row in range(31)]
    assert columns["intervention"].tolist() == [15 <= row < 25 for row in range(31)]
    seen = dataset.frames(0, "wrist", range(31)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(
        seen[1:], 2 * np.arange(30) + 10, atol=2.0
    )  # the newest one from before the row
    assert dataset.episodes["success"].to_pylist() == [True]

    ticks = pq.read_table(log / TICKS)
    assert ticks["tick"].to_pylist() == list(range(122))
    assert ticks["interventions"].to_pylist()[7] == ["velocity", "jerk"]
    assert np.isnan(ticks["position"].to_pylist()[8]).all()
    assert ticks["driver"].to_pylist()[59:61] == ["policy", "person"]
    assert pq.read_table(log / PLANS)["text"].to_pylist() == ["now: lift it"]


def test_ticks_that_were_overwritten_are_counted_and_filled(shared, tmp_path: Path) -> None:
    recorder = Recorder(shared, ROBOT, tmp_path / "log", "reach the red cube")
    for number in range(shared_state.SLOTS["ticks"] + 20):
        tick(shared, number)
    assert recorder.finish({}) == {"frames": 125, "ticks": 480, "lost_ticks": 20, "plans": 0}
    action = Dataset(tmp_path / "log").columns(0)["action"][:, 0]
    np.testing.assert_allclose(action[:6], np.array([20, 20, 20, 20, 20, 20]) / 1000, atol=1e-6)
    np.testing.assert_allclose(action[6:], np.arange(24, 500, 4) / 1000, atol=1e-6)


def test_the_log_is_written_although_its_launch_has_died(shared, tmp_path: Path) -> None:
    log = SessionLog(shared, ROBOT, tmp_path / "log", "reach the red cube")
    for number in range(60):
        tick(shared, number)
    log.close()  # its end of the pipe, as when it is killed
    assert len(Dataset(tmp_path / "log").columns(0)["action"]) == 15
    with pytest.raises(UserError, match="log: .*not empty"):
        SessionLog(shared, ROBOT, tmp_path / "log", "reach the red cube")


def test_the_view_shows_rates_ages_and_interventions(shared) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    view = View(shared, HZ, console)
    for number in range(240):
        tick(shared, number, b"velocity" if number > 200 else b"")
    picture(shared, 101.9, 0)
    view.take(102.0)
    console.print(view.table(102.0))
    text = console.export_text()
    for words in (
        "run",
        "tick 239, 120.0 Hz of 120",
        "lateness p50 50",
        "chunk 100 ms, plan -",
        "velocity 39",
    ):
        assert words in text, text
    assert "front 0 a second, 100 ms old" in text


def test_keys_are_obeyed_one_by_one_and_a_terminal_that_goes_away_is_an_emergency_stop(
    shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    with open(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        before = termios.tcgetattr(theirs)
        view = View(shared, HZ, Console(file=io.StringIO()))
        with view.shown():
            for typed, requests in ((b"q", [1, 0, 0, 0]), (b"x r", [1, 1, 1, 0]), (b" h", [1, 2, 1, 1])):
                os.write(ours, typed)
                view.poll()
                assert shared.requests.tolist()[:4] == requests  # finish, estop, rearm, again
        assert shared.requested_by("estop") == "key space" and shared.requested_by("again") == "key h"
        assert termios.tcgetattr(theirs) == before
        with view.shown():
            os.close(ours)
            view.poll()
            view.poll()
        assert shared.requests.tolist()[:4] == [2, 3, 1, 1]
        assert shared.requested_by("estop") == "the terminal is gone"


def test_a_key_takes_over_and_hands_back_where_both_may_drive(
    shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    asked = [shared_state.REQUESTS.index(name) for name in ("take_over", "hand_back")]
    state = shared.state.new()
    with open(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        for drivers, requests in (((DriverName.POLICY,), [0, 0]), (tuple(DriverName), [1, 1])):
            view = View(shared, HZ, Console(file=io.StringIO()), drivers)
            with view.shown():
                for driver in (b"policy", b"person"):
                    state["driver"] = driver
                    shared.state.write(state)
                    os.write(ours, b"t")
                    view.poll()
            assert shared.requests[asked].tolist() == requests
    os.close(ours)


@pytest.mark.parametrize(("asked", "kept"), [("", ["front", "wrist"]), ("wrist", ["wrist"]), ("none", [])])
def test_only_cameras_that_were_asked_for_are_kept(
    shared, tmp_path: Path, asked: str, kept: list[str]
) -> None:
    recorder = Recorder(shared, recorded(ROBOT, asked), tmp_path / "log", "reach the red cube")
    picture(shared, 99.99, 40)
    for number in range(40):
        tick(shared, number)
        recorder.take()
    recorder.finish({})
    assert validate(tmp_path / "log") == []
    dataset = Dataset(tmp_path / "log")
    assert sorted(camera.split(".")[-1] for camera in dataset.cameras) == kept and len(dataset) == 1
    assert not list((tmp_path / "log").rglob("*.mp4")) or kept
    with pytest.raises(UserError, match="record: unknown name 'wirst'; did you mean 'wrist'"):
        recorded(ROBOT, "wirst")
