"""`ideomotor data convert` and `train --map`, as the command line shows them."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FOREIGN = Path(__file__).parents[1] / "datasets/foreign.py"


@pytest.fixture(scope="module")
def foreign():
    """The writer of other people's datasets."""
    spec = importlib.util.spec_from_file_location("foreign", FOREIGN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["foreign"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def old(foreign, tmp_path_factory):
    return foreign.write_v2(tmp_path_factory.mktemp("old") / "pick", foreign.recordings())


def test_converting_says_what_there_is_now(in_process, old, tmp_path):
    done = in_process("data", "convert", old, tmp_path / "out", "--json", "-")
    assert (done.json["episodes"], done.json["frames"]) == (3, 21)
    assert done.json["tasks"] == ["pick up the cube", "open the drawer"]
    found = in_process("data", "info", tmp_path / "out", "--json", "-").json
    assert (found["format"], found["episodes"]) == ("LeRobot v3.0", 3)
    assert in_process("data", "info", old, "--json", "-").json["format"] == "LeRobot v2.1"


def test_what_is_left_out_is_shown_and_a_damaged_episode_can_be_skipped(in_process, foreign, tmp_path):
    source = foreign.write_v2(tmp_path / "pick", foreign.recordings((5, 6)))
    path = source / "data/chunk-000/episode_000000.parquet"
    for episode in (0, 1):
        path = path.with_name(f"episode_{episode:06d}.parquet")
        table = pq.read_table(path)
        records = pa.array([[{"role": "user", "content": "go"}]] * len(table))
        pq.write_table(table.append_column("language_events", records), path)
    info = json.loads((source / "meta/info.json").read_text())
    info["features"]["language_events"] = {"dtype": "language", "shape": [1], "names": None}
    (source / "meta/info.json").write_text(json.dumps(info))
    (source / "videos/chunk-000/observation.images.top/episode_000001.mp4").write_bytes(b"no film")
    command = ("data", "convert", source, tmp_path / "out")
    in_process(*command).assert_refused("episode_000001.mp4", "not readable", "--skip-damaged")
    done = in_process(*command, "--skip-damaged", "--json", tmp_path / "done.json")
    assert done.returncode == 0
    assert "language_events: left out: lists of records, not numbers or texts" in done.stdout
    left_out = json.loads((tmp_path / "done.json").read_text())["left_out"]
    assert [item["what"] for item in left_out] == ["language_events", f"{source}: episode 1"]
    shown = in_process("data", "view", source, "--episodes", 1, "--out", tmp_path / "page.html").stdout
    assert "language_events: left out: lists of records" in shown


def test_converting_to_a_robot(in_process, old, tmp_path):
    pairs = ["--map", "top=front", "--map", "side=wrist"]
    done = in_process("data", "convert", old, tmp_path / "out", "--robot", "so101", *pairs, "--json", "-")
    assert done.json["episodes"] == 3
    assert in_process("data", "validate", tmp_path / "out").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/nowhere"], ["source: no file or folder"]),
        (["{tmp}/notes.txt"], ["expected a LeRobot folder or a file with .hdf5"]),
        (["{old}", "--fps", "30"], ["fps", "for HDF5 files"]),
        (["{old}", "--map", "top=front"], ["say which with --robot"]),
        (["{old}", "--robot", "so101"], ["no camera 'front'", "--map observation.images.top=front"]),
        (["{tmp}/broken.hdf5"], ["broken.hdf5", "not readable as HDF5"]),
    ],
)
def test_what_cannot_be_converted_is_refused(in_process, old, tmp_path, arguments, words):
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "broken.hdf5").write_text("no")
    given = [text.format(tmp=tmp_path, old=old) for text in arguments]
    in_process("data", "convert", given[0], tmp_path / "out", *given[1:]).assert_refused(*words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], ["no camera 'front' (candidates: observation.images.top, observation.images.side)"]),
        (["observation.images.tpo=front"], ["not in the data", "did you mean 'observation.images.top'"]),
        (["top=front"], ["no camera 'wrist'", "--map observation.images.side=wrist"]),
    ],
)
def test_training_says_which_names_to_map(in_process, old, tmp_path, pairs, words):
    given = [part for pair in pairs for part in ("--map", pair)]
    in_process("train", "--data", old, "--out", tmp_path / "out", *given).assert_refused(*words)
    assert not (tmp_path / "out").exists()


def test_a_policy_is_trained_on_somebody_elses_dataset(in_process, old, tmp_path):
    pairs = ["--map", "top=front", "--map", "side=wrist"]
    given = ["--data", old, *pairs, "--config", "smoke", "--set", "decoder.train.log_every=1"]
    done = in_process("train", *given, "--out", tmp_path / "policy", "--json", "-").json
    assert done["policy"]["step"] == 3
    log = [json.loads(line) for line in (tmp_path / "policy/decoder.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in log if "loss" in line)
    assert all(line["progress"] == 0 for line in log if "progress" in line)  # nobody wrote it down
    recipe = json.loads((tmp_path / "policy/recipe.json").read_text())
    assert recipe["mapping"] == ["top=front", "side=wrist"]
