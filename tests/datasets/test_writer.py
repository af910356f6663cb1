import dataclasses
import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.embodiment import Joint
from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot import file_group
from ideomotor.datasets.lerobot.prepare import prepare
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter


def write(root, embodiment, episodes, **options):
    with DatasetWriter(root, embodiment, **options) as writer:
        for episode in episodes:
            writer.add_episode(episode)


def test_what_is_written_is_what_was_recorded(recorded, make_episode):
    dataset = Dataset(recorded)
    assert dataset.tasks == ["put the red cube into the bowl", "push the ball to the left"]
    for seed in range(5):
        episode, columns = make_episode(seed, 10 + seed), dataset.columns(seed)
        assert np.array_equal(columns["observation.state"], episode.state)
        assert np.array_equal(columns["action"], episode.action)
        assert np.array_equal(columns["action.high_rate"], episode.action_high_rate)
        assert np.array_equal(columns["observation.referred"], episode.referred)
        assert np.array_equal(columns["observation.keypoints"], episode.keypoints)
        assert np.array_equal(columns["progress"], episode.progress[:, 0])
        assert columns["subtask"].tolist() == episode.subtask
        assert columns["plan_text"].tolist() == episode.text
        assert columns["next.done"].tolist() == [False] * (9 + seed) + [True]
        assert np.allclose(columns["timestamp"], np.arange(10 + seed) / 30)
        assert dataset.tasks[columns["task_index"][0]] == episode.task
        for camera, images in episode.images.items():
            decoded = dataset.frames(seed, camera, np.arange(10 + seed))
            assert np.abs(decoded.astype(int) - images).mean() < 4
    assert dataset.episodes["seed"].to_pylist() == [1000, 1001, 1002, 1003, 1004]
    assert dataset.episodes["task_name"].to_pylist() == ["place", "push", "place", "push", "place"]
    assert dataset.episodes["success"].to_pylist() == [True] * 5


@settings(max_examples=6)
@given(order=st.permutations(range(5)), pause=st.integers(0, 5), encoded=st.booleans())
def test_bytes_depend_on_the_episodes_only(
    order, pause, encoded, recorded, make_episode, hashes, so101, tmp_path_factory
):
    """Not on the order of arrival, on an interruption, nor on who encodes."""
    root = tmp_path_factory.mktemp("order") / "dataset"
    episodes = [make_episode(seed, 10 + seed) for seed in order]
    given_to_writer = [prepare(episode, so101, 30) for episode in episodes] if encoded else episodes
    if pause:
        write(root, so101, given_to_writer[:pause])
    if root.exists():
        with DatasetWriter(root, so101, resume=True) as writer:
            for episode in given_to_writer:
                if episode.index is not None and episode.index >= writer.episodes:
                    writer.add_episode(episode)
    else:
        write(root, so101, given_to_writer)
    assert hashes(root) == hashes(recorded)


def test_a_volume_takes_a_limited_number_of_episodes(tmp_path, so101, make_episode, monkeypatch, hashes):
    monkeypatch.setattr(file_group, "EPISODES_PER_GROUP", 2)
    episodes = [make_episode(seed, 4) for seed in range(5)]
    write(tmp_path / "a", so101, episodes)
    dataset = Dataset(tmp_path / "a")
    assert dataset.episodes["data/file_index"].to_pylist() == [0, 0, 1, 1, 2]
    assert validate(tmp_path / "a") == []
    for seed, episode in enumerate(episodes):
        assert np.array_equal(dataset.columns(seed)["action"], episode.action)
        decoded = dataset.frames(seed, "wrist", [3, 0])
        assert np.abs(decoded.astype(int) - episode.images["wrist"][[3, 0]]).mean() < 4
    write(tmp_path / "b", so101, episodes[:3])
    write(tmp_path / "b", so101, episodes[3:], resume=True)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    monkeypatch.setattr(file_group, "GROUP_BYTES", 1)
    write(tmp_path / "c", so101, episodes[:2])
    assert Dataset(tmp_path / "c").episodes["data/file_index"].to_pylist() == [0, 1]


def test_info_says_how_the_video_was_made(recorded):
    info = json.loads((recorded / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (5, 60, 2)
    assert info["splits"] == {"train": "0:5"}
    front = info["features"]["observation.images.front"]
    assert front["shape"] == [96, 96, 3]
    assert front["info"]["video.codec"] == "h264"
    assert front["info"]["video.pix_fmt"] == "yuv420p"


@pytest.mark.parametrize("step", range(8))
def test_an_interruption_between_any_two_renames_loses_nothing(
    step, tmp_path, so101, make_episode, monkeypatch, hashes
):
    episodes = [make_episode(seed, 4) for seed in range(3)]
    write(tmp_path / "whole", so101, episodes)
    write(tmp_path / "cut", so101, episodes[:1])
    done, replace = 0, os.replace

    def replace_then_stop(source, target):
        nonlocal done
        if done == step:
            raise KeyboardInterrupt
        done += 1
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", replace_then_stop)
        try:
            write(tmp_path / "cut", so101, episodes[1:2], resume=True)
        except KeyboardInterrupt:
            pass
    dataset = Dataset(tmp_path / "cut")
    for episode in range(len(dataset)):
        assert np.array_equal(dataset.columns(episode)["action"], episodes[episode].action)
        assert len(dataset.frames(episode, "front", range(4))) == 4
    write(tmp_path / "cut", so101, episodes[len(dataset) :], resume=True)
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")


@pytest.mark.parametrize("fails_at", range(7))
def test_a_full_disk_is_one_line_and_keeps_what_is_there(
    fails_at, tmp_path, so101, make_episode, monkeypatch, hashes
):
    root = tmp_path / "full"
    writer = DatasetWriter(root, so101)
    writer.add_episode(make_episode(0, 4))
    before, written, write_synced = hashes(root), 0, files.write_synced

    def write_until_full(path, data):
        nonlocal written
        written += 1
        if written > fails_at:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        write_synced(path, data)

    monkeypatch.setattr(files, "write_synced", write_until_full)
    with pytest.raises(UserError, match=r"full: the disk is full \(1 complete episodes kept\)") as error:
        writer.add_episode(make_episode(1, 4))
    writer.close()
    assert "\n" not in str(error.value)
    assert hashes(root) == before
    assert validate(root) == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path, so101, recorded, hashes):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        DatasetWriter(tmp_path, so101)
    with pytest.raises(UserError, match=r"info\.json: no such file"):
        DatasetWriter(tmp_path, so101, resume=True)
    before = hashes(recorded)
    with pytest.raises(UserError, match="not empty"):
        DatasetWriter(recorded, so101)
    DatasetWriter(recorded, so101, resume=True).close()
    assert hashes(recorded) == before
    assert hashes(tmp_path).keys() == {"notes.txt"}
    with pytest.raises(UserError, match="not a folder"):
        DatasetWriter(tmp_path / "notes.txt", so101)


def test_a_recorder_that_wrote_nothing_leaves_nothing(tmp_path, so101):
    DatasetWriter(tmp_path / "new", so101).close()
    assert not (tmp_path / "new").exists()


def test_two_writers_on_one_folder_are_refused(tmp_path, so101, make_episode):
    with DatasetWriter(tmp_path / "shared", so101) as writer:
        writer.add_episode(make_episode(0, 2))
        with pytest.raises(UserError, match="another process is writing"):
            DatasetWriter(tmp_path / "shared", so101, resume=True)
        writer.add_episode(make_episode(1, 2))
    DatasetWriter(tmp_path / "shared", so101, resume=True).close()


def test_a_dataset_of_another_robot_or_rate_is_refused(recorded, so101):
    other = dataclasses.replace(so101, name="other")
    with pytest.raises(UserError, match="recorded with robot 'so101'.*expected 'other'"):
        DatasetWriter(recorded, other, resume=True)
    joint = Joint(**(dataclasses.asdict(so101.joints[0]) | {"upper": 1.0}))
    with pytest.raises(UserError, match="recorded with robot 'so101'"):
        DatasetWriter(recorded, dataclasses.replace(so101, joints=(joint, *so101.joints[1:])), resume=True)
    with pytest.raises(UserError, match="fps: recorded at 30, expected 40"):
        DatasetWriter(recorded, so101, fps=40, resume=True)
    with pytest.raises(UserError, match="fps: got 50, expected a divisor of 120"):
        DatasetWriter(recorded, so101, fps=50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": np.zeros((4, 5))}, r"episode 0: state: shape \(4, 5\), expected \(4, 6\)"),
        ({"action": np.full((4, 6), np.nan)}, "episode 0: action: not finite at frame 0"),
        ({"referred": np.full((4, 6), np.inf)}, "episode 0: referred: not finite at frame 0"),
        ({"action_high_rate": np.zeros((4, 6))}, r"action_high_rate: shape \(4, 6\), expected \(4, 24\)"),
        ({"subtask": ["reach"]}, "subtask: 1 texts, expected 4"),
        ({"task": " "}, "task: empty"),
        ({"images": {}}, r"images: cameras \[\], expected \['front', 'wrist'\]"),
    ],
)
def test_an_episode_that_does_not_fit_is_refused_before_it_is_written(
    changes, message, tmp_path, so101, make_episode
):
    with DatasetWriter(tmp_path / "new", so101) as writer:
        with pytest.raises(UserError, match=message):
            writer.add_episode(make_episode(0, 4, **changes))
        assert writer.episodes == 0


def test_an_index_is_given_once(tmp_path, so101, make_episode):
    with DatasetWriter(tmp_path / "new", so101) as writer:
        writer.add_episode(make_episode(0, 2, index=None))
        writer.add_episode(make_episode(1, 2, index=None))
        with pytest.raises(UserError, match="episode 1 is there already"):
            writer.add_episode(make_episode(1, 2))
    with pytest.raises(ValueError, match="closed"):
        writer.add_episode(make_episode(2, 2))
