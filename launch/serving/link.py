"""A connection to a policy server of ours, which is asked one thing at a time.

Only the answer to the newest request counts: one that is late, damaged, doubled or of an earlier request is
dropped. While there is no connection whoever asks learns at once that there is no answer.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.launch.serving.fields import Fields
from ideomotor.launch.serving.kept_socket import KeptSocket, Place, socket_errors
from ideomotor.launch.serving.messages import is_sealed, seal, unseal
from ideomotor.launch.serving.packing import unpack


class Link(KeptSocket):
    """One connection; see `KeptSocket`.

    Attributes:
        dropped: how many answers were.
    """

    def __init__(self, place: Place, keeps: bool) -> None:
        super().__init__(place, keeps)
        self._numbers = itertools.count(1)
        self.dropped = 0

    def post(self, body: Mapping[str, Any], socket: Any) -> None:
        """Sends a message whose answer nobody waits for, through `present()`; NoAnswer if that is lost."""
        try:
            socket.send(seal({**body, "id": next(self._numbers)}))
        except socket_errors() as error:
            raise self.lose(socket, error) from None

    def ask(self, body: Mapping[str, Any], seconds: float, socket: Any = None) -> Fields:
        """The answer to a message.

        Args:
            body: without its `id`.
            seconds: to wait for it.
            socket: through this one and no later one; None: through the one there is.

        Raises:
            NoAnswer: none came in time, or the server dropped the request, or there is no connection.
            UserError: the server refused what it was asked.
        """
        socket = self.present() if socket is None else socket
        number, until = next(self._numbers), time.monotonic() + seconds
        try:
            socket.send(seal({**body, "id": number}))
            while True:
                answer = self._answer(socket.recv(timeout=max(until - time.monotonic(), 0.0)), number)
                if answer is not None:
                    return answer
        except TimeoutError:
            raise NoAnswer(f"policy: {self.place.url}: no answer within {seconds:.2f} s") from None
        except socket_errors() as error:
            raise self.lose(socket, error) from None

    def _answer(self, data: bytes | str, number: int) -> Fields | None:
        """The answer in a message; None if it is not that of this request, or was damaged."""
        try:
            fields = _opened(data)
            if fields is None or "id" not in fields or fields.whole("id") != number:
                self.dropped += 1
                return None
            kind = fields.text("type")
            said = fields.text({"dropped": "reason", "error": "message"}.get(kind, "type"))
        except UserError:
            self.dropped += 1
            return None
        if kind == "dropped":
            raise NoAnswer(f"policy: {self.place.url}: dropped, {said}")
        if kind == "error":
            raise UserError(f"policy: {self.place.url}: {said}")
        return fields


def _opened(data: bytes | str) -> Fields | None:
    """The body of a message; None if it is none of ours, UserError if it was damaged."""
    message = None if isinstance(data, str) else unpack(data)
    return unseal(message) if isinstance(message, dict) and is_sealed(message) else None
