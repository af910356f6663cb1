"""Recording from the shared state, by the test's clock: rows, pauses, cameras that drop pictures, deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.launch.runtime.recording import episode_log
from ideomotor.launch.runtime.recording.episode_log import EpisodeLog
from ideomotor.launch.runtime.recording.episode_recorder import EpisodeRecorder
from tests.launch.driven_arm import A_TICK, HZ, RATES, ROBOT, SIZES, DrivenArm, K


@pytest.fixture
def stage() -> Iterator[DrivenArm]:
    shared = shared_state.create(ROBOT, SIZES)
    yield DrivenArm(shared)
    shared.close()


@pytest.fixture
def recorder(stage, tmp_path) -> Iterator[EpisodeRecorder]:
    made = EpisodeRecorder(stage.shared, ROBOT, tmp_path / "data", RATES)
    yield made
    made.close()


def run(stage: DrivenArm, recorder: EpisodeRecorder, count: int, **how) -> None:
    """Ticks, taken as often as a process would."""
    while count > 0:
        stage.ticks(min(count, 8), **how)
        recorder.take()
        count -= 8


def test_rows_have_every_command_and_state_and_the_picture_before_them(stage, recorder, tmp_path):
    run(stage, recorder, 40)  # somebody drives, nothing is recorded
    recorder.begin()
    run(stage, recorder, 80)
    found = recorder.save("lift it", {"seconds": 1.0})
    assert found == {"rows": 20, "gaps": 0, "lost_ticks": 0, "dropped_front": 0, "dropped_wrist": 0}
    dataset = Dataset(tmp_path / "data")
    columns = dataset.columns(0)
    expected = np.array([stage.command(tick) for tick in range(40, 120)], np.float32)
    np.testing.assert_array_equal(columns["action.high_rate"].reshape(-1, 6), expected)
    np.testing.assert_allclose(
        columns["observation.state.high_rate"].reshape(-1, 6), expected + 0.01, atol=1e-6
    )
    np.testing.assert_allclose(columns["measured_time"], np.arange(20) / 30, atol=1e-5)
    np.testing.assert_allclose(columns["capture_time"] - columns["measured_time"][:, None], -0.001, atol=1e-5)
    shades = dataset.frames(0, "wrist", np.arange(20)).mean((1, 2, 3))
    np.testing.assert_allclose(shades, np.arange(11, 31), atol=2.5)  # the eleventh picture came at tick 40
    assert dataset.frames(0, "front", [0]).shape == (1, 96, 128, 3)
    assert dataset.episodes.to_pylist()[0]["dropped_frames"] == 0
    assert validate(tmp_path / "data") == []


@pytest.mark.parametrize("late", range(K))
def test_an_episode_begins_with_the_next_tick_wherever_that_is_and_loses_less_than_a_row(
    stage, recorder, tmp_path, late
):
    """The last ticks that make no whole row are the only ones that are left out."""
    run(stage, recorder, 8 + late)
    recorder.begin()
    run(stage, recorder, 40 - late)
    assert recorder.save("lift it", {})["rows"] == (40 - late) // K
    (actions,) = episodes(tmp_path / "data")
    assert tick_of(actions[0]) == 8 + late and tick_of(actions[-1]) == 8 + late + K * (len(actions) - 1)


def test_pictures_that_a_camera_drops_are_counted_and_not_made_up(stage, recorder, tmp_path):
    run(stage, recorder, 16)
    recorder.begin()
    run(stage, recorder, 24)
    run(stage, recorder, 12, cameras=("front",))  # the wrist camera drops three
    run(stage, recorder, 20)
    found = recorder.save("lift it", {})
    assert (found["dropped_front"], found["dropped_wrist"]) == (0, 3) and found["rows"] == 14
    front, wrist = Dataset(tmp_path / "data").columns(0)["capture_time"].T
    assert (np.diff(front) > 0).all()
    assert np.flatnonzero(np.diff(wrist) == 0).tolist() == [5, 6, 7]  # the old picture, with its own time
    assert Dataset(tmp_path / "data").episodes["dropped_frames"].to_pylist() == [3]


def test_what_nobody_drives_is_left_out_and_the_measured_times_say_so(stage, recorder, tmp_path):
    run(stage, recorder, 4)
    recorder.begin()
    run(stage, recorder, 18)  # four rows and a half
    run(stage, recorder, 120, at="hold")
    run(stage, recorder, 40, driver="policy")
    run(stage, recorder, 12)
    found = recorder.save("lift it", {})
    assert (found["rows"], found["gaps"]) == (4 + 3, 1)
    columns = Dataset(tmp_path / "data").columns(0)
    apart = [1 / 30] * 3 + [1 / 30 + 162 / HZ] + [1 / 30] * 2
    np.testing.assert_allclose(np.diff(columns["measured_time"]), apart, atol=1e-5)
    np.testing.assert_allclose(np.diff(columns["timestamp"]), 1 / 30, atol=1e-6)  # as other programs want it
    at = columns["action.high_rate"].reshape(7, K, 6)[4, 0]
    np.testing.assert_allclose(at, stage.command(182), atol=1e-6)


def test_ticks_that_were_overwritten_are_counted(stage, recorder):
    recorder.begin()
    run(stage, recorder, 16)
    stage.ticks(600)  # nobody takes them: the ring has room for 480
    found = recorder.save("lift it", {})
    assert found["lost_ticks"] == 120 and found["rows"] == 4 + 120


def test_an_episode_in_hand_is_dropped_and_the_next_one_is_its_own(stage, recorder, tmp_path):
    recorder.begin()
    run(stage, recorder, 40)
    recorder.discard()
    run(stage, recorder, 40)
    recorder.begin()
    run(stage, recorder, 16)
    recorder.save("lift it", {})
    assert recorder.writer.episodes == 1
    commands = Dataset(tmp_path / "data").columns(0)["action"]
    np.testing.assert_allclose(commands[0], stage.command(80), atol=1e-6)


def test_each_saved_episode_survives_whatever_kills_the_recorder(stage, tmp_path):
    log, ends = EpisodeLog(stage.shared, ROBOT, tmp_path / "data", RATES), []
    for episode in range(2):
        record_one(stage, log, 40 + 8 * episode)
        log.save("lift it", {})
        ends = [*ends, stage.tick]
        until(log, lambda: not log.saving)
    saved = log.frames
    record_one(stage, log, 40)
    os.kill(log._process.pid, signal.SIGKILL)
    until(log, lambda: log.failed)
    assert "its process has died" in log.failure() and log.failure() == ""
    found = log.finish({})
    assert (found["episodes"], found["frames"], found["recorded"], found["gaps"]) == (2, saved, 2, 0)
    assert found["dropped_frames"] == {"front": 0, "wrist": 0} and found["tasks"] == ["lift it"]
    log.close()
    assert validate(tmp_path / "data") == [] and len(Dataset(tmp_path / "data")) == 2
    assert saved == whole_rows(tmp_path / "data", ends)
    again = EpisodeLog(stage.shared, ROBOT, tmp_path / "data", RATES, resume=True)
    assert (again.episodes, again.frames, again.tasks) == (2, saved, ["lift it"])
    record_one(stage, again, 16)
    again.save("push it", {})
    found = again.finish({})  # at once: it waits until the episode is safe
    again.close()
    frames = whole_rows(tmp_path / "data", [*ends, stage.tick])
    assert (found["episodes"], found["recorded"], found["frames"]) == (3, 1, frames)
    assert Dataset(tmp_path / "data").tasks == ["lift it", "push it"] and validate(tmp_path / "data") == []


def test_an_episode_that_nobody_has_called_done_is_dropped_with_whoever_recorded(stage, tmp_path):
    log = EpisodeLog(stage.shared, ROBOT, tmp_path / "data", RATES)
    record_one(stage, log, 24)
    log.save("lift it", {})
    until(log, lambda: not log.saving)
    record_one(stage, log, 24)
    log._pipe.close()  # as when the process that runs the session is killed
    log._process.join()
    assert len(Dataset(tmp_path / "data")) == 1 and validate(tmp_path / "data") == []


def test_a_disk_that_fills_up_ends_the_recording_and_keeps_what_is_saved(
    stage, recorder, tmp_path, monkeypatch
):
    recorder.begin()
    run(stage, recorder, 16)
    recorder.save("lift it", {})
    recorder.begin()
    run(stage, recorder, 16)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ideomotor.datasets.files.write_synced", full)
    with pytest.raises(UserError, match=r"the disk is full \(1 complete episodes kept\)"):
        recorder.save("lift it", {})
    monkeypatch.undo()
    assert len(Dataset(tmp_path / "data")) == 1 and validate(tmp_path / "data") == []
    recorder.begin()
    run(stage, recorder, 16)
    recorder.save("lift it", {})  # there is room again
    assert recorder.writer.episodes == 2


@pytest.mark.parametrize("what", ["other", "full"])
def test_a_folder_that_cannot_take_it_is_refused(stage, tmp_path, monkeypatch, what):
    folder = tmp_path / "data"
    if what == "other":
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        expected = "not empty"
    else:
        monkeypatch.setattr(episode_log, "ROOM", 2**62)
        folder, expected = Path("/proc/nowhere"), "disk: 0 MB free"
    with pytest.raises(UserError, match=expected):
        EpisodeLog(stage.shared, ROBOT, folder, RATES)


def test_another_robots_folder_is_refused_with_both_names(stage, tmp_path):
    first = EpisodeRecorder(stage.shared, replace(ROBOT, name="other"), tmp_path / "data", RATES)
    first.begin()
    run(stage, first, 16)
    first.save("lift it", {})
    first.close()
    with pytest.raises(UserError, match=r"recorded with robot 'other'.*expected 'so101'"):
        EpisodeRecorder(stage.shared, ROBOT, tmp_path / "data", RATES, resume=True)


def episodes(folder: Path) -> list[np.ndarray]:
    """(rows, A) commands of each episode."""
    dataset = Dataset(folder)
    return [dataset.columns(number)["action"] for number in range(len(dataset))]


def tick_of(command: np.ndarray) -> int:
    """Of `DrivenArm.command`."""
    return round(float(command[1] - ROBOT.home_position[1]) / A_TICK)


def whole_rows(folder: Path, ends: list[int]) -> int:
    """How many rows episodes have that ended before these ticks, each with every row from its first tick on.

    The recorder begins with whichever tick comes after it has seen the request, so that the first is read.
    """
    found = episodes(folder)
    for actions, end in zip(found, ends, strict=True):
        first = tick_of(actions[0])
        assert [tick_of(action) for action in actions] == list(range(first, end - K + 1, K))
    return sum(map(len, found))


def record_one(stage: DrivenArm, log: EpisodeLog, ticks: int) -> None:
    """Drives for so many ticks while an episode is in hand, as fast as the recorder takes them."""
    log.begin()
    before = -1
    while log.length < ticks // K - 1:  # the first ones may pass before the process has begun
        if before < 0:
            until_begun(stage, log)
            before = log.length
        stage.ticks(4)
        rows = log.length
        until(log, lambda rows=rows: log.length > rows)
    assert log.length == ticks // K - 1 or log.length == ticks // K


def until_begun(stage: DrivenArm, log: EpisodeLog) -> None:
    while log.length == 0:
        stage.ticks(4)
        time.sleep(0.01)
        log.poll()


def until(log: EpisodeLog, done) -> None:
    while not done():
        log.poll()
        time.sleep(0.002)
