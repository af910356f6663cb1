"""Data in the form of GR00T, whose meta/modality.json names slices of vectors: shown, mapped, refused."""

import json

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import info, validate
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.mapping.mapping import open_mapped


@pytest.fixture(scope="module")
def made(foreign):
    return foreign.recordings()


MODALITY = {
    "state": {"arm": {"start": 0, "end": 5}, "gripper": {"start": 5, "end": 6}},
    "action": {"arm": {"start": 0, "end": 5}, "gripper": {"start": 5, "end": 6}},
    "video": {"front": {"original_key": "observation.images.top"}, "side": {}},
    "annotation": {
        "human.validity": {},
        "human.action.task_description": {"original_key": "annotation.task"},
    },
}


@pytest.fixture
def gr00t(foreign, made, tmp_path):
    """A dataset in GR00T's form: no names in info.json, and the instruction in a column of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = foreign.write_v2(tmp_path / "gr00t", made, names=None)
    for path in root.glob("data/*/*.parquet"):
        table = pq.read_table(path)
        column = pa.array([1] * len(table), pa.int64())
        pq.write_table(table.append_column("annotation.task", column), path)
    found = json.loads((root / "meta/info.json").read_text())
    found["features"]["annotation.task"] = {"dtype": "int64", "shape": [1], "names": None}
    (root / "meta/info.json").write_text(json.dumps(found))
    (root / "meta/modality.json").write_text(json.dumps(MODALITY))
    return root


def test_gr00ts_modalities_are_shown_by_their_names(gr00t, made):
    dataset = Dataset(gr00t)
    assert sorted(dataset.cameras) == ["front", "side"]
    columns = dataset.columns(0)
    assert np.array_equal(columns["state.arm"], made[0].state[:, :5])
    assert np.array_equal(columns["action.gripper"], made[0].action[:, 5:])
    assert dataset.tasks[columns["task_index"][0]] == "open the drawer"
    features = info(gr00t)["features"]
    assert features["action"]["names"] == [*(f"arm.{i}" for i in range(5)), "gripper"]
    assert features["state.arm"]["shape"] == [5]
    assert {problem["where"] for problem in validate(gr00t)} <= {"meta/episodes_stats.jsonl"}
    actions = np.concatenate([recording.action for recording in made])
    assert np.allclose(dataset.stats["action.arm"]["std"], actions[:, :5].std(0))


def test_gr00ts_names_can_be_mapped(gr00t, so101, made):
    joints = [f"arm.{i}={joint}" for i, joint in enumerate(so101.joint_names[:5])]
    [dataset] = open_mapped([gr00t], so101, ["side=wrist", *joints])
    assert np.array_equal(dataset.columns(0)["action"], made[0].action)
    frames = dataset.frames(0, "front", [2])[0].astype(int)
    assert np.abs(frames - made[0].images["top"][2]).max() <= 8
    slices = [f"state.arm.{i}={joint}" for i, joint in enumerate(so101.joint_names[:5])]
    slices += [f"action.arm.{i}={joint}" for i, joint in enumerate(so101.joint_names[:5])]
    [dataset] = open_mapped([gr00t], so101, ["side=wrist", *slices, "state.gripper=gripper"])
    assert np.array_equal(dataset.columns(0)["observation.state"], made[0].state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": {"arm": {"start": 0, "end": 7}}}, "state.arm: start 0 and end 7, expected"),
        ({"state": {"arm": {"start": "0", "end": 2}}}, "state.arm: start '0'"),
        ({"state": [1]}, "state: got .*expected an object of objects"),
        ({"video": {"a": {"original_key": "observation.images.tap"}}}, "did you mean 'observation.images"),
        ({"annotation": {"task_description": {"original_key": "x"}}}, "annotation.task_description"),
    ],
)  # fmt: skip
def test_a_modality_that_names_what_is_not_there_is_refused(gr00t, change, message):
    (gr00t / "meta/modality.json").write_text(json.dumps(MODALITY | change))
    with pytest.raises(UserError, match=message):
        Dataset(gr00t)


def test_a_state_in_several_columns_is_put_together(foreign, made, so101, tmp_path):
    import pyarrow.parquet as pq

    root = foreign.write_v2(tmp_path / "a", made, names=None)
    found = json.loads((root / "meta/info.json").read_text())
    found["features"]["observation.arms"] = found["features"].pop("observation.state")
    (root / "meta/info.json").write_text(json.dumps(found))
    for path in root.glob("data/*/*.parquet"):
        table = pq.read_table(path)
        names = [name.replace("observation.state", "observation.arms") for name in table.column_names]
        pq.write_table(table.rename_columns(names), path)
    parts = {"hand": {"start": 3, "end": 6}, "arm": {"start": 0, "end": 3}}
    state = {name: part | {"original_key": "observation.arms"} for name, part in parts.items()}
    (root / "meta/modality.json").write_text(json.dumps({"state": state}))
    expected = made[0].state[:, [3, 4, 5, 0, 1, 2]]
    assert np.array_equal(Dataset(root).columns(0)["observation.state"], expected)
