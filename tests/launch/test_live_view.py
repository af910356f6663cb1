"""A session in Rerun: by a process of its own, which nobody needs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import SharedState, pack_frames
from ideomotor.launch.runtime.live_view import LiveRecording, check_view, live_view

ROBOT = load_embodiment("so101")
HZ = ROBOT.control_hz


@pytest.fixture
def shared() -> Iterator[SharedState]:
    made = shared_state.create(ROBOT)
    yield made
    made.close()


def one_second(shared: SharedState, stage: str = "run") -> None:
    """A second of a session: the first joint moves, the front camera gives two pictures."""
    tick = shared.ticks.new()
    for i in range(HZ):
        tick["tick"], tick["time"], tick["stage"] = i, 10 + i / HZ, stage.encode()
        tick["position"], tick["command"] = ROBOT.home_position, ROBOT.home_position
        tick["command"][0] = i / HZ
        shared.ticks.write(tick)
    frames = shared.frames.new()
    for at in (10.0, 10.5):
        picture = np.full((96, 96, 3), int(at * 10), np.uint8)
        pack_frames(frames, {"front": at}, {"front": picture}, shared.spec)
        shared.frames.write(frames)


def rows_of(path: Path) -> dict[str, int]:
    """{entity: rows} of a recording."""
    reader = pytest.importorskip("rerun.chunk").RrdReader(str(path))
    rows: dict[str, int] = {}
    for chunk in reader.stream():
        rows[chunk.entity_path] = rows.get(chunk.entity_path, 0) + chunk.to_record_batch().num_rows
    return rows


def test_joints_states_and_the_newest_pictures_are_shown(shared: SharedState, tmp_path: Path) -> None:
    rr = pytest.importorskip("rerun", reason="the extra rerun is not installed")
    recording = rr.RecordingStream("test", recording_id="test")
    recording.save(str(tmp_path / "live.rrd"))
    shown = LiveRecording(recording, shared, ROBOT.joint_names)
    one_second(shared)
    shown.update()
    shown.update()  # nothing is new
    one_second(shared, "hold")
    shown.update()
    recording.flush()
    recording.disconnect()
    rows = rows_of(tmp_path / "live.rrd")
    for joint in ROBOT.joint_names:
        for part in ("position", "command"):
            assert rows[f"/joints/{joint}/{part}"] == 2 * HZ + 1, "every tick, and what the line is called"
    assert rows["/state"] == 2 and rows["/camera/front"] == 2 - 1, "the newest picture, once"
    assert "/camera/wrist" not in rows


def test_a_process_of_its_own_shows_it_and_ends_with_the_session(shared: SharedState, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra rerun is not installed")
    path = tmp_path / "live.rrd"
    said: list[str] = []
    with live_view(str(path), shared, ROBOT, said.append):
        while not path.exists():
            time.sleep(0.05)
        one_second(shared)
    assert said == [] and rows_of(path)["/joints/gripper/position"] == HZ + 1


def test_a_view_that_dies_is_said_at_the_end_and_costs_nothing(shared: SharedState, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra rerun is not installed")
    said: list[str] = []
    with live_view(str(tmp_path / "live.rrd"), shared, ROBOT, said.append):
        (child,) = multiprocessing.active_children()
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        one_second(shared)
    assert said == ["view: its process had ended (exit code -9); the session did not need it"]


def test_what_is_no_viewer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"view: got 'tensorboard', expected rerun, rerun\+http://"):
        check_view("tensorboard")
    with pytest.raises(UserError, match="view"):
        check_view(str(tmp_path / "no" / "folder.rrd"))
    check_view(None)

    def missing(name: str, *args: Any) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("builtins.__import__", missing)
    with pytest.raises(UserError, match=r"view: needs the extra 'rerun'"):
        check_view("rerun")
