"""Data under the names of an embodiment: explicit, with candidates when a name does not fit."""

import json
import math

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.cache import open_cache
from ideomotor.datasets.loading.loader import WindowLoader, open_datasets_cache
from ideomotor.datasets.mapping.mapping import open_mapped

CAMERAS = ("observation.images.top=front", "side=wrist")


@pytest.fixture(scope="module")
def made(foreign):
    return foreign.recordings()


@pytest.fixture(scope="module")
def write(foreign, made, tmp_path_factory):
    """write(names, change): a v2.1 dataset with these names of joints and these values."""

    def build(names=tuple(foreign.JOINTS), change=lambda values: values, **options):
        import dataclasses

        root = tmp_path_factory.mktemp("data") / "foreign"
        changed = [
            dataclasses.replace(r, state=change(r.state), action=change(r.action)) for r in made
        ]  # fmt: skip
        return foreign.write_v2(root, changed, names=names, **options)

    return build


@pytest.fixture(scope="module")
def plain(write):
    return write()


def test_cameras_are_renamed(plain, so101, made):
    [dataset] = open_mapped([plain], so101, CAMERAS)
    assert sorted(dataset.cameras) == ["front", "wrist"]
    for episode, recording in enumerate(made):
        for name, source in (("front", "top"), ("wrist", "side")):
            found = dataset.frames(episode, name, range(recording.length)).astype(int)
            assert np.abs(found - recording.images[source]).max() <= 8


def test_cameras_can_be_swapped(foreign, so101, tmp_path):
    made = foreign.recordings(cameras=("front", "wrist"))
    root = foreign.write_v3(tmp_path / "a", made)
    [dataset] = open_mapped([root], so101, ["front=wrist", "wrist=front"])
    for name, source in (("front", "wrist"), ("wrist", "front")):
        found = dataset.frames(2, name, [3])[0].astype(int)
        assert np.abs(found - made[2].images[source][3]).max() <= 8


def test_the_loaders_cache_has_the_embodiments_names(plain, so101, made, tmp_path):
    [dataset] = open_mapped([plain], so101, CAMERAS)
    cache = open_datasets_cache(dataset, so101, tmp_path, None)
    assert sorted(cache.images) == ["front", "wrist"]
    assert all(images.shape == (21, 96, 96, 3) for images in cache.images.values())
    assert np.array_equal(cache.columns["action"], np.concatenate([r.action for r in made]))
    assert list(cache.vocabulary["task"]) == ["pick up the cube", "open the drawer"]


def test_a_training_window_of_others_data_is_at_the_embodiments_rate(write, foreign, so101, made, tmp_path):
    """10 frames a second become 120 commands, with the frame's own action at every twelfth."""
    datasets = open_mapped([write(drop=("task_index", "index"))], so101, CAMERAS)
    loader = WindowLoader(datasets, so101, horizon=25, batch_size=21, cache_root=tmp_path)
    batch = loader.batch(0)
    at = int(np.flatnonzero(batch.now.index == 7 + 2)[0])  # frame 2 of episode 1
    assert np.allclose(batch.actions[at][::12], made[1].action[2:5], atol=1e-6)
    assert batch.instruction[at] == "open the drawer"
    assert np.array_equal(batch.now.state[at], made[1].state[2])
    level = batch.now.images["wrist"][at].astype(float).mean()
    assert abs(level - made[1].images["side"][2].mean()) < 3


def test_another_mapping_gets_another_cache(write, so101, tmp_path):
    degrees = write(change=np.rad2deg)
    found = []
    for unit in ("deg", "percent"):
        pairs = [*CAMERAS, *(f"{j}={j}:deg" for j in so101.joint_names if j != "gripper")]
        pairs += [f"gripper=gripper:{unit}"]
        [dataset] = open_mapped([degrees], so101, pairs)
        found.append(open_cache(dataset, 8, 8, cache_root=tmp_path).columns["action"][:, 5])
    assert not np.allclose(found[0], found[1])


def test_joints_are_taken_by_their_names_in_any_order(write, so101, made):
    order = [5, 3, 1, 0, 2, 4]
    names = [f"{so101.joint_names[i]}.pos" for i in order]
    [dataset] = open_mapped([write(names, lambda values: values[:, order])], so101, CAMERAS)
    columns = dataset.columns(1)
    assert np.array_equal(columns["observation.state"], made[1].state)
    assert np.array_equal(columns["action"], made[1].action)
    assert dataset.meta.features["action"]["names"] == list(so101.joint_names)


def test_a_component_is_renamed_in_state_and_action_alike(write, so101, made):
    names = ["main_pan", *so101.joint_names[1:]]
    [dataset] = open_mapped([write(names)], so101, [*CAMERAS, "main_pan=shoulder_pan"])
    assert np.array_equal(dataset.columns(0)["observation.state"], made[0].state)
    assert np.array_equal(dataset.columns(0)["action"], made[0].action)


def test_vectors_without_names_are_taken_in_order_when_that_is_said(write, so101, made):
    root = write(None)
    with pytest.raises(UserError, match="no joint 'shoulder_pan'.*candidates: observation.state.0"):
        open_mapped([root], so101, CAMERAS)
    pairs = ["observation.state=observation.state", "action=action"]
    [dataset] = open_mapped([root], so101, [*CAMERAS, *pairs])
    assert np.array_equal(dataset.columns(2)["action"], made[2].action)
    assert np.allclose(dataset.stats["action"]["max"], np.concatenate([r.action for r in made]).max(0))


def test_units_are_converted(write, so101, made):
    """LeRobot records joints in degrees, or all in percent of their travel, with grippers from 0 to 100."""
    lower, upper = so101.lower, so101.upper
    whole = ["observation.state=observation.state:deg", "action=action:deg", "gripper=gripper:percent"]

    def in_degrees(values):
        gripper = (values[:, 5:] - lower[5]) / (upper[5] - lower[5]) * 100
        return np.concatenate([np.rad2deg(values[:, :5]), gripper], axis=1).astype(np.float32)

    [dataset] = open_mapped([write(change=in_degrees)], so101, [*CAMERAS, *whole])
    assert np.allclose(dataset.columns(0)["observation.state"], made[0].state, atol=1e-5)
    assert np.allclose(dataset.columns(0)["action"], made[0].action, atol=1e-5)
    states = np.concatenate([recording.state for recording in made])
    found = dataset.stats["observation.state"]
    assert np.allclose(found["mean"], states.mean(0), atol=1e-5)
    assert np.allclose(found["std"], states.std(0), atol=1e-5)

    def in_percent(values):
        share = (values - lower) / (upper - lower)
        return np.where(np.arange(6) == 5, share * 100, share * 200 - 100).astype(np.float32)

    pairs = [*CAMERAS, "observation.state=observation.state:percent", "action=action:percent"]
    [dataset] = open_mapped([write(change=in_percent)], so101, pairs)
    assert np.allclose(dataset.columns(0)["observation.state"], made[0].state, atol=1e-5)


def test_degrees_are_not_taken_for_radians(write, so101):
    root = write(change=lambda values: values * 180 / math.pi)
    with pytest.raises(UserError, match=r"goes from .* limits .* rad; .*:deg"):
        open_mapped([root], so101, CAMERAS)


def test_commands_between_frames_are_mapped_with_the_action(foreign, so101, made, tmp_path, write):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = write(["pan", *so101.joint_names[1:]])
    path = root / "data/chunk-000/episode_000000.parquet"
    rows = np.concatenate([made[0].action, made[0].action + 1], axis=1)
    pq.write_table(pq.read_table(path).append_column("action.high_rate", pa.array(rows.tolist())), path)
    found = json.loads((root / "meta/info.json").read_text())
    found["features"]["action.high_rate"] = {"dtype": "float32", "shape": [12], "names": None}
    (root / "meta/info.json").write_text(json.dumps(found))
    [dataset] = open_mapped([root], so101, [*CAMERAS, "pan=shoulder_pan"])
    assert np.allclose(dataset.columns(0)["action.high_rate"], rows)
    assert dataset.meta.features["action.high_rate"]["shape"] == [12]


def test_our_own_recordings_are_left_as_they_are(recorded, plain, so101):
    ours, theirs = open_mapped([recorded, plain], so101, CAMERAS)
    assert ours.info == Dataset(recorded).info
    assert sorted(theirs.cameras) == sorted(ours.cameras)
    with pytest.raises(UserError, match="'top' is not in the data"):
        open_mapped([recorded], so101, ["top=front"])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["observation.images.tpo=front"], "did you mean 'observation.images.top'.*candidates: .*side"),
        (["top=frnt"], "camera of so101: unknown name 'frnt'; did you mean 'front'.*valid: front, wrist"),
        (["gripper=griper"], "joint of so101: unknown name 'griper'; did you mean 'gripper'"),
        (["top"], "got 'top', expected SOURCE=TARGET"),
        (["=front"], "expected SOURCE=TARGET"),
        (["gripper=gripper:miles"], "unit: unknown name 'miles'.*valid: deg, percent"),
        (["top=front:deg"], "a camera has no unit"),
        (["top=front", "side=front"], "front is already given by 'top=front'"),
        (["top=front", "top=wrist"], "is already given to another camera"),
        (["top=front"], r"no camera 'wrist' \(candidates: observation.images.side\); e.g. --map"),
        (["action=gripper"], "action has 6 components, expected the target"),
        (["observation.state.gripper=gripper", "gripper=gripper"], "already given"),
        ([], r"no camera 'front' \(candidates: observation.images.top, observation.images.side\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_candidates(plain, so101, pairs, message):
    with pytest.raises(UserError, match=message) as caught:
        open_mapped([plain], so101, pairs)
    assert "\n" not in str(caught.value)


def test_a_name_that_means_two_things_is_refused(foreign, so101, made, tmp_path):
    names = ["top", *so101.joint_names[1:]]
    root = foreign.write_v2(tmp_path / "a", made, names=names)
    with pytest.raises(UserError, match="ambiguous.*images.top, observation.state.top, action.top"):
        open_mapped([root], so101, ["top=front"])
    pairs = [*CAMERAS, "observation.state.top=shoulder_pan", "action.top=shoulder_pan"]
    [dataset] = open_mapped([root], so101, pairs)
    assert np.array_equal(dataset.columns(0)["action"], made[0].action)


def test_another_number_of_joints_is_refused(write, so101):
    wide = write([f"left_{i}" for i in range(6)] + [f"right_{i}" for i in range(6)], lambda v: np.tile(v, 2))
    with pytest.raises(UserError, match="12 components, expected the 6 joints of so101"):
        open_mapped([wide], so101, [*CAMERAS, "observation.state=observation.state", "action=action"])
    pairs = [f"right_{i}={joint}" for i, joint in enumerate(so101.joint_names)]
    [dataset] = open_mapped([wide], so101, [*CAMERAS, *pairs])
    assert dataset.columns(0)["action"].shape[1] == 6
