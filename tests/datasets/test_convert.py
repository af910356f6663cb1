"""Other layouts become our v3.0: same values, same frames; interrupted, it goes on; damage is named."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.importing.convert import convert
from ideomotor.datasets.importing.demonstrations import Demonstration, Source, write_demonstrations
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.mapping.mapping import open_mapped


@pytest.fixture(scope="module")
def made(foreign):
    return foreign.recordings()


@pytest.fixture(scope="module")
def old(foreign, made, tmp_path_factory):
    return foreign.write_v2(tmp_path_factory.mktemp("old") / "pick", made, names={"motors": list("abcdef")})


def assert_holds(root, made, cameras=("top", "side")):
    dataset = Dataset(root)
    assert dataset.info["codebase_version"] == "v3.0"
    assert len(dataset) == len(made)
    for episode, recording in enumerate(made):
        columns = dataset.columns(episode)
        assert np.array_equal(columns["action"], recording.action)
        assert np.array_equal(columns["observation.state"], recording.state)
        assert dataset.tasks[columns["task_index"][0]] == recording.task
        for name, camera in zip(cameras, recording.images, strict=True):
            found = dataset.frames(episode, name, range(recording.length)).astype(int)
            assert np.abs(found - recording.images[camera]).mean() < 3  # encoded twice


@pytest.mark.parametrize("layout", ["v2.0", "v2.1 with images", "v3.0", "v3.0 with images"])
def test_every_layout_becomes_v3(foreign, made, tmp_path, layout):
    write = foreign.write_v3 if layout.startswith("v3") else foreign.write_v2
    options = {} if layout.startswith("v3") else {"version": layout[:4]}
    source = write(tmp_path / "source", made, inline="images" in layout, **options)
    result = convert(source, tmp_path / "out")
    assert (result["episodes"], result["frames"], len(result["tasks"])) == (3, 21, 2)
    assert_holds(tmp_path / "out", made)
    assert validate(tmp_path / "out") == []


def test_names_and_robot_are_kept(old, made, tmp_path):
    convert(old, tmp_path / "out")
    dataset = Dataset(tmp_path / "out")
    assert dataset.meta.features["action"]["names"] == list("abcdef")
    assert dataset.info["robot_type"] == "so100"
    assert dataset.fps == 10


def test_it_becomes_a_dataset_of_the_robot_when_that_is_wanted(old, made, so101, tmp_path):
    pairs = [
        "top=front",
        "side=wrist",
        *(f"{a}={b}" for a, b in zip("abcdef", so101.joint_names, strict=True)),
    ]
    convert(old, tmp_path / "out", embodiment=so101, mapping=pairs)
    assert_holds(tmp_path / "out", made, ("front", "wrist"))
    assert validate(tmp_path / "out") == []
    [dataset] = open_mapped([tmp_path / "out"], so101)  # trains without a mapping
    assert dataset.info["robot_type"] == "so101"
    with pytest.raises(UserError, match="no camera 'wrist'"):
        convert(old, tmp_path / "other", embodiment=so101, mapping=pairs[:1])
    assert not (tmp_path / "other").exists()


def test_an_interrupted_conversion_goes_on_and_comes_out_the_same(old, tmp_path, hashes):
    convert(old, tmp_path / "whole")
    reports = []

    def interrupt(done, total):
        reports.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(old, tmp_path / "out", progress=interrupt)
    assert len(Dataset(tmp_path / "out")) == 2
    assert validate(tmp_path / "out") == []
    convert(old, tmp_path / "out", progress=lambda *step: reports.append(step))
    assert reports == [(0, 3), (1, 3), (2, 3), (2, 3), (3, 3)]
    names = [name for name in hashes(tmp_path / "whole") if not name.endswith(".mp4")]
    assert {n: hashes(tmp_path / "out")[n] for n in names} == {
        n: hashes(tmp_path / "whole")[n] for n in names
    }
    convert(old, tmp_path / "out")  # nothing left to do


def test_a_source_is_never_mixed_with_another_nor_changed(old, foreign, made, tmp_path, hashes, recorded):
    before = hashes(old)
    convert(old, tmp_path / "out")
    other = foreign.write_v2(tmp_path / "other", made[:2])
    for source, out in ((other, tmp_path / "out"), (old, recorded)):
        with pytest.raises(UserError, match="holds something else already"):
            convert(source, out)
    with pytest.raises(UserError, match="is in the source"):
        convert(old, old / "v3")
    assert hashes(old) == before


def test_a_damaged_episode_is_named_and_those_before_it_stay(foreign, made, tmp_path):
    source = foreign.write_v2(tmp_path / "source", made)
    video = source / "videos/chunk-000/observation.images.top/episode_000001.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[:500])
    with pytest.raises(UserError, match="episode_000001.mp4"):
        convert(source, tmp_path / "out")
    assert len(Dataset(tmp_path / "out")) == 1
    video.write_bytes(whole)
    convert(source, tmp_path / "out")
    assert_holds(tmp_path / "out", made)


def test_robomimic_becomes_v3(foreign, tmp_path):
    written = foreign.write_robomimic(tmp_path / "lift.hdf5")
    result = convert(tmp_path / "lift.hdf5", tmp_path / "out")
    assert (result["episodes"], result["frames"], result["tasks"]) == (3, 19, ["Lift"])
    assert validate(tmp_path / "out") == []
    dataset = Dataset(tmp_path / "out")
    assert (dataset.fps, dataset.cameras, dataset.info["robot_type"]) == (20, ["agentview"], "Panda")
    for episode, values in enumerate(written.values()):  # demo_10 after demo_2
        columns = dataset.columns(episode)
        parts = [values[f"obs/robot0_{name}"] for name in ("eef_pos", "eef_quat", "gripper_qpos")]
        assert np.allclose(columns["observation.state"], np.concatenate(parts, axis=1))
        assert np.allclose(columns["observation.environment_state"], values["obs/object"])
        assert np.allclose(columns["observation.robot0_joint_pos"], values["obs/robot0_joint_pos"])
        assert np.allclose(columns["action"], values["actions"])
        assert np.allclose(columns["next.reward"], values["rewards"])
        assert columns["next.done"].tolist() == values["dones"].astype(bool).tolist()
        frames = dataset.frames(episode, "agentview", range(len(parts[0]))).astype(int)
        assert np.abs(frames - values["obs/agentview_image"]).max() <= 3
    names = dataset.meta.features["observation.state"]["names"]
    assert names[0] == "robot0_eef_pos.0" and names[-1] == "robot0_gripper_qpos.1"


def test_robomimic_state_rate_and_instruction_can_be_said(foreign, tmp_path):
    foreign.write_robomimic(tmp_path / "a.hdf5", problem_info=json.dumps({"language_instruction": "lift it"}))
    convert(tmp_path / "a.hdf5", tmp_path / "a")
    assert Dataset(tmp_path / "a").tasks == ["lift it"]  # as LIBERO writes it
    path = tmp_path / "b.h5"
    foreign.write_robomimic(path, env_args="{}")
    with pytest.raises(UserError, match="control_freq: got None.*--fps"):
        convert(path, tmp_path / "b")
    with pytest.raises(UserError, match="did you mean 'robot0_joint_pos'"):
        convert(path, tmp_path / "b", fps=20, state=["robot0_joint_psi"])
    state = ["robot0_joint_pos", "robot0_gripper_qpos"]
    convert(path, tmp_path / "b", fps=25, state=state, task="lift the cube")
    dataset = Dataset(tmp_path / "b")
    assert (dataset.fps, dataset.tasks) == (25, ["lift the cube"])
    assert dataset.meta.features["observation.state"]["shape"] == [9]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.__delitem__("data"), "no group 'data'"),
        (lambda file: file["data/demo_0"].__delitem__("obs"), "no 'obs'; extract observations first"),
        (lambda file: file["data/demo_2"].__delitem__("actions"), "demo_2: no 'actions'"),
        (
            lambda file: file["data/demo_2/obs"].__delitem__("robot0_eef_pos"),
            "demo_2: no obs/robot0_eef_pos",
        ),
        (lambda file: file["data"].attrs.__setitem__("env_args", "{"), "env_args: not readable as JSON"),
        (
            lambda file: file["data/demo_2/actions"].__setitem__((3, 0), np.nan),
            "action: not finite at frame 3",
        ),
    ],
)
def test_what_is_wrong_in_an_hdf5_file_is_named(foreign, tmp_path, change, message):
    import h5py

    path = tmp_path / "lift.hdf5"
    foreign.write_robomimic(path)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(UserError, match=message) as caught:
        convert(path, tmp_path / "out")
    assert "\n" not in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_hdf5_file_never_escapes_as_another_error(data, foreign, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "lift.hdf5"
    foreign.write_robomimic(path, (4,))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for at in data.draw(st.lists(st.integers(0, 6000), min_size=1, max_size=4)):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        convert(path, folder / "out")
    except UserError as error:
        assert "\n" not in str(error)
    if (folder / "out").exists():
        assert len(Dataset(folder / "out")) <= 1


def test_own_demonstrations_must_fit_each_other(tmp_path):
    def episode(number, **changes):
        moving = np.linspace(0, 1 + number, 8).reshape(4, 2)
        columns = {"observation.state": moving, "action": moving}
        images = {"front": np.zeros((changes.pop("frames", 4), 33, 48, 3), np.uint8)}
        return Demonstration(columns | changes, images, "push")

    def write(*episodes):
        source = Source("mine", 10, range(len(episodes)), lambda i: episodes[i])
        return write_demonstrations(tmp_path / "out", source)

    assert write(episode(0)).frames == 4
    assert Dataset(tmp_path / "out").meta.features["observation.images.front"]["shape"] == [32, 48, 3]
    for bad, message in (
        (episode(1, frames=5), "episode 1: images.front: got more than 4 images"),
        (episode(1, frames=3), "episode 1: images.front: 3 images, expected 4"),
        (episode(1, action=np.zeros((4, 3))), r"action: shape \(4, 3\), expected \(4, 2\)"),
        (episode(1, action=np.zeros((4, 2), int)), "action: int64, expected float32"),
        (episode(1, extra=np.zeros(4)), "columns: got .*extra"),
        (episode(1, action=np.full((4, 2), np.inf)), "action: not finite at frame 0"),
    ):
        with pytest.raises(UserError, match=message):
            write(episode(0), bad)
    assert validate(tmp_path / "out") == []
    assert write(episode(0), episode(1)).episodes == 2
    with pytest.raises(UserError, match=r"fps: got -1"):
        write_demonstrations(tmp_path / "b", Source("mine", -1, [0], episode))


def test_instructions_may_change_within_an_episode(tmp_path):
    columns = {"observation.state": np.zeros((4, 2)), "action": np.zeros((4, 2))}
    found = Demonstration(columns, {}, ["open", "open", "close", "close"])
    write_demonstrations(tmp_path / "out", Source("mine", 10, [0], lambda _: found))
    dataset = Dataset(tmp_path / "out")
    assert [dataset.tasks[i] for i in dataset.columns(0)["task_index"]] == ["open", "open", "close", "close"]
    assert dataset.episodes["tasks"].to_pylist() == [["open", "close"]]
