"""Whatever is sent to the server, it answers or refuses in one line, harms nobody else, and lives on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ideomotor.control.types import LatentPlan
from ideomotor.launch.serving.messages import observation_map, plan_map, seal
from ideomotor.launch.serving.packing import pack, unpack

NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans(), st.none())
ARRAYS = arrays.arrays(
    st.sampled_from(["|u1", "<f4", "<f8", "<i8", "|b1"]).map(np.dtype),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7),
)
NAMES = st.sampled_from(
    ["id", "type", "observation", "plan", "images", "state", "tokens", "front", "jpeg", "prompt", "seed", "ö"]
)
VALUES = st.recursive(
    st.one_of(NUMBERS, ARRAYS, st.text(max_size=9), st.binary(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
NONE = plan_map(LatentPlan(np.empty((0, 0), np.float32), 0.0))


@pytest.fixture(scope="module")
def link(server) -> Iterator[Any]:
    """One websocket for all that is sent."""
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{server[1]}", compression=None, proxy=None, max_size=None) as socket:
        socket.recv()
        yield socket


def answer(socket: Any, data: bytes) -> str | dict[str, Any]:
    """What the server says to it; then it still does what it is for."""
    socket.send(data)
    said = socket.recv()
    said = said if isinstance(said, str) else unpack(said)
    socket.send(seal({"type": "reset", "id": 77, "seed": 0, "without": []}))
    assert body(unpack(socket.recv())) == {"type": "done", "id": 77}
    return said


def body(message: dict[str, Any]) -> dict[str, Any]:
    return unpack(message["body"])


def refused(said: str | dict[str, Any]) -> bool:
    """Whether it is an error of one line, and no defect of the server's."""
    text = said if isinstance(said, str) else body(said).get("message", "")
    assert "in the server" not in text and "Error:" not in text
    return bool(text) and "\n" not in text


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@given(st.binary(max_size=300))
def test_any_bytes(link, data) -> None:
    assert refused(answer(link, data))


@settings(max_examples=60)
@given(VALUES)
def test_any_message_of_others(link, message) -> None:
    assert refused(answer(link, pack(message)))


@settings(max_examples=60)
@given(VALUES)
def test_any_body_of_ours(link, message) -> None:
    assert refused(answer(link, seal(message) if isinstance(message, dict) else pack({"ideomotor": message})))


@settings(max_examples=100)
@given(data=st.data())
def test_a_good_message_with_one_thing_changed(link, seen, data) -> None:
    act = {"type": "act", "id": 1, "observation": observation_map(seen), "plan": dict(NONE)}
    act["committed_prefix"] = np.zeros((3, 6))
    place, path = act, data.draw(st.sampled_from(PATHS))
    for name in path[:-1]:
        place[name] = dict(place[name])
        place = place[name]
    place[path[-1]] = value = data.draw(VALUES)
    said = answer(link, seal(act))
    assert isinstance(said, dict)
    kind = body(said)["type"]
    assert kind in ("error", "chunk", "dropped")  # some changes are none: another time, another instruction
    if kind == "error":
        assert refused(said)
        field = body(said)["field"]
        assert field.split(".")[0] in (path[0], "message"), (field, path, value)


PATHS = [
    ("id",),
    ("type",),
    ("observation",),
    ("plan",),
    ("committed_prefix",),
    ("extra",),
    ("deadline_ms",),
    *(("observation", name) for name in ("time", "tick", "images", "state", "instruction", "past_commands")),
    *(("plan", name) for name in ("tokens", "observed_at", "text", "keypoints", "progress", "extra")),
    ("observation", "images", "front"),
    ("observation", "images", "top"),
]


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_good_message_with_one_bit_changed(link, seen, at, bit) -> None:
    data = bytearray(seal({"type": "plan", "id": 1, "observation": observation_map(seen)}))
    data[-1 - at] ^= 1 << bit
    assert refused(answer(link, bytes(data)))
