"""A policy server that answers what a test says it answers, byte for byte."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from ideomotor.control.errors import NoAnswer
from ideomotor.launch.serving.messages import is_sealed, seal
from ideomotor.launch.serving.packing import pack, unpack

Answer = Callable[[int, Any], list[bytes | str] | None]  # (connection, body): frames; None closes it


class ScriptedServer:
    """It runs within `listening`.

    Attributes:
        metadata: what a connection begins with.
        answer: what each message is answered with; `body` of ours is opened already.
        connections: how many there were.
        received: every body, in order, with the number of its connection.
    """

    def __init__(self, answer: Answer, metadata: Mapping[str, Any] | None = None) -> None:
        self.metadata = dict(metadata or {})
        self.answer = answer
        self.connections = 0
        self.received: list[tuple[int, Any]] = []
        self.url = ""

    @contextlib.contextmanager
    def listening(self) -> Iterator[ScriptedServer]:
        with serve(self._serve, "127.0.0.1", 0, compression=None, max_size=None) as server:
            self.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def _serve(self, socket: ServerConnection) -> None:
        self.connections += 1
        number = self.connections
        with contextlib.suppress(ConnectionClosed):
            socket.send(pack(self.metadata))
            for data in socket:
                message = unpack(data) if isinstance(data, bytes) else data
                body = unpack(message["body"]) if is_sealed(message) else message
                self.received.append((number, body))
                frames = self.answer(number, body)
                if frames is None:
                    return
                for frame in frames:
                    socket.send(frame)


def until_answered(act: Callable[[], Any]) -> tuple[Any, int]:
    """(the first answer, how often there was none), of what is asked until there is one."""
    misses = 0
    while True:
        try:
            return act(), misses
        except NoAnswer:
            misses += 1


def done(body: Mapping[str, Any], **fields: Any) -> bytes:
    """An answer to one of our messages."""
    return seal({"type": "done", "id": body["id"], **fields})
