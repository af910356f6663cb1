"""Who is answered with whom, and which requests are dropped: with a clock that the test sets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.batching import Batcher, Dropped, Network, Request

WAIT_S = 0.01


class Scene:
    """A batcher whose thread does not run, and what it delivered."""

    def __init__(self, max_batch: int = 8) -> None:
        self.now = 100.0
        self.delivered: list[tuple[Any, Any]] = []
        self.observed: list[tuple[int, str]] = []
        network = Network("chunk", lambda given: None, lambda given: list(given))
        self.batcher = Batcher(
            network, max_batch, WAIT_S, lambda *each: self.observed.append(each), clock=lambda: self.now
        )

    def submit(self, client: str, given: Any = "x", alike: Any = 0, within: float = float("inf")) -> Request:
        request = Request(
            client, alike, given, lambda r, a: self.delivered.append((r.given, a)), self.now + within
        )
        self.batcher.submit(request)
        return request

    def take(self) -> list[Any]:
        """What would be answered now; late ones are dropped."""
        batch, late, _ = self.batcher.take()
        for each in late:
            self.batcher._drop(each, "late")
        return [request.given for request in batch]


def test_one_client_alone_never_waits() -> None:
    scene = Scene()
    scene.submit("a", "a1")
    assert scene.take() == ["a1"]
    scene.now += 0.1
    scene.submit("a", "a2")
    assert scene.take() == ["a2"]


def test_a_request_waits_for_a_client_that_asked_lately_but_not_long() -> None:
    scene = Scene()
    scene.submit("a", "a1")
    scene.submit("b", "b1")
    assert scene.take() == ["a1", "b1"]
    scene.now += 0.1
    scene.submit("a", "a2")
    assert scene.take() == []  # b may ask any moment
    scene.now += WAIT_S / 2
    scene.submit("b", "b2")
    assert scene.take() == ["a2", "b2"]
    scene.submit("a", "a3")
    assert scene.take() == []
    scene.now += WAIT_S
    assert scene.take() == ["a3"]
    scene.now += 2.0  # b has gone quiet
    scene.submit("a", "a4")
    assert scene.take() == ["a4"]


def test_only_what_is_alike_is_one_batch_and_the_most_urgent_is_first() -> None:
    scene = Scene()
    scene.submit("a", "a", alike=1, within=0.5)
    scene.submit("b", "b", alike=2, within=0.2)
    scene.submit("c", "c", alike=1, within=0.9)
    scene.submit("d", "d", alike=2)
    scene.now += WAIT_S
    assert scene.take() == ["b", "d"]
    assert scene.take() == ["a", "c"]
    assert scene.take() == []


def test_no_batch_is_larger_than_allowed_and_the_most_urgent_is_in_it() -> None:
    scene = Scene(max_batch=2)
    for client in "abc":
        scene.submit(client, client)
    scene.submit("d", "d", within=0.3)
    assert scene.take() == ["d", "a"]
    assert scene.take() == ["b", "c"]


def test_the_newest_request_of_a_client_counts() -> None:
    scene = Scene()
    scene.submit("a", "old")
    scene.submit("b", "b")
    scene.submit("a", "new")
    assert scene.delivered == [("old", Dropped("superseded"))]
    assert scene.take() == ["b", "new"]
    assert scene.observed == [(0, "superseded")]


def test_what_is_late_or_whose_client_is_gone_is_dropped() -> None:
    scene = Scene()
    scene.submit("a", "a", within=0.05)
    scene.submit("b", "b")
    scene.now += 0.06
    scene.batcher.forget("b")
    assert scene.take() == []
    assert scene.delivered == [("b", Dropped("gone")), ("a", Dropped("late"))]
    scene.batcher.close()
    scene.submit("c", "c")
    assert scene.delivered[-1] == ("c", Dropped("gone"))


@pytest.fixture
def run() -> Callable[..., list[tuple[Any, Any]]]:
    """run(network, given…): what a batcher's thread delivers, in the order of its answers."""

    def running(network: Network, *given: Any) -> list[tuple[Any, Any]]:
        batcher, delivered, done = Batcher(network), [], threading.Event()

        def deliver(request: Request, answer: Any) -> None:
            delivered.append((request.given, answer))
            if len(delivered) == len(given):
                done.set()

        for number, each in enumerate(given):
            batcher.submit(Request(number, 0, each, deliver))
        batcher.start()
        done.wait()
        batcher.close()
        return delivered

    return running


def test_a_wrong_request_and_a_defect_spoil_no_others_answer(run) -> None:
    def check(given: int) -> None:
        if given < 0:
            raise UserError(f"given: got {given}, expected at least 0")

    def answer(given: list[int]) -> list[float]:
        return [6 / each for each in given]

    delivered = dict(run(Network("chunk", check, answer), -1, 1, 0, 2))
    assert (delivered[1], delivered[2]) == (6.0, 3.0)
    assert str(delivered[-1]) == "given: got -1, expected at least 0"
    assert isinstance(delivered[0], UserError) and "ZeroDivisionError" in str(delivered[0])
