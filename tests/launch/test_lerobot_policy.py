"""A policy of LeRobot's on our robots: names, units, rates and frames, there and back, without LeRobot."""

from __future__ import annotations

import os
import sys
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from safetensors.numpy import save_file

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.launch.checkpoints import chosen_policy, facts_of
from ideomotor.launch.serving import framing
from ideomotor.launch.serving.lerobot_config import read_lerobot_config
from ideomotor.launch.serving.lerobot_mapping import lerobot_mapping
from ideomotor.launch.serving.lerobot_options import LeRobotOptions
from ideomotor.launch.serving.lerobot_policy import LeRobotPolicy
from ideomotor.launch.serving.lerobot_process import LeRobotProcess
from ideomotor.launch.serving.lerobot_source import LeRobotSource

SO101 = load_embodiment("so101")
NONE = np.empty((0, 6))
PLAN = LatentPlan(np.zeros((1, 1), np.float32), 0.0)


@pytest.fixture
def checkpoints(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    import lerobot_checkpoints

    return lerobot_checkpoints


class Answering:
    """Stands for the process: keeps what it was asked, and answers with a chunk."""

    def __init__(self, chunk: np.ndarray) -> None:
        self.chunk, self.asked = chunk.astype(np.float32), []

    def ask(self, head, arrays=None):
        self.asked.append((head, arrays or {}))
        return {"action": self.chunk} if head["do"] == "chunk" else {}


def seen(tick: int, shade: int = 0, state: np.ndarray | None = None) -> Observation:
    picture = np.full((96, 96, 3), shade, np.uint8)
    images = {"front": picture, "wrist": picture}
    at = SO101.home_position if state is None else state
    return Observation(tick / 120, tick, images, at.astype(np.float32), "lift the cube")


def test_commands_become_a_smooth_motion_at_120_hz_that_goes_through_each(checkpoints, tmp_path):
    mapping = lerobot_mapping(
        read_lerobot_config(checkpoints.write_config(tmp_path)), SO101, LeRobotOptions(hz=30.0)
    )
    ramp = np.linspace(0, 0.5, 24)[:, None] * np.ones(6)
    policy = LeRobotPolicy(mapping, Answering(ramp))
    chunk = policy.act(seen(8), PLAN, NONE)
    assert chunk.actions.shape == (96, 6) and (chunk.hz, chunk.starts_at) == (120.0, 8)
    assert np.allclose(chunk.actions[::4], ramp, atol=1e-6)
    steps = np.diff(chunk.actions[:93, 0])
    assert np.allclose(steps, steps[0], rtol=1e-3)  # it neither starts nor ends at rest
    assert (chunk.actions[92:] == chunk.actions[92]).all()  # the last frame holds its command
    # The next chunk is due while this one lasts, and what is committed stays as it is.
    assert mapping.timing.act_every_ticks == 64 and mapping.steps == 16
    committed = np.full((5, 6), 0.25)
    entered = policy.act(seen(72), PLAN, committed)
    assert (entered.actions[:5] == 0.25).all() and np.allclose(entered.actions[5:], chunk.actions[5:])


def test_what_is_no_joint_target_is_held(checkpoints, tmp_path):
    reacher = load_embodiment("reacher")
    changes = {
        "input_features": {
            "observation.images.above": {"type": "VISUAL", "shape": [3, 96, 96]},
            "observation.state": {"type": "STATE", "shape": [6]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [2]}},
    }
    config = read_lerobot_config(checkpoints.write_config(tmp_path, **changes))
    policy = LeRobotPolicy(
        lerobot_mapping(config, reacher, LeRobotOptions(hz=25.0)),
        Answering(np.array([[1.0, -1.0], [0.5, 0.0]])),
    )
    picture = {"above": np.zeros((96, 96, 3), np.uint8)}
    made = policy.act(Observation(0.0, 0, picture, np.zeros(6, np.float32), "reach"), PLAN, np.empty((0, 2)))
    assert made.actions.tolist() == [[1.0, -1.0], [1.0, -1.0], [0.5, 0.0], [0.5, 0.0]]


def test_states_and_commands_are_in_its_units_under_its_names(checkpoints, tmp_path):
    folder = checkpoints.write_config(
        tmp_path,
        input_features={
            "observation.images.top": {"type": "VISUAL", "shape": [3, 48, 48]},
            "observation.state": {"type": "STATE", "shape": [6]},
        },
    )
    pairs = ("observation.images.top=front", "observation.state=observation.state:deg", "action=action:deg")
    mapping = lerobot_mapping(read_lerobot_config(folder), SO101, LeRobotOptions(hz=30.0, map=pairs))
    process = Answering(np.full((24, 6), 10.0))
    state = np.linspace(-0.5, 0.5, 6)
    chunk = LeRobotPolicy(mapping, process).act(seen(0, 7, state), PLAN, NONE)
    head, arrays = process.asked[-1]
    assert head == {"do": "chunk", "task": "lift the cube", "frames": 1}
    assert set(arrays) == {"0/observation.images.top", "0/observation.state"}
    assert arrays["0/observation.images.top"].shape == (48, 48, 3)
    assert np.allclose(arrays["0/observation.state"], np.rad2deg(state), atol=1e-4)
    assert np.allclose(chunk.actions, np.deg2rad(10.0))


def test_joints_are_found_by_name_whatever_their_order(checkpoints, tmp_path):
    names = [f"{name}.pos" for name in reversed(SO101.joint_names)]
    folder = checkpoints.write_config(tmp_path)
    checkpoints.write_facts(folder, 30.0, {"observation.state": names, "action": names})
    mapping = lerobot_mapping(read_lerobot_config(folder), SO101, LeRobotOptions())
    process = Answering(np.tile(np.arange(6) / 10, (24, 1)))
    chunk = LeRobotPolicy(mapping, process).act(seen(0, state=np.arange(6) / 10), PLAN, NONE)
    assert np.allclose(process.asked[-1][1]["0/observation.state"], np.arange(6)[::-1] / 10)
    assert np.allclose(chunk.actions[0], np.arange(6)[::-1] / 10)


def test_one_that_looks_back_is_given_the_frames_between_its_chunks(checkpoints, tmp_path):
    folder = checkpoints.write_config(tmp_path, "diffusion", n_obs_steps=3, horizon=16, n_action_steps=8)
    config = read_lerobot_config(folder)
    assert config.chunk == 14
    mapping = lerobot_mapping(config, SO101, LeRobotOptions(hz=15.0))
    process = Answering(np.zeros((14, 6)))
    policy = LeRobotPolicy(mapping, process)
    assert policy.watch_every_ticks == 8 and mapping.timing.act_every_ticks == 64

    def shades() -> list[int]:
        arrays = process.asked[-1][1]
        return [int(arrays[f"{i}/observation.images.front"].flat[0]) for i in range(3)]

    policy.act(seen(0, 1), PLAN, NONE)
    assert shades() == [1, 1, 1]  # there is nothing before the first
    for tick, shade in ((8, 2), (10, 99), (16, 3), (24, 4)):
        policy.watch(seen(tick, shade))
    policy.act(seen(24, 4), PLAN, NONE)
    assert shades() == [2, 3, 4]
    policy.reset(5)
    assert process.asked[-1][0] == {"do": "reset", "seed": 5}
    policy.act(seen(24, 6), PLAN, NONE)
    assert shades() == [6, 6, 6]


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, {}, ["lerobot.hz", "fps"]),
        ({}, {"hz": 500.0}, ["lerobot.hz", "120"]),
        ({}, {"hz": 30.0, "steps": 25}, ["lerobot.steps", "24"]),
        ({"type": "tdmpc", "chunk_size": None}, {"hz": 30.0}, ["not as LeRobot writes"]),
        (
            {"output_features": {"action": {"type": "ACTION", "shape": [7]}}},
            {"hz": 30.0},
            ["action", "joint"],
        ),
        (
            {"input_features": {"observation.images.top": {"type": "VISUAL", "shape": [3, 96, 96]}}},
            {"hz": 30.0},
            ["observation.images.top", "--lerobot.map observation.images.top=front"],
        ),
        (
            {"input_features": {"observation.images.front": {"type": "VISUAL", "shape": [3, 96, 128]}}},
            {"hz": 30.0},
            ["128 x 96", "another shape"],
        ),
        (
            {"input_features": {"observation.environment_state": {"type": "ENV", "shape": [4]}}},
            {"hz": 30.0},
            ["observation.environment_state"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_loaded(
    checkpoints, tmp_path, changes, options, words
):
    folder = checkpoints.write_config(tmp_path, **changes)
    with pytest.raises(UserError) as refused:
        lerobot_mapping(read_lerobot_config(folder), SO101, LeRobotOptions(**options))
    for word in words:
        assert word in str(refused.value)


def test_degrees_are_not_taken_for_radians(checkpoints, tmp_path):
    folder = checkpoints.write_config(tmp_path)
    stats = {"action.min": np.full(6, -90.0, np.float32), "action.max": np.full(6, 90.0, np.float32)}
    save_file(stats, folder / "policy_postprocessor_step_0_unnormalizer_processor.safetensors")
    with pytest.raises(UserError, match="action=action:deg"):
        lerobot_mapping(read_lerobot_config(folder), SO101, LeRobotOptions(hz=30.0))
    pairs = ("observation.state=observation.state:deg", "action=action:deg")
    lerobot_mapping(read_lerobot_config(folder), SO101, LeRobotOptions(hz=30.0, map=pairs))


def test_a_policy_is_known_by_its_prefix_and_by_its_bytes(checkpoints, tmp_path):
    folder = checkpoints.write_config(tmp_path / "one")
    options = LeRobotOptions(python=sys.executable, hz=30.0)
    source = chosen_policy(f"lerobot:{folder}", SO101, options)
    again = chosen_policy(f"lerobot:{folder}", SO101, options)
    assert isinstance(source, LeRobotSource) and isinstance(again, LeRobotSource)
    assert source == again and hash(source) == hash(again)
    sent = ForkingPickler.dumps(source)  # as to the workers of an evaluation
    assert ForkingPickler.loads(sent) == source  # pyright: ignore[reportAttributeAccessIssue]
    before = source.fingerprint()
    assert before == again.fingerprint()
    assert facts_of(source, SO101)[0].act_every_ticks == 64
    (folder / "model.safetensors").write_bytes(b"other")
    assert source.fingerprint() != before
    with pytest.raises(UserError, match="lerobot: its options"):
        chosen_policy(None, SO101, options)
    with pytest.raises(UserError, match="no weights|policy's weights"):
        (folder / "model.safetensors").unlink()
        chosen_policy(f"lerobot:{folder}", SO101, options)


def test_a_python_without_lerobot_is_refused_with_its_last_words(checkpoints, tmp_path):
    folder = checkpoints.write_config(tmp_path)
    with pytest.raises(UserError, match="No module named 'lerobot'"):
        LeRobotProcess(sys.executable, folder)


def test_messages_arrive_as_they_were_sent_and_nonsense_is_refused():
    reading, writing = os.pipe()
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4), np.uint8)}
    framing.send(writing, {"do": "it"}, arrays)
    head, found = framing.receive(reading, 1.0)
    assert head == {"do": "it"} and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    with pytest.raises(framing.BrokenMessage, match="object"):
        framing.send(writing, {}, {"code": np.array([object()])})
    huge = b'{"head": {}, "arrays": [["a", "uint8", [99999999999]]]}'
    os.write(writing, len(huge).to_bytes(4, "little") + huge)
    with pytest.raises(framing.BrokenMessage, match="99999999999 bytes"):
        framing.receive(reading, 1.0)
    os.write(writing, (1 << 30).to_bytes(4, "little"))
    with pytest.raises(framing.BrokenMessage, match="header"):
        framing.receive(reading, 1.0)
    os.close(writing)
    with pytest.raises(framing.BrokenMessage, match="gone"):
        framing.receive(reading, 1.0)
    os.close(reading)
