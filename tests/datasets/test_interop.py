"""What we write, the real `lerobot` reads, frame for frame; and what it writes, we read.

It runs in an environment of its own (its pins exclude our torch), which `make interop` makes;
IDEOMOTOR_LEROBOT_PYTHON names the Python of that environment.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ideomotor.datasets.checking import checks
from ideomotor.datasets.checking.repair import repair
from ideomotor.datasets.editing.edit import edit_of, write
from ideomotor.datasets.editing.pieces import all_pieces, deleted, trimmed
from ideomotor.datasets.lerobot import file_group
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter
from tests.interop.peers import python_of, why_not

SCRIPTS = Path(__file__).parent.parent / "interop"
PYTHON = python_of("LEROBOT")
WHY_NOT = why_not("LEROBOT", "lerobot")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
]


def run(script, *arguments, scratch):
    """Runs one of our scripts in the environment of lerobot, which keeps its caches in `scratch`."""
    cache = {"HF_HOME": str(scratch), "HF_DATASETS_CACHE": str(scratch / "datasets"), "HF_HUB_OFFLINE": "1"}
    ours = ("PYTHONPATH", "PYTHONSAFEPATH")  # the scripts import each other
    environment = {name: value for name, value in os.environ.items() if name not in ours} | cache
    command = [PYTHON, "-W", "ignore", str(SCRIPTS / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def loaded(path):
    """(arrays by column, facts) as one of the scripts wrote them."""
    arrays = dict(np.load(path))
    return arrays, json.loads(str(arrays.pop("facts")))


@pytest.fixture(scope="module")
def converted(foreign, tmp_path_factory):
    """(folder of v2.1 datasets as others wrote them, folder of the same as lerobot converted them to v3.0)"""
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    recordings = foreign.recordings((7, 9, 5, 8, 6))
    for name, inline in (("video", False), ("image", True)):
        foreign.write_v2(old / name, recordings, "v2.1", inline=inline)
        shutil.copytree(old / name, new / name)
    run("convert_with_lerobot.py", new, "video", "image", scratch=tmp_path_factory.mktemp("hub"))
    return old, new


def columns_of(dataset):
    """All rows of our reading, {column: values}."""
    parts = [dataset.columns(episode) for episode in range(len(dataset))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def frames_of(dataset, camera):
    lengths = np.diff(dataset.starts)
    return np.concatenate([dataset.frames(e, camera, np.arange(n)) for e, n in enumerate(lengths)])


@pytest.fixture(scope="module")
def recorded(make_episode, so101, tmp_path_factory):
    """Five episodes as we write them, in three data files and three videos of each camera."""
    root = tmp_path_factory.mktemp("recorded") / "five"
    with pytest.MonkeyPatch.context() as patch, DatasetWriter(root, so101) as writer:
        patch.setattr(file_group, "EPISODES_PER_GROUP", 2)
        for seed in range(5):
            writer.add_episode(make_episode(seed, 10 + seed))
    assert len(list(root.glob("data/*/*.parquet"))) == 3
    return root


@pytest.fixture(scope="module")
def repaired(recorded, tmp_path_factory):
    """What is left of that dataset when a video with the episodes 2 and 3 was cut short."""
    folder = tmp_path_factory.mktemp("repaired")
    shutil.copytree(recorded, folder / "damaged")
    video = folder / "damaged/videos/observation.images.front/chunk-000/file-001.mp4"
    video.write_bytes(video.read_bytes()[:1000])
    repair(folder / "damaged", folder / "whole")
    return folder / "whole"


@pytest.fixture(scope="module")
def edited(recorded, repaired, tmp_path_factory):
    """That dataset and the repaired one as one: an episode left out, two cut, a camera renamed."""
    out, both = tmp_path_factory.mktemp("edited") / "both", [Dataset(recorded), Dataset(repaired)]
    pieces = all_pieces([np.diff(dataset.starts).tolist() for dataset in both])
    pieces = trimmed(deleted(pieces, [0]), {1: (2, 9), 2: (3, 8)})
    write(both, pieces, edit_of(both, ["front=top"], ["plan_text"]), out)
    return out


@pytest.fixture(scope="module")
def readings(recorded, repaired, edited, by_person, tmp_path_factory):
    """Files of what LeRobotDataset returns for every row of ours, the repaired, the edited, a person's."""
    out = tmp_path_factory.mktemp("lerobot")
    roots = {"recorded": recorded, "repaired": repaired, "edited": edited, "by_person": by_person}
    files = tuple(out / f"{name}.npz" for name in roots)
    pairs = [path for pair in zip(roots.values(), files, strict=True) for path in pair]
    run("read_with_lerobot.py", *pairs, scratch=out)
    return files


@pytest.fixture(scope="module")
def read(readings):
    return loaded(readings[0])


@pytest.fixture(scope="module")
def written(recorded, tmp_path_factory):
    """Folder of the datasets that lerobot wrote: video, image, merged, continued."""
    folder = tmp_path_factory.mktemp("written")
    run("write_with_lerobot.py", recorded, folder, scratch=tmp_path_factory.mktemp("hub"))
    return folder


def test_lerobot_reads_the_values_we_wrote(recorded, read):
    arrays, facts = read
    dataset = Dataset(recorded)
    assert (facts["episodes"], facts["fps"], facts["robot_type"]) == (5, 30, "so101")
    assert facts["tasks"] == dataset.tasks
    assert {"success", "seed", "task_name"} <= set(facts["columns"])
    for name, ours in columns_of(dataset).items():
        theirs = np.array(facts["texts"][name], dtype=object) if name in facts["texts"] else arrays[name]
        assert np.array_equal(ours, theirs), name
    tasks = [dataset.tasks[index] for index in columns_of(dataset)["task_index"]]
    assert facts["texts"]["task"] == tasks


def test_lerobot_decodes_the_frames_that_we_decode(recorded, read, make_episode):
    arrays, _ = read
    dataset = Dataset(recorded)
    for camera in dataset.cameras:
        theirs = arrays[f"observation.images.{camera}"]
        for episode in range(len(dataset)):
            first, end = dataset.starts[episode], dataset.starts[episode + 1]
            ours = dataset.frames(episode, camera, np.arange(end - first)).astype(int)
            assert np.abs(ours - theirs[first:end]).max() <= 3  # two colour converters
            source = make_episode(episode, 10 + episode).images[camera]
            assert np.abs(theirs[first:end].astype(int) - source).mean() < 4  # the codec


def test_lerobot_reads_what_a_person_demonstrated(readings, by_person):
    arrays, facts = loaded(readings[3])
    ours = Dataset(by_person)
    assert (facts["episodes"], facts["tasks"], facts["ends"]) == (2, ["lift it"], [12, 19])
    for name, values in columns_of(ours).items():
        if name in arrays:
            np.testing.assert_array_equal(arrays[name].reshape(values.shape), values, err_msg=name)
    assert {"observation.state.high_rate", "capture_time", "measured_time", "driver"} <= set(arrays)
    assert arrays["observation.images.front"].shape == (19, 480, 640, 3)
    for camera in ("front", "wrist"):
        theirs = arrays[f"observation.images.{camera}"].astype(int)
        assert np.abs(theirs - frames_of(ours, camera)).max() <= 2


def test_lerobot_reads_what_was_edited(edited, readings):
    arrays, facts = loaded(readings[2])
    dataset = Dataset(edited)
    assert facts["episodes"] == len(dataset) and facts["tasks"] == dataset.tasks
    for name, ours in columns_of(dataset).items():
        theirs = np.array(facts["texts"][name], dtype=object) if name in facts["texts"] else arrays[name]
        assert np.array_equal(ours, theirs), name
    for camera in ("top", "wrist"):
        ours = frames_of(dataset, camera).astype(int)
        assert np.abs(ours - arrays[f"observation.images.{camera}"]).max() <= 3


def test_lerobot_cuts_action_windows_at_our_episode_ends(recorded, read):
    arrays, _ = read
    dataset = Dataset(recorded)
    for episode in range(len(dataset)):
        first, end = dataset.starts[episode], dataset.starts[episode + 1]
        action = dataset.columns(episode)["action"]
        assert np.array_equal(arrays["window"][first:end, 0], action)
        assert np.array_equal(arrays["window"][first:end, 1], np.concatenate([action[1:], action[-1:]]))


def test_our_statistics_are_lerobots(recorded, read):
    arrays, _ = read
    for feature, ours in Dataset(recorded).stats.items():
        for name, value in ours.items():
            assert np.array_equal(arrays[f"stats/{feature}/{name}"], value), (feature, name)
    features = {name.split("/")[1] for name in arrays if name.startswith("recomputed/")}
    assert {"action", "observation.state", "observation.images.front"} <= features
    for name in [name for name in arrays if name.startswith("recomputed/")]:
        _, feature, statistic = name.split("/")
        ours = Dataset(recorded).stats[feature][statistic]
        spread = arrays[f"recomputed/{feature}/max"] - arrays[f"recomputed/{feature}/min"]
        codec = {"min": 0.1, "max": 0.1}.get(statistic, 0.02)  # theirs are of the decoded images
        tolerance = codec if "images" in feature else 0.001 * spread + 1e-6
        assert ours.shape == arrays[name].shape, name
        assert (np.abs(ours - arrays[name]) <= tolerance).all(), name


def test_lerobot_reads_what_a_repair_left(recorded, repaired, readings):
    dataset, before = Dataset(repaired), Dataset(recorded)
    assert_read_alike(dataset, *loaded(readings[1]))
    for episode, source in enumerate((0, 1, 4)):
        for name in ("action", "subtask"):
            assert np.array_equal(dataset.columns(episode)[name], before.columns(source)[name])
        for camera in dataset.cameras:
            assert np.array_equal(dataset.frames(episode, camera, [5]), before.frames(source, camera, [5]))


def test_lerobots_files_are_many_and_hold_several_episodes(written):
    for pattern in ("data/*/*.parquet", "videos/observation.images.front/*/*.mp4"):
        assert 1 < len(list((written / "video").glob(pattern))) < 7, pattern  # of 7 episodes


@pytest.mark.parametrize("name", ["video", "image", "merged", "continued"])
def test_we_read_what_lerobot_reads(written, name):
    assert_read_alike(Dataset(written / name), *loaded(written / f"{name}.npz"))


@pytest.mark.parametrize("name", ["video", "image"])
def test_we_read_in_v21_what_lerobot_reads_after_its_own_conversion(converted, name):
    old, new = converted
    arrays, facts = loaded(new / f"{name}.npz")
    for folder, version in ((old, "v2.1"), (new, "v3.0")):
        dataset = Dataset(folder / name)
        assert dataset.info["codebase_version"] == version
        assert_read_alike(dataset, arrays, facts)


def assert_read_alike(dataset, arrays, facts):
    """Values are equal; images too, but for the rounding of two colour converters."""
    assert (len(dataset), dataset.fps, dataset.tasks) == (facts["episodes"], facts["fps"], facts["tasks"])
    assert dataset.starts[1:].tolist() == facts["ends"]
    ours = columns_of(dataset)
    assert set(ours) >= {n for n, f in dataset.meta.features.items() if f["dtype"] not in ("video", "image")}
    for column, values in ours.items():
        if column in facts["texts"]:
            assert values.tolist() == facts["texts"][column], column
        else:
            assert np.array_equal(values.reshape(arrays[column].shape), arrays[column]), column
    assert [dataset.tasks[index] for index in ours["task_index"]] == facts["texts"]["task"]
    assert np.abs(ours["timestamp"] - ours["frame_index"] / dataset.fps).max() < 1e-4
    assert dataset.cameras
    for camera in dataset.cameras:
        theirs = arrays[dataset.meta.video_key(camera)]
        tolerance = 0 if dataset.meta.is_inline(camera) else 3
        assert np.abs(frames_of(dataset, camera).astype(int) - theirs).max() <= tolerance, camera


@pytest.mark.parametrize("name", ["video", "image"])
def test_we_read_what_lerobot_was_given(written, name):
    given, facts = loaded(written / f"{name}.source.npz")
    dataset = Dataset(written / name)
    assert dataset.starts[1:].tolist() == facts["ends"]
    ours = columns_of(dataset)
    ours["task"] = np.array([dataset.tasks[index] for index in ours["task_index"]])
    for column, values in (given | facts["texts"]).items():
        if "images" in column:
            frames = frames_of(dataset, column.removeprefix("observation.images."))
            error = np.abs(frames.astype(int) - values).mean(axis=(1, 2, 3))
            # the codec; one frame on is 12 brighter
            assert error.max() < 4 if name == "video" else error.max() == 0, column
        else:
            assert np.array_equal(ours[column].reshape(np.shape(values)), values), column


@pytest.mark.parametrize("name", ["video", "image", "merged"])
def test_what_lerobot_wrote_is_valid(written, name):
    assert checks.validate(written / name) == []
