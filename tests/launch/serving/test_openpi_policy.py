"""A policy behind openpi's protocol drives a robot of ours: what it gets, and what becomes of its actions."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.rollout import rollout
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.serving.openpi_mapping import openpi_mapping, padded
from ideomotor.launch.serving.openpi_policy import OpenpiPolicy
from ideomotor.launch.serving.packing import pack
from ideomotor.launch.serving.remote_options import RemoteOptions
from ideomotor.sim.open_world import task_world

SO101 = load_embodiment("so101")
STATE = ("observation/state=state",)
ARM = "shoulder_pan,shoulder_lift,elbow_flex,wrist_flex,wrist_roll"
DROID = (
    "observation/exterior_image_1_left=front:224",
    "observation/wrist_image_left=wrist:64:chw",
    f"observation/joint_position={ARM}:deg",
    "observation/gripper_position=gripper:range",
    f"actions[0-4]={ARM}:deg",
    "actions[5]=gripper:range",
)
NONE = np.empty((0, 6))


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[OpenpiPolicy, Any]]]:
    """asking(answer, *pairs): (a policy of openpi's as `run` has it, the server that it asks)."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from scripted_server import ScriptedServer

    with contextlib.ExitStack() as stack:

        def made(answer: Any, *pairs: str, parts: Any = ("interpreter", "decoder"), hz: float = 15.0) -> Any:
            server = stack.enter_context(ScriptedServer(answer).listening())
            address = server.url.replace("ws://", "openpi://")
            source = chosen_policy(address, SO101, remote=RemoteOptions(map=pairs or STATE, action_hz=hz))
            assert not isinstance(source, Path)
            return source.load(parts), server

        yield made


def reply(actions: np.ndarray) -> list[bytes | str]:
    return [pack({"actions": actions, "server_timing": {"infer_ms": 1.0}})]


def test_it_is_sent_what_it_was_trained_on_and_its_actions_are_ours_at_our_rate(asking, seen) -> None:
    share = 0.25
    theirs = np.column_stack([np.linspace(0, 14, 8)] * 5 + [np.full(8, share)])  # degrees, and a share
    policy, server = asking(lambda connection, body: reply(theirs), *DROID)
    chunk = policy.act(seen, policy.plan(seen), NONE)
    (_, sent), low, high = server.received[-1], SO101.lower[5], SO101.upper[5]
    assert sent["observation/exterior_image_1_left"].shape == (224, 224, 3)
    assert sent["observation/wrist_image_left"].shape == (3, 64, 64)
    assert sent["observation/wrist_image_left"].dtype == np.uint8
    assert sent["observation/joint_position"] == pytest.approx(np.degrees(seen.state[:5]), abs=1e-4)
    assert sent["observation/gripper_position"] == pytest.approx(
        (seen.state[5] - low) / (high - low), abs=1e-5
    )
    assert sent["prompt"] == seen.instruction
    assert chunk.actions.shape == (64, 6)  # 8 at 15 Hz are 64 ticks at 120 Hz
    assert chunk.actions[::8, 0] == pytest.approx(np.radians(theirs[:, 0]), abs=1e-5)
    assert chunk.actions[:, 5] == pytest.approx(low + share * (high - low), abs=1e-5)
    steps = np.diff(chunk.actions[:57, 0])
    assert steps == pytest.approx(math.radians(2) / 8, abs=1e-5)  # between two of theirs: straight on
    assert (chunk.hz, chunk.starts_at, chunk.observed_at) == (120.0, seen.tick, seen.time)
    prefix = np.full((5, 6), 0.1)
    assert np.array_equal(policy.act(seen, policy.plan(seen), prefix).actions[:5], prefix.astype(np.float32))


def test_maps_within_maps_and_a_camera_that_gives_nothing(seen) -> None:
    mapping = openpi_mapping(["images.cam_high=front:32:chw", "images.cam_low=wrist", "state=state"], SO101)
    sent = mapping.sent(type(seen)(0.0, 0, {"wrist": seen.images["wrist"]}, seen.state, "go"))
    assert set(sent) == {"images", "state", "prompt"}
    assert not sent["images"]["cam_high"].any() and sent["images"]["cam_high"].shape == (3, 32, 32)
    assert np.array_equal(sent["images"]["cam_low"], seen.images["wrist"])


def test_joints_that_are_not_commanded_stay_where_they_are(seen) -> None:
    mapping = openpi_mapping([*STATE, "actions[2]=gripper"], SO101)
    made = mapping.targets(np.arange(12.0).reshape(4, 3), seen.state)
    assert np.array_equal(made[:, :5], np.repeat(seen.state[None, :5].astype(float), 4, axis=0))
    assert made[:, 5].tolist() == [2.0, 5.0, 8.0, 11.0]


def test_a_picture_is_padded_as_openpi_does() -> None:
    image = np.full((48, 64, 3), 200, np.uint8)
    made = padded(image, 32)
    assert made.shape == (32, 32, 3) and not made[:4].any() and not made[28:].any()
    assert (made[4:28] == 200).all()
    assert padded(np.full((32, 32, 3), 7, np.uint8), 32).min() == 7


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "the joint state is missing"),
        (["front"], "expected THEIRS=OURS"),
        (["a=elbow"], "'elbow' is nothing of so101"),
        (["a=front:big"], "expected a=front"),
        (["a=front:99999"], "expected a=front"),
        (["a=state:mm"], "expected one of rad, deg, range"),
        (["a=state", "actions[0-2]=gripper"], "3 columns for 1 joints"),
        (["a=state", "actions[0]=gripper", "actions[1]=gripper"], "commanded by two columns"),
    ],
)
def test_a_pair_that_fits_nothing_is_refused(pairs, words) -> None:
    with pytest.raises(UserError, match=words):
        openpi_mapping(pairs, SO101)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Traceback (most recent call last):\n  File x\nKeyError: 'observation/state'", "KeyError"),
        (pack({"action": 1}), "has no array 'actions'"),
        (pack({"actions": np.zeros((4, 5))}), r"shape \(4, 5\), expected \(N, 6 or more\)"),
        (pack({"actions": np.full((4, 6), np.nan)}), "not finite"),
        (pack({"actions": np.zeros((0, 6))}), r"shape \(0, 6\)"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(asking, seen, answer, words) -> None:
    policy, _ = asking(lambda connection, body: [answer])
    with pytest.raises(UserError, match=words) as refused:
        policy.act(seen, policy.plan(seen), NONE)
    assert "\n" not in str(refused.value)


def test_a_late_answer_is_not_taken_for_the_next(asking, seen) -> None:
    late: list[bytes | str] = []

    def answer(_: int, body: Any) -> list[bytes | str]:
        number = len(late)
        late.extend(reply(np.full((20, 6), 0.1 * number)))
        return [] if number == 0 else late

    policy, _ = asking(answer, parts=("decoder",))
    with pytest.raises(NoAnswer, match="no answer within"):
        policy.act(seen, policy.plan(seen), NONE)
    made = policy.act(seen, policy.plan(seen), NONE)
    assert made.actions == pytest.approx(0.1, abs=1e-6)


def test_the_rate_must_be_known(asking) -> None:
    with pytest.raises(UserError, match="action-hz: got None"):
        asking(lambda connection, body: None, hz=None)


def test_a_source_is_sent_to_processes_and_only_its_decoder_connects(asking) -> None:
    policy, server = asking(lambda connection, body: None, parts=("interpreter",))
    assert server.connections == 1  # to look at it, before anything moves
    source = chosen_policy(
        server.url.replace("ws://", "openpi://"), SO101, remote=RemoteOptions(map=STATE, action_hz=9.0)
    )
    ours, theirs = Pipe()
    ours.send(source)
    assert theirs.recv() == source and hash(source)
    ours.close()
    theirs.close()
    with pytest.raises(UserError, match="without"):
        policy.run_without(["front"])
    with pytest.raises(UserError, match="neither a sampler"):
        PolicySpec(source, steps=3).load()


def test_it_moves_the_arm_within_its_limits(asking, monkeypatch) -> None:
    """A policy that only knows to turn the shoulder: it turns, through our controller and safety filter."""

    def turn(_: int, body: Any) -> list[bytes | str]:
        actions = np.repeat(np.asarray(body["observation/state"], float)[None], 12, axis=0)
        actions[:, 0] = np.clip(actions[0, 0] + 0.1 * np.arange(1, 13), -0.5, 0.5)  # 1.5 rad/s at 15 Hz
        return reply(actions)

    policy, _ = asking(turn)
    world = task_world("reach", seed=2)
    try:
        monkeypatch.setattr(type(world), "max_ticks", 120)
        result = rollout(world, policy)
    finally:
        world.close()
    assert result.commands[-1, 0] == pytest.approx(0.5, abs=0.05)
    speed = np.abs(np.diff(result.commands, axis=0)).max(axis=0) * 120
    assert (speed <= SO101.max_velocity + 1e-6).all()
