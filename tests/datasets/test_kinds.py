"""Each kind of damage alone: `validate` names it and nothing else, `repair` mends it or drops the episode."""

import errno
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter

damages = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("damages.py"))))
FRAMES, KINDS = damages.FRAMES, damages.KINDS


@pytest.fixture(scope="module")
def whole(tmp_path_factory, so101, make_episode) -> Path:
    root = tmp_path_factory.mktemp("whole") / "three"
    with DatasetWriter(root, so101) as writer:
        for seed in range(3):
            writer.add_episode(make_episode(seed, FRAMES))
    return root


@pytest.fixture
def copy(tmp_path, whole) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def write_rows(root, so101, make_episode, change):
    """Records the three episodes again, episode 1 changed by keyword arguments."""
    with DatasetWriter(root, so101) as writer:
        for seed in range(3):
            episode = make_episode(seed, FRAMES)
            writer.add_episode(make_episode(seed, FRAMES, **change(episode)) if seed == 1 else episode)


@pytest.mark.parametrize("damage", KINDS, ids=lambda damage: damage.__name__)
def test_a_kind_of_damage_is_named_and_repaired(damage, copy, whole, make_episode, hashes):
    what, kept = KINDS[damage]
    damage(copy)
    before = hashes(copy)
    problems = validate(copy, every_frame=damage is damages.damaged_frame)
    said = [f"{p['where']}: {p['what']}" for p in problems]
    assert any(what in line for line in said), said
    assert len({line.partition(" is ")[0].partition(": ")[0] for line in said}) <= 3, said  # and little else
    out = copy.with_name("fixed")
    if kept is None:
        with pytest.raises(UserError, match="no episode of it can be used"):
            repair(copy, out)
        assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    else:
        done = repair(copy, out)
        dropped = {p["where"] for p in done if p["what"].startswith("dropped")}
        assert dropped == {f"episode {seed}" for seed in {0, 1, 2} - set(kept)}, done
        check_kept(out, kept, make_episode)
    assert hashes(copy) == before


def check_kept(out, kept, make_episode):
    """The repaired copy holds these episodes' values and pictures."""
    assert validate(out, every_frame=True) == []
    dataset = Dataset(out)
    assert len(dataset) == len(kept)
    for index, seed in enumerate(kept):
        episode, columns = make_episode(seed, FRAMES), dataset.columns(index)
        assert np.array_equal(columns["action"], episode.action)
        assert dataset.tasks[columns["task_index"][0]] == episode.task
        decoded = dataset.frames(index, "front", range(FRAMES))
        assert np.abs(decoded.astype(int) - episode.images["front"]).mean() < 4


def test_static_and_duplicate_episodes_are_named_and_dropped(tmp_path, so101, make_episode):
    def resting(episode):
        return {
            "state": np.repeat(episode.state[:1], FRAMES, 0),
            "action": np.repeat(episode.action[:1], FRAMES, 0),
        }

    write_rows(tmp_path / "still", so101, make_episode, resting)
    assert validate(tmp_path / "still") == [{"where": "episode 1", "what": "nothing moves in it"}]
    repair(tmp_path / "still", tmp_path / "moving")
    check_kept(tmp_path / "moving", [0, 2], make_episode)
    with DatasetWriter(tmp_path / "twice", so101) as writer:
        for index, seed in enumerate((0, 1, 0)):
            writer.add_episode(make_episode(seed, FRAMES, index=index))
    assert validate(tmp_path / "twice") == [{"where": "episode 2", "what": "a duplicate of episode 0"}]
    repair(tmp_path / "twice", tmp_path / "once")
    check_kept(tmp_path / "once", [0, 1], make_episode)


def test_limits_are_those_of_the_robot_given(copy, so101, tmp_path):
    (copy / layout.IDENTITY).unlink()
    damages.change_json(copy / layout.INFO, lambda found: found.update(robot_type="another"))
    assert validate(copy) == []  # a robot that is not known has no limits
    narrow = load_embodiment("so101")
    object.__setattr__(narrow, "upper", narrow.upper * 0 + 1e-3)
    problems = validate(copy, narrow)
    assert problems and all(", limits " in problem["what"] for problem in problems)
    damages.change_json(copy / layout.INFO, lambda found: found["features"]["action"].update(shape=[5]))
    with pytest.raises(UserError, match="expected 6 joints of robot 'so101'"):
        validate(copy, so101)


def test_a_repaired_dataset_can_be_recorded_on(copy, tmp_path, so101, make_episode):
    damages.not_a_number(copy)
    repair(copy, tmp_path / "fixed")
    with DatasetWriter(tmp_path / "fixed", so101, resume=True) as writer:
        writer.add_episode(make_episode(1, FRAMES, index=None))
    check_kept(tmp_path / "fixed", [0, 2, 1], make_episode)


def test_a_copy_of_a_whole_dataset_says_nothing(copy, tmp_path, make_episode):
    (copy / "notes.txt").write_text("mine")
    assert repair(copy, tmp_path / "fixed") == []
    check_kept(tmp_path / "fixed", [0, 1, 2], make_episode)
    assert (tmp_path / "fixed/notes.txt").read_text() == "mine"


def test_a_copy_is_never_written_over_or_into_something(copy, tmp_path, hashes):
    before = hashes(tmp_path)
    for out in (copy, copy / "meta/new", tmp_path):
        with pytest.raises(UserError, match="fix: .* expected a"):
            repair(copy, out)
    assert hashes(tmp_path) == before


def test_a_full_disk_leaves_no_half_copy(copy, tmp_path, monkeypatch):
    def full(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_synced", full)
    with pytest.raises(UserError, match="fixed: the disk is full$"):
        repair(copy, tmp_path / "fixed")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
