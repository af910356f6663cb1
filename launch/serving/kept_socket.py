"""A websocket to a policy server that comes back when it is lost."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.launch.serving.access import client_tls
from ideomotor.launch.serving.packing import missing_extra, unpack

OPEN_S = 5.0  # for a connection to be made
PING_S = 2.0  # between pings, and for their answers: a cable that was pulled is noticed in twice as long
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0  # between attempts to connect again
MAX_ANSWER = 64 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Place:
    """Where a server is, and what it takes to enter."""

    url: str  # ws:// or wss://
    token: str = field(default="", repr=False)
    ca: Path | None = None  # certificate to trust, instead of the system's authorities

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Api-Key {self.token}"} if self.token else {}


def pauses(chance: random.Random) -> Iterator[float]:
    """Seconds between attempts to connect: doubled each time, and spread so that not all come at once."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause * chance.uniform(0.5, 1.0)
        pause = min(2 * pause, LONGEST_PAUSE_S)


class KeptSocket:
    """A connection for one thread that asks; another one opens it again where that is wanted.

    Args:
        place: of the server.
        keeps: opens a lost connection again; otherwise losing it is the end.

    Attributes:
        metadata: what the server said of itself when it was first met.

    Raises:
        UserError: no connection.
    """

    def __init__(self, place: Place, keeps: bool) -> None:
        self.place = place
        self._lost, self._closed = threading.Event(), False
        opened, self.metadata = open_socket(place)
        self._socket: Any = opened
        if keeps:
            threading.Thread(target=self._keep, name="reconnect", daemon=True).start()

    def close(self) -> None:
        """Ends it for good."""
        self._closed = True
        socket, self._socket = self._socket, None
        self._lost.set()
        if socket is not None:
            socket.close()

    def present(self) -> Any:
        """The websocket; NoAnswer while there is none. A later one knows nothing of what went to this one."""
        socket = self._socket
        if socket is None:
            raise NoAnswer(f"policy: {self.place.url}: not connected")
        return socket

    def lose(self, socket: Any, error: Exception) -> NoAnswer:
        """A websocket has failed; returns what to raise."""
        if self._socket is socket:
            self._socket = None
            self._lost.set()
        return NoAnswer(f"policy: {self.place.url}: the connection was lost ({brief(error)})")

    def _keep(self) -> None:
        while not self._closed:
            self._lost.wait()
            self._lost.clear()
            for pause in pauses(random.Random()):
                time.sleep(pause)
                if self._closed or self._reopened():
                    break

    def _reopened(self) -> bool:
        try:
            socket, metadata = open_socket(self.place)
        except UserError:
            return False
        if metadata != self.metadata:
            socket.close()  # another policy than the one that was looked at before the start
            return False
        self._socket = socket
        if self._closed:
            socket.close()  # its threads would outlive the program
        return True


def open_socket(place: Place) -> tuple[Any, dict[str, Any]]:
    """A websocket to a server, and the metadata that it begins with. UserError naming what is wrong."""
    try:
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
        from websockets.sync.client import connect
    except ImportError:
        raise missing_extra("websockets") from None
    try:
        socket = connect(
            place.url,
            compression=None,
            proxy=None,
            max_size=MAX_ANSWER,
            additional_headers=place.headers(),
            ssl=client_tls(place.ca) if place.url.startswith("wss:") else None,
            open_timeout=OPEN_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=0.5,
        ).__enter__()
        metadata = _first_message(socket)
    except InvalidStatus as error:
        code = error.response.status_code
        why = "the token is missing or another one (--token-file)" if code == 401 else f"HTTP {code}"
        raise UserError(f"policy: {place.url}: refused: {why}") from None
    except ssl.SSLCertVerificationError as error:
        raise UserError(f"policy: {place.url}: {error.verify_message}; trust it with --ca FILE") from None
    except (InvalidURI, InvalidHandshake, WebSocketException, OSError, EOFError, UserError) as error:
        raise UserError(f"policy: {place.url}: no policy server there ({brief(error)})") from None
    return socket, metadata


def _first_message(socket: Any) -> dict[str, Any]:
    """The metadata; what begins otherwise is closed, since its threads would outlive the program."""
    try:
        metadata = unpack(_bytes(socket.recv(timeout=OPEN_S)))
        if not isinstance(metadata, dict):
            raise UserError("its first message is no map")
        return metadata
    except BaseException:
        socket.close()
        raise


def brief(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def socket_errors() -> tuple[type[Exception], ...]:
    """What using a websocket raises when it is lost."""
    from websockets.exceptions import WebSocketException

    return OSError, WebSocketException
