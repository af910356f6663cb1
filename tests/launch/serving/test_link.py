"""A connection to a policy server: only the newest answer counts, and a lost connection comes back."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ideomotor.control.answer_time import MEASURED, AnswerTime
from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.launch.serving.kept_socket import Place, open_socket, pauses
from ideomotor.launch.serving.link import Link
from ideomotor.launch.serving.messages import seal
from ideomotor.launch.serving.packing import pack
from tests.launch.serving.scripted_server import until_answered

LONG_S, SHORT_S = 60.0, 0.05  # where an answer comes, and where none does


@pytest.fixture
def serving_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """serving_script(answer): a `ScriptedServer` that listens."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from scripted_server import ScriptedServer

    with contextlib.ExitStack() as stack:
        yield lambda answer, **how: stack.enter_context(ScriptedServer(answer, **how).listening())


@pytest.fixture
def linked() -> Iterator[Callable[..., Link]]:
    """linked(server, keeps=False): a link to it."""
    with contextlib.ExitStack() as stack:

        def link(server: Any, keeps: bool = False) -> Link:
            made = Link(Place(server.url), keeps)
            stack.callback(made.close)
            return made

        yield link


def done(body: Any, **fields: Any) -> bytes:
    return seal({"type": "done", "id": body["id"], **fields})


def damaged(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 0x10]) + data[-2:]


def test_doubled_old_damaged_and_foreign_answers_are_dropped(serving_script, linked) -> None:
    bodies: list[Any] = []

    def answer(_: int, body: Any) -> list[bytes | str]:
        bodies.append(body)
        if body["step"] == 1:
            return [
                damaged(done(body)),
                b"\xc1",
                "text",
                pack({"actions": 1}),
                done(body, n=1),
                done(body, n=1),
            ]
        first = bodies[0]  # that of the first comes once more, after that of the second: reordered
        return [done(first), done({"id": 99}), seal({"type": "done"}), done(body, n=2), done(first)]

    link = linked(serving_script(answer))
    assert link.ask({"step": 1}, LONG_S).whole("n") == 1
    assert link.dropped == 4
    assert link.ask({"step": 2}, LONG_S).whole("n") == 2
    assert link.dropped == 8
    assert link.ask({"step": 2}, LONG_S).whole("n") == 2


def test_a_lost_and_a_late_answer_are_no_answer_and_the_next_is_right(serving_script, linked) -> None:
    held: list[bytes | str] = []

    def answer(_: int, body: Any) -> list[bytes | str]:
        if body["step"] == 1:
            held.append(done(body, n=1))
            return []
        return [*held, done(body, n=2)]

    link = linked(serving_script(answer))
    with pytest.raises(NoAnswer, match="no answer within"):
        link.ask({"step": 1}, SHORT_S)
    assert link.ask({"step": 2}, LONG_S).whole("n") == 2
    assert link.dropped == 1


def test_refused_is_an_error_of_the_users_and_dropped_is_no_answer(serving_script, linked) -> None:
    def answer(_: int, body: Any) -> list[bytes | str]:
        number = body["id"]
        if body["step"] == 1:
            return [seal({"type": "error", "id": number, "field": "state", "message": "state: got 5"})]
        return [seal({"type": "dropped", "id": number, "reason": "late"})]

    link = linked(serving_script(answer))
    with pytest.raises(UserError, match="state: got 5"):
        link.ask({"step": 1}, LONG_S)
    with pytest.raises(NoAnswer, match="dropped, late"):
        link.ask({"step": 2}, LONG_S)


def test_a_lost_connection_comes_back_by_itself(serving_script, linked) -> None:
    def answer(connection: int, body: Any) -> list[bytes | str] | None:
        return None if connection == 1 else [done(body, n=connection)]

    server = serving_script(answer)
    link = linked(server, keeps=True)
    with pytest.raises(NoAnswer, match="connection was lost"):
        link.ask({}, LONG_S)
    until_answered(link.present)
    assert link.ask({}, LONG_S).whole("n") == server.connections == 2


def test_without_a_connection_the_answer_is_no_at_once(serving_script, linked) -> None:
    link = linked(serving_script(lambda connection, body: None))
    for _ in range(3):
        with pytest.raises(NoAnswer):
            link.ask({}, LONG_S)
    with pytest.raises(NoAnswer, match="not connected"):
        link.post({}, link.present())


def test_another_policy_in_its_place_is_not_asked(serving_script, linked) -> None:
    server = serving_script(lambda connection, body: None, metadata={"policy": "a"})
    link = linked(server, keeps=True)
    server.metadata = {"policy": "b"}
    with pytest.raises(NoAnswer):
        link.ask({}, LONG_S)
    while server.connections < 3:
        time.sleep(0.01)
    with pytest.raises(NoAnswer, match="not connected"):
        link.ask({}, LONG_S)


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:9", "ws://", "http://127.0.0.1:9", "ws://no.such.host.invalid:9"]
)
def test_where_no_server_is_that_is_said_in_one_line(url) -> None:
    with pytest.raises(UserError, match="no policy server there") as refused:
        open_socket(Place(url))
    assert "\n" not in str(refused.value)


def test_what_listens_there_may_be_something_else(serving_script) -> None:
    server = serving_script(lambda connection, body: None)
    server.metadata = [1, 2]
    with pytest.raises(UserError, match="no policy server there"):
        open_socket(Place(server.url))


def test_who_has_not_the_token_is_told_of_the_option(serving) -> None:
    _, port = serving(token="0123456789abcdef0123")
    with pytest.raises(UserError, match="the token is missing or another one .--token-file"):
        open_socket(Place(f"ws://127.0.0.1:{port}"))
    socket, _ = open_socket(Place(f"ws://127.0.0.1:{port}", "0123456789abcdef0123"))
    socket.close()
    assert "0123456789abcdef0123" not in repr(Place("ws://a", "0123456789abcdef0123"))


def test_the_time_for_an_answer_follows_what_answers_took() -> None:
    expected = AnswerTime(0.1, 0.5)
    assert expected.seconds() == 0.5  # nothing is known yet
    expected.add(0.02)
    assert expected.seconds() == 0.1
    expected.add(0.2)
    assert expected.seconds() == pytest.approx(0.26)
    expected.missed()
    assert expected.seconds() == 0.5  # twice as long, or the most
    for _ in range(MEASURED):
        expected.add(0.1)
    assert expected.seconds() == pytest.approx(0.14)
    for _ in range(100):
        expected.missed()
    assert expected.seconds() == 0.5


def test_pauses_grow_and_are_spread() -> None:
    found = list(islice(pauses(random.Random(1)), 10))
    assert found[0] <= 0.05
    for number, pause in enumerate(found):
        full = min(0.05 * 2**number, 2.0)
        assert full / 2 <= pause <= full
    assert found != list(islice(pauses(random.Random(2)), 10))
