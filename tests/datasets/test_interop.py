"""What we write, the real `lerobot` reads, frame for frame.

It runs in an environment of its own (its pins exclude our torch); IDEOMOTOR_LEROBOT_PYTHON names the
Python of that environment.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ideomotor.datasets.reader import Dataset

SCRIPT = Path(__file__).parent.parent / "interop" / "read_with_lerobot.py"
PYTHON = os.environ.get("IDEOMOTOR_LEROBOT_PYTHON")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="IDEOMOTOR_LEROBOT_PYTHON does not name a Python with lerobot"),
]


@pytest.fixture(scope="module")
def read(recorded, tmp_path_factory):
    """What LeRobotDataset returns for every row of our dataset."""
    out = tmp_path_factory.mktemp("lerobot") / "rows.npz"
    cache = {"HF_HOME": str(out.parent), "HF_DATASETS_CACHE": str(out.parent / "datasets")}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | cache
    command = [str(PYTHON), str(SCRIPT), str(recorded), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    arrays = dict(np.load(out))
    return arrays, json.loads(str(arrays.pop("facts")))


def test_lerobot_reads_the_values_we_wrote(recorded, read):
    arrays, facts = read
    dataset = Dataset(recorded)
    assert (facts["episodes"], facts["fps"], facts["robot_type"]) == (5, 30, "so101")
    assert facts["tasks"] == dataset.tasks
    assert {"success", "seed", "task_name"} <= set(facts["columns"])
    parts = [dataset.columns(episode) for episode in range(len(dataset))]
    for name in parts[0]:
        ours = np.concatenate([part[name] for part in parts])
        theirs = np.array(facts["texts"][name], dtype=object) if name in facts["texts"] else arrays[name]
        assert np.array_equal(ours, theirs), name
    tasks = [dataset.tasks[index] for part in parts for index in part["task_index"]]
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
