"""The policy server: one port for openpi's clients, for ours, for `/healthz` and for `/metrics`.

The event loop only reads, hands over and writes; networks run in their threads. Nothing that a client sends
ends the server or harms another client: it is answered with an error that names the field.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import ssl
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.launch.serving.access import may_enter
from ideomotor.launch.serving.batching import Batcher
from ideomotor.launch.serving.client_session import ClientSession
from ideomotor.launch.serving.metrics import CONTENT_TYPE, Metrics
from ideomotor.launch.serving.openpi import KeyMap
from ideomotor.launch.serving.packing import missing_extra, pack
from ideomotor.launch.serving.served_policy import ServedPolicy, batchers

MAX_MESSAGE = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class ServerConfig:
    """How a server listens."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0: one that is free
    token: str = ""  # without which nobody enters; empty: anybody may
    tls: ssl.SSLContext | None = None
    max_message: int = MAX_MESSAGE  # bytes
    max_batch: int = 16
    wait_s: float = 0.003  # for other clients' requests [s]
    threads: int = 1  # of torch, in each network's thread
    keys: KeyMap = field(default_factory=KeyMap)


class PolicyServer:
    """One server, within `running`.

    Attributes:
        metrics: what it counts.
    """

    def __init__(self, served: ServedPolicy, config: ServerConfig) -> None:
        self.served, self.config = served, config
        self._batchers: dict[str, Batcher] = {}
        self.metrics = Metrics(lambda: sum(batcher.depth for batcher in self._batchers.values()))
        how = (config.max_batch, config.wait_s, config.threads)
        self._batchers = batchers(served, self.metrics.observer, *how)
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[int]:
        """Listens within the block, and gives the port.

        Raises:
            UserError: the address is in use or not of this machine, or the extra is not installed.
        """
        try:
            from websockets.asyncio.server import serve
        except ImportError:
            raise missing_extra("websockets") from None
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # of scanners' broken handshakes
        config = self.config
        for batcher in self._batchers.values():
            batcher.start()
        try:
            listening = serve(
                self._connected,
                config.host,
                config.port,
                ssl=config.tls,
                compression=None,  # pictures only get slower by it
                max_size=config.max_message,
                process_request=self._answer_http,
                server_header=None,
            )
            try:
                server = await listening
            except OSError as error:
                where = f"host: {config.host} port {config.port}"
                raise UserError(f"{where}: {error.strerror or error}") from None
            async with server:
                yield next(iter(server.sockets)).getsockname()[1]
        finally:
            for batcher in self._batchers.values():
                await asyncio.get_running_loop().run_in_executor(None, batcher.close)

    def _answer_http(self, connection: Any, request: Any) -> Any:
        """The pages, and a refusal of whoever has not the token; None: a websocket may be opened."""
        if request.path == "/healthz":
            return connection.respond(HTTPStatus.OK, "OK\n")
        headers = request.headers.get_all("Authorization")
        if not may_enter(headers[0] if len(headers) == 1 else None, self.config.token):
            self.metrics.refused.inc()
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the token is missing or another one\n")
        if request.path == "/metrics":
            response = connection.respond(HTTPStatus.OK, self.metrics.page().decode())
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = CONTENT_TYPE
            return response
        return None

    async def _connected(self, connection: Any) -> None:
        """One client, until it goes."""
        from websockets.exceptions import ConnectionClosed

        number, loop = next(self._numbers), asyncio.get_running_loop()
        send = functools.partial(_send, connection)
        shared = (self.served, self._batchers, self.metrics, self.config.keys)
        session = ClientSession(number, *shared, send, loop)
        self.metrics.clients.inc()
        try:
            await connection.send(pack(self.served.metadata(self.config.max_message)))
            async for data in connection:
                await session.receive(data, time.monotonic())
        except ConnectionClosed:
            pass  # it went, or a message was too large: its own close code says so
        finally:
            self.metrics.clients.dec()
            session.close()


async def _send(connection: Any, data: bytes | str) -> None:
    """Sends an answer; one to whom nobody listens any more is dropped."""
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        await connection.send(data)
