"""A policy asked through a server: the same rows as without, and what an arm gets when the network fails."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import ActionChunk, LatentPlan
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.policy_spec import PolicySpec, RemoteCheckpoint, fingerprint_of
from ideomotor.eval.run import evaluate
from ideomotor.launch.checkpoints import chosen_policy, policy_folder
from ideomotor.launch.serving.kept_socket import Place
from ideomotor.launch.serving.link import Link
from ideomotor.launch.serving.messages import chunk_map, observation_map, plan_map, seal
from ideomotor.launch.serving.packing import pack, unpack
from ideomotor.launch.serving.remote_options import RemoteOptions
from ideomotor.launch.serving.remote_policy import RemotePolicy
from ideomotor.launch.serving.remote_source import HOLD_S, RemoteSource, stop_config
from tests.launch.serving.scripted_server import until_answered

SO101 = load_embodiment("so101")
BUNDLED = policy_folder(None)
SPECS = [
    EpisodeSpec("press", 1_000_000, "heldout"),
    EpisodeSpec("reach", 1_000_001, "heldout", without="wrist"),
]
PLAN = LatentPlan(np.ones((2, 3), np.float32), 0.4)


@pytest.fixture(scope="module")
def url(server) -> str:
    return f"ws://127.0.0.1:{server[1]}"


@pytest.fixture(scope="module")
def rows_here() -> list[Any]:
    """Without a server."""
    return evaluate(SPECS, PolicySpec(BUNDLED))


@pytest.mark.parametrize("decoder", [None, BUNDLED], ids=["both remote", "decoder here"])
def test_an_evaluation_through_a_server_has_the_same_rows(url, rows_here, decoder, tmp_path) -> None:
    source = chosen_policy(url, SO101, remote=RemoteOptions(decoder=decoder))
    assert isinstance(source, RemoteCheckpoint)
    spec = PolicySpec(source)
    assert evaluate(SPECS, spec, out=tmp_path) == rows_here
    assert fingerprint_of(spec) == fingerprint_of(PolicySpec(BUNDLED))  # one is continued by the other
    how = dict(steps=2, noise=0.0, confidence="told")
    assert fingerprint_of(PolicySpec(source, **how)) == fingerprint_of(PolicySpec(BUNDLED, **how))


def test_it_is_sampled_as_asked(url, seen) -> None:
    source = chosen_policy(url, SO101)
    how = dict(steps=2, noise=0.0, confidence="told")
    here, there = PolicySpec(BUNDLED, **how).load(), PolicySpec(source, **how).load()
    assert here is not None and isinstance(there, RemotePolicy)
    assert there.calibrated and there.timing == here.timing
    for policy in (here, there):
        policy.reset(3)
    plans, none = [policy.plan(seen) for policy in (here, there)], np.empty((0, 6))
    chunks = [policy.act(seen, plan, none) for policy, plan in zip((here, there), plans, strict=True)]
    assert chunks[0].confidence == chunks[1].confidence > 0
    assert np.array_equal(chunks[0].actions, chunks[1].actions)
    with pytest.raises(UserError, match="sampler"):
        PolicySpec(source, sampler="ddim").load()
    with pytest.raises(UserError, match="without"):
        there.run_without(["nose"])


def test_a_source_is_sent_to_processes_and_its_arm_holds_for_longer(url) -> None:
    source = chosen_policy(url, SO101)
    ours, theirs = Pipe()
    ours.send(source)
    assert theirs.recv() == source and hash(source)
    ours.close()
    theirs.close()
    assert stop_config(source) == StopConfig(stale_after_s=HOLD_S)
    assert stop_config(Path("policy")) == StopConfig()


@pytest.mark.parametrize(
    ("robot", "options", "words"),
    [
        ("koch", RemoteOptions(), "cannot drive 'koch'"),
        ("so101", RemoteOptions(jpeg=0), "jpeg: got 0"),
        ("so101", RemoteOptions(map=("a=b",)), "map: .* openpi://"),
        ("so101", RemoteOptions(token_file=Path("nowhere")), "token-file"),
        ("so101", RemoteOptions(decoder=BUNDLED.parent / "metaworld"), "decoder: .* another checkpoint"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_moves(url, robot, options, words) -> None:
    with pytest.raises(UserError, match=words):
        chosen_policy(url, load_embodiment(robot), remote=options)


def test_options_of_a_server_need_one() -> None:
    with pytest.raises(UserError, match="token-file: belongs to --policy ws://"):
        chosen_policy(None, SO101, remote=RemoteOptions(token_file=Path("token")))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], tuple[RemotePolicy, Any]]]:
    """live(answer): (a policy as a launch has it, the scripted server that it asks)."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from scripted_server import ScriptedServer

    with contextlib.ExitStack() as stack:

        def made(answer: Any) -> tuple[RemotePolicy, Any]:
            server = stack.enter_context(ScriptedServer(answer).listening())
            link = Link(Place(server.url), keeps=True)
            stack.callback(link.close)
            return RemotePolicy(link, usual_timing(SO101), 96, {"steps": 3}, None, live=True), server

        yield made


def chunk(body: Any, **changes: Any) -> bytes:
    """The right answer to a request of a chunk, or nearly."""
    now = body["observation"]
    actions = np.concatenate([body["committed_prefix"].astype(np.float32), np.zeros((9, 6), np.float32)])
    right = ActionChunk(actions, 120.0, now["tick"], now["time"], 0.0)
    return seal(
        {"type": "chunk", "id": body["id"], "chunk": chunk_map(dataclasses.replace(right, **changes))}
    )


def test_an_episode_is_begun_again_on_every_new_connection(live, seen) -> None:
    def answer(connection: int, body: Any) -> list[bytes | str] | None:
        if body["type"] != "act":
            return []
        return [chunk(body)] if connection == 2 else None

    policy, server = live(answer)
    policy.run_without(["wrist"])
    policy.reset(5)
    prefix = np.full((3, 6), 0.1)
    made, misses = until_answered(lambda: policy.act(seen, PLAN, prefix))
    assert misses >= 1 and np.array_equal(made.actions[:3], prefix.astype(np.float32))
    begun = [(number, body) for number, body in server.received if body["type"] == "reset"]
    assert [number for number, _ in begun] == [1, 2]
    assert all((body["seed"], body["without"], body["steps"]) == (5, ["wrist"], 3) for _, body in begun)
    sent = next(body for _, body in server.received if body["type"] == "act")
    assert 0 < sent["deadline_ms"] <= 1000 * 0.6 * 96 / 120
    assert sent["plan"]["tokens"].tolist() == PLAN.tokens.tolist()


def test_a_connection_lost_behind_the_beginning_is_begun_again_too(live, seen, monkeypatch) -> None:
    policy, server = live(lambda _, body: [chunk(body)] if body["type"] == "act" else [])
    link, lost = policy._link, []
    post = link.post

    def lose_it(body: Any, socket: Any) -> None:
        post(body, socket)
        if not lost:
            lost.append(socket)
            link.lose(socket, OSError("pulled"))
            until_answered(link.present)  # the next is there before the request goes out
            socket.close()

    monkeypatch.setattr(link, "post", lose_it)
    policy.reset(5)
    _, misses = until_answered(lambda: policy.act(seen, PLAN, np.empty((0, 6))))
    assert misses == 1
    assert [(number, body["type"]) for number, body in server.received] == [
        (1, "reset"),
        (2, "reset"),
        (2, "act"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"starts_at": 61},
        {"observed_at": 0.4},
        {"hz": 30.0},
        {"actions": np.zeros((9, 6), np.float32)},  # without the prefix
        {"actions": np.full((3, 6), 0.1, np.float32)},  # nothing behind it
        {"actions": np.zeros((9, 5), np.float32)},
        {"actions": np.full((9, 6), np.nan, np.float32)},
    ],
)
def test_a_chunk_of_another_moment_is_none(live, seen, changes) -> None:
    asked = []

    def answer(_: int, body: Any) -> list[bytes | str]:
        if body["type"] != "act":
            return []
        asked.append(body)
        return [chunk(body, **(changes if len(asked) == 1 else {}))]

    policy, _ = live(answer)
    with pytest.raises(NoAnswer):
        policy.act(seen, PLAN, np.full((3, 6), 0.1))
    until_answered(lambda: policy.act(seen, PLAN, np.full((3, 6), 0.1)))


def test_a_plan_of_another_moment_is_none(live, seen) -> None:
    def answer(_: int, body: Any) -> list[bytes | str]:
        return [seal({"type": "plan", "id": body["id"], "plan": plan_map(PLAN)})]

    policy, _ = live(answer)
    with pytest.raises(NoAnswer, match="another moment"):
        policy.plan(seen)
    assert (
        policy.plan(dataclasses.replace(seen, time=PLAN.observed_at)).tokens.tolist() == PLAN.tokens.tolist()
    )


def test_a_server_with_the_interpreter_alone_needs_a_decoder_here(
    serving, served, connect, ask, seen
) -> None:
    _, port = serving(dataclasses.replace(served, has_decoder=False))
    url = f"ws://127.0.0.1:{port}"
    with pytest.raises(UserError, match="has the interpreter alone; expected --decoder"):
        chosen_policy(url, SO101)
    source = chosen_policy(url, SO101, remote=RemoteOptions(decoder=BUNDLED))
    assert isinstance(source, RemoteSource) and source.load(("interpreter",)).plan(seen).text
    socket = connect(port)
    act = {"type": "act", "id": 1, "observation": observation_map(seen), "plan": plan_map(PLAN)}
    act |= {"plan": plan_map(dataclasses.replace(PLAN, tokens=np.empty((0, 0), np.float32)))}
    answer = ask(socket, act | {"committed_prefix": np.empty((0, 6))})
    assert (answer["type"], answer["field"]) == ("error", "type")
    socket.send(pack({"state": seen.state, "prompt": "lift"}))
    assert "makes no actions" in unpack(unpack(socket.recv())["body"])["message"]
