"""The policy server over a real socket: answers as without it, refuses what is wrong, and lives on."""

from __future__ import annotations

import dataclasses
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest

from ideomotor.control.types import LatentPlan
from ideomotor.launch.serving.messages import chunk_map, observation_map, plan_map, seal
from ideomotor.launch.serving.packing import pack, unpack
from ideomotor.vla.policy import EpisodePolicy

TOKEN = "0123456789abcdef0123"
NO_PREFIX = np.empty((0, 6))


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def same(one: Any, other: Any) -> bool:
    """Whether two bodies are equal to the bit."""
    return pack(one) == pack(other)


def test_plans_and_chunks_are_those_of_the_policy_to_the_bit(server, served, connect, ask, seen) -> None:
    socket = connect(server[1])
    alone = EpisodePolicy(served.networks, seed=7)
    assert ask(socket, {"type": "reset", "id": 1, "seed": 7, "without": []}) == {"type": "done", "id": 1}
    prefix, now, body, plan = NO_PREFIX, seen, dict[str, Any](), LatentPlan(NO_PREFIX, 0.0)
    for step in range(2):
        now = dataclasses.replace(seen, tick=60 + 16 * step, time=0.5 + 16 * step / 120)
        answer = ask(socket, {"type": "plan", "id": 2, "observation": observation_map(now)})
        plan = alone.plan(now)
        assert plan.text and same(answer["plan"], plan_map(plan))
        body = {"type": "act", "id": 3, "observation": observation_map(now), "plan": answer["plan"]}
        answer = ask(socket, {**body, "committed_prefix": prefix})
        assert answer["timing_ms"]["batch"] == 1
        chunk = alone.act(now, plan, prefix)
        assert same(answer["chunk"], chunk_map(chunk))
        prefix = chunk.actions[16:28]
    blind = {"type": "reset", "id": 4, "seed": 7, "without": ["wrist", "plan"]}
    assert ask(socket, blind)["type"] == "done"
    alone = EpisodePolicy(served.networks, ["wrist", "plan"], seed=7)
    answer = ask(socket, {**body, "committed_prefix": NO_PREFIX})
    assert same(answer["chunk"], chunk_map(alone.act(now, plan, NO_PREFIX)))


def test_a_picture_may_be_a_jpeg(server, connect, ask, seen) -> None:
    body = {"type": "plan", "id": 1, "observation": observation_map(seen, jpeg=95)}
    assert len(seal(body)) < len(seal({**body, "observation": observation_map(seen)}))
    assert ask(connect(server[1]), body)["type"] == "plan"


def test_a_client_of_openpi_gets_one_chunk_for_each_observation(server, connect, seen) -> None:
    socket = connect(server[1])
    observation = {"images": dict(seen.images), "state": seen.state, "prompt": seen.instruction}
    socket.send(pack(observation))
    reply = unpack(socket.recv())
    assert reply["actions"].shape == (96, 6) and reply["actions"].dtype == np.float32
    assert np.abs(reply["actions"][0] - seen.state).max() < 0.2
    assert reply["plan_text"] and set(reply) == {"actions", "plan_text", "policy_timing", "server_timing"}
    for wrong, field in (({**observation, "state": np.zeros(5)}, "state"), ({**observation, "x": 1}, "x")):
        socket.send(pack(wrong))
        said = socket.recv()
        assert isinstance(said, str) and said.startswith(f"error: {field}: ")
    socket.send(pack(observation))
    assert unpack(socket.recv())["server_timing"]["prev_total_ms"] > 0


WRONG = [
    ({"type": "plan"}, "id", "missing"),
    ({"type": "sing"}, "type", "expected reset, plan or act"),
    ({"observation": 3}, "observation", "expected a map"),
    ({"more": 1}, "more", "unknown name 'more'"),
    ({"deadline_ms": "soon"}, "deadline_ms", "a finite number"),
    ({"observation.time": float("nan")}, "observation.time", "a finite number"),
    ({"observation.tick": -1}, "observation.tick", "a whole number"),
    ({"observation.extra": 1}, "observation.extra", "unknown name"),
    ({"observation.instruction": "x" * 5000}, "observation.instruction", "at most 4096 characters"),
    ({"observation.state": np.zeros(5)}, "observation.state", "of shape (5,), expected"),
    ({"observation.state": np.full(6, np.nan)}, "observation.state", "not finite"),
    ({"observation.past_commands": np.zeros((3, 6))}, "observation.past_commands", "at least 8"),
    ({"observation.images.top": np.zeros((9, 9, 3), np.uint8)}, "observation.images.top", "front, wrist"),
    ({"observation.images.front": np.zeros((9, 9), np.uint8)}, "observation.images.front", "(9, 9)"),
    ({"observation.images.front": np.zeros((9, 9, 3))}, "observation.images.front", "float64"),
    ({"observation.images.front": {"jpeg": b"none"}}, "observation.images.front", "no JPEG"),
    ({"observation.images.front": {"png": b""}}, "observation.images.front.jpeg", "missing"),
]


@pytest.mark.parametrize(("changes", "field", "words"), WRONG)
def test_an_error_names_the_field_and_the_connection_lives_on(
    server, connect, ask, plan_body, changes, field, words
) -> None:
    for path, value in changes.items():
        *outer, last = path.split(".")
        place = plan_body
        for name in outer:
            place = place[name]
        place[last] = value
    if changes == {"type": "plan"}:
        del plan_body["id"]
    socket = connect(server[1])
    answer = ask(socket, plan_body)
    assert answer["type"] == "error", answer
    assert answer["field"] == field and words in answer["message"]
    assert ask(socket, {"type": "reset", "id": 9, "seed": 1, "without": []})["id"] == 9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"without": ["nose"]}, "nose"),
        ({"steps": 10**6}, "steps"),
        ({"noise": 7.0}, "noise"),
        ({"sampler": "x"}, "sampler"),
        ({"confidence": "much"}, "confidence"),
    ],
)
def test_an_episode_that_cannot_be_is_refused(server, connect, ask, changes, words) -> None:
    answer = ask(connect(server[1]), {"type": "reset", "id": 1, "seed": 0, "without": [], **changes})
    assert answer["type"] == "error" and words in answer["message"]


def test_chunks_that_cannot_be_are_refused(server, connect, ask, seen) -> None:
    socket, none = connect(server[1]), plan_map(LatentPlan(np.empty((0, 0), np.float32), 0.0))
    body = {"type": "act", "id": 1, "observation": observation_map(seen), "plan": none}
    for changes, field in (
        ({"committed_prefix": np.zeros((31, 6))}, "committed_prefix"),
        ({"committed_prefix": np.zeros((3, 5))}, "committed_prefix"),
        ({"committed_prefix": np.full((3, 6), np.inf)}, "committed_prefix"),
        ({"committed_prefix": NO_PREFIX, "plan": {**none, "tokens": np.ones((2, 2), "f4")}}, "plan.tokens"),
        ({"committed_prefix": NO_PREFIX, "plan": {**none, "progress": None}}, "plan.progress"),
    ):
        answer = ask(socket, {**body, **changes})
        assert (answer["type"], answer["field"]) == ("error", field)
    assert ask(socket, {**body, "committed_prefix": NO_PREFIX})["type"] == "chunk"


def test_damaged_old_and_plain_text_messages_are_refused(server, connect, plan_body) -> None:
    socket, sealed = connect(server[1]), unpack(seal(plan_body))
    damaged = bytearray(sealed["body"])
    damaged[-20] ^= 0x40
    for message, words in (
        ({**sealed, "body": bytes(damaged)}, "crc32"),
        ({**sealed, "ideomotor": 99}, "version 99, expected 1"),
        ({**sealed, "body": "text"}, "expected bytes"),
    ):
        socket.send(pack(message))
        body = unpack(unpack(socket.recv())["body"])
        assert body["type"] == "error" and words in body["message"] and body["id"] is None
    socket.send("hello")
    assert "text frame" in unpack(unpack(socket.recv())["body"])["message"]


def test_a_message_that_is_too_large_closes_its_connection_alone(serving, connect, ask, plan_body) -> None:
    from websockets.exceptions import ConnectionClosed

    _, port = serving(max_message=200_000)
    other, socket = connect(port), connect(port)
    socket.send(bytes(300_000))
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    assert ask(other, plan_body)["type"] == "plan"


def test_the_newest_request_counts_and_what_is_late_is_dropped(server, connect, ask, plan_body) -> None:
    socket = connect(server[1])
    for number in range(1, 6):
        socket.send(seal({**plan_body, "id": number}))
    answers = [unpack(unpack(socket.recv())["body"]) for _ in range(5)]
    dropped = [each["id"] for each in answers if each["type"] == "dropped"]
    assert [each["id"] for each in answers if each["type"] == "plan"][-1] == 5
    assert dropped and all(each["reason"] == "superseded" for each in answers if each["id"] in dropped)
    late = ask(socket, {**plan_body, "deadline_ms": -1.0})
    assert (late["type"], late["reason"]) == ("dropped", "late")


def test_a_token_keeps_others_out_of_all_but_health(serving, connect, ask, plan_body) -> None:
    from websockets.exceptions import InvalidStatus

    _, port = serving(token=TOKEN)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(InvalidStatus, match="401"):
            connect(port, additional_headers=headers)
        assert get(port, "/metrics", **headers)[0] == 401
    assert get(port, "/healthz") == (200, "OK\n")
    socket = connect(port, additional_headers={"Authorization": f"Api-Key {TOKEN}"})
    assert ask(socket, plan_body)["type"] == "plan"
    code, page = get(port, "/metrics", Authorization=f"Bearer {TOKEN}")
    assert code == 200 and "ideomotor_serve_refused_connections_total 4.0" in page


def test_metrics_count_requests_stages_and_batches(serving, connect, ask, plan_body) -> None:
    _, port = serving()
    socket = connect(port)
    ask(socket, plan_body)
    ask(socket, {**plan_body, "more": 1})
    code, page = get(port, "/metrics")
    assert code == 200
    for line in (
        'requests_total{outcome="ok",protocol="ideomotor",type="plan"} 1.0',
        'requests_total{outcome="refused",protocol="ideomotor",type="plan"} 1.0',
        'stage_seconds_count{stage="infer",type="plan"} 1.0',
        'stage_seconds_count{stage="queue",type="plan"} 1.0',
        'batch_size_sum{type="plan"} 1.0',
        "ideomotor_serve_clients 1.0",
        "ideomotor_serve_queue 0.0",
    ):
        assert line in page, page
