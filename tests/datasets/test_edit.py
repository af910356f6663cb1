"""Editing writes a new dataset that holds what was asked for, nothing else, and never touches the old one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.editing import pieces as parts
from ideomotor.datasets.editing.edit import check_alike, edit_of, lines, write
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter

PLACED = {"episode_index", "index", "task_index", "timestamp", "frame_index", "next.done"}


def whole(*datasets: Dataset) -> list[parts.Piece]:
    return parts.all_pieces([np.diff(dataset.starts).tolist() for dataset in datasets])


def assert_same(
    new: Dataset, episode: int, old: Dataset, other: int, start: int = 0, exact: bool = True
) -> None:
    """An episode of the new dataset is the frames of an old one from `start` on."""
    length = int(np.diff(new.starts)[episode])
    ours, theirs = new.columns(episode), old.columns(other)
    for name in ours.keys() - PLACED:
        assert np.array_equal(ours[name], theirs[name][start : start + length]), name
    assert np.array_equal(ours["frame_index"], np.arange(length))
    assert ours["next.done"].tolist() == [False] * (length - 1) + [True]
    for camera in new.cameras:
        pictures = new.frames(episode, camera, np.arange(length)).astype(int)
        before = old.frames(other, camera, np.arange(start, start + length)).astype(int)
        assert np.array_equal(pictures, before) if exact else np.abs(pictures - before).mean() < 3


def test_deleting_keeps_the_others_to_the_bit(
    recorded: Path, tmp_path: Path, hashes: Callable[..., Any]
) -> None:
    before, old = hashes(recorded), Dataset(recorded)
    kept = parts.deleted(whole(old), [0, 3])
    written = write([old], kept, edit_of([old]), tmp_path / "out")
    assert (written.episodes, written.frames) == (3, 11 + 12 + 14)
    new = Dataset(tmp_path / "out")
    for episode, other in enumerate([1, 2, 4]):
        assert_same(new, episode, old, other)
    assert new.meta.episodes["seed"].to_pylist() == [1001, 1002, 1004]
    assert new.meta.identity is not None and old.meta.identity is not None
    assert new.meta.identity["fingerprint"] == old.meta.identity["fingerprint"]
    assert not validate(tmp_path / "out") and hashes(recorded) == before


@pytest.mark.parametrize(("start", "stop", "exact"), [(4, 9, True), (3, 9, False), (0, 1, True)])
def test_trimming_copies_packets_from_key_frames_on(
    recorded: Path, tmp_path: Path, start: int, stop: int, exact: bool
) -> None:
    old = Dataset(recorded)
    cut = parts.trimmed(whole(old), {2: (start, stop)})
    write([old], cut, edit_of([old]), tmp_path / "out")
    new = Dataset(tmp_path / "out")
    assert int(np.diff(new.starts)[2]) == stop - start
    assert_same(new, 2, old, 2, start, exact)
    assert_same(new, 3, old, 3)
    assert not validate(tmp_path / "out")


def test_merging_renaming_and_dropping(recorded: Path, tmp_path: Path, make_episode: Any, so101: Any) -> None:
    with DatasetWriter(tmp_path / "more", so101) as writer:
        writer.add_episode(make_episode(0, 8, task="open the drawer"))
    old, more = Dataset(recorded), Dataset(tmp_path / "more")
    both = [old, more]
    change = edit_of(both, ["front=top"], ["plan_text", "wrist"], ["open the drawer=open it"])
    pieces = parts.instructed(whole(*both), [1], "go")
    said = "\n".join(lines(both, pieces, change, tmp_path / "out"))
    assert "6 of 6 episodes, 68 frames" in said and "its episodes are 5 to 5 here" in said
    assert "'open the drawer' becomes 'open it'" in said and "episode 1: 'go'" in said
    write(both, pieces, change, tmp_path / "out")
    new = Dataset(tmp_path / "out")
    assert new.cameras == ["top"] and "plan_text" not in new.columns(0)
    assert np.array_equal(new.frames(5, "top", [3]), more.frames(0, "front", [3]))
    texts = [new.tasks[int(new.columns(episode)["task_index"][0])] for episode in range(6)]
    assert texts[1] == "go" and texts[5] == "open it" and texts[0] == old.tasks[0]
    assert not validate(tmp_path / "out")


def test_datasets_that_differ_are_not_merged_and_it_is_said_in_what(
    recorded: Path, tmp_path: Path, make_episode: Any, so101: Any, foreign: Any
) -> None:
    old = Dataset(recorded)
    other = Dataset(foreign.write_v2(tmp_path / "pick", foreign.recordings()))
    with pytest.raises(UserError) as refused:
        check_alike([old, other], edit_of([old, other]))
    for what in (
        "robot: 'so101'",
        "observation.images.wrist: only in",
        "action.high_rate: only in",
        "--rename",
    ):
        assert what in str(refused.value)
    with pytest.raises(UserError, match="differ: fps: 30 and"):
        with DatasetWriter(tmp_path / "slow", so101, fps=15) as writer:
            ticks = so101.control_hz // 15
            episode = make_episode(0, 8)
            rate = np.repeat(episode.action_high_rate, ticks // 4, axis=1)
            writer.add_episode(make_episode(0, 8, action_high_rate=rate))
        slow = Dataset(tmp_path / "slow")
        check_alike([old, slow], edit_of([old, slow]))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (dict(renamed=["frnt=top"]), "did you mean"),
        (dict(renamed=["front=wrist"]), "two features"),
        (dict(renamed=["front"]), "expected OLD=NEW"),
        (dict(dropped=["action"]), "no demonstration without it"),
        (dict(dropped=["timestamp"]), "follows from the place of a row"),
        (dict(tasks=["lift=raise"]), "rename-task: instruction"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(recorded: Path, how: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        edit_of([Dataset(recorded)], **how)


def test_what_was_interrupted_goes_on_to_the_same_bytes(
    recorded: Path, tmp_path: Path, hashes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Dataset(recorded)
    pieces, change = parts.trimmed(whole(old), {0: (2, 8)}), edit_of([old], dropped=["subtask"])
    write([old], pieces, change, tmp_path / "once")

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write([old], pieces, change, tmp_path / "twice", stop)
    assert len(Dataset(tmp_path / "twice")) == 3 and not validate(tmp_path / "twice")
    write([old], pieces, change, tmp_path / "twice")
    assert hashes(tmp_path / "twice") == hashes(tmp_path / "once")
    with pytest.raises(UserError, match="holds something else"):
        write([old], pieces[1:], change, tmp_path / "twice")


def test_pictures_in_data_files_become_videos_and_foreign_ones_are_copied_or_encoded(
    foreign: Any, tmp_path: Path
) -> None:
    for inline in (False, True):
        root = foreign.write_v2(tmp_path / f"pick{inline}", foreign.recordings(), inline=inline)
        old, out = Dataset(root), tmp_path / f"out{inline}"
        write([old], parts.deleted(whole(old), [1]), edit_of([old]), out)
        new = Dataset(out)
        assert len(new) == len(old) - 1 and not validate(out)
        for camera in new.cameras:
            ours = new.frames(1, camera, [2]).astype(int)
            assert np.abs(ours - old.frames(2, camera, [2])).mean() < 4


def test_a_damaged_video_ends_it_with_the_episodes_before(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "damaged")
    [video] = (tmp_path / "damaged").glob("videos/*front/*/*.mp4")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    damaged = Dataset(tmp_path / "damaged")
    with pytest.raises(UserError, match="front"):
        write([damaged], whole(damaged), edit_of([damaged]), tmp_path / "out")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
def test_pieces_are_what_is_left_and_their_frames_what_was_cut(
    lengths: list[int], data: st.DataObject
) -> None:
    pieces = parts.all_pieces([lengths[:2], lengths[2:]])
    assert [piece.stop for piece in pieces] == lengths
    gone = data.draw(st.sets(st.integers(0, len(lengths) - 1), max_size=len(lengths) - 1))
    kept = parts.deleted(pieces, sorted(gone))
    assert [piece.number for piece in kept] == [n for n in range(len(lengths)) if n not in gone]
    which = data.draw(st.sampled_from(kept))
    start = data.draw(st.integers(0, which.stop - 1))
    stop = data.draw(st.integers(start + 1, which.stop))
    number, cut = parts.cut_of(f"{which.number}={start}:{stop}", lengths)
    frames = sum(piece.stop - piece.start for piece in parts.trimmed(kept, {number: cut}))
    assert frames == sum(piece.stop for piece in kept) - which.stop + (stop - start)


@given(st.sets(st.integers(0, 19), min_size=1))
def test_a_list_of_episodes_names_those_and_no_others(numbers: set[int]) -> None:
    assert parts.episodes_named(",".join(map(str, numbers)), 20, "delete") == sorted(numbers)


@pytest.mark.parametrize("text", ["", "x", "-1", "3-", "1,,2", "20", "5-3", "0-20", "1.5"])
def test_a_list_that_names_what_is_not_there_is_refused(text: str) -> None:
    if text == "3-":
        assert parts.episodes_named(text, 20, "delete") == list(range(3, 20))
        return
    with pytest.raises(UserError, match=r"^delete: got "):
        parts.episodes_named(text, 20, "delete")
