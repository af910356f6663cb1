"""A network that fails: forwards websocket messages late, not at all, twice, out of order or damaged.

Stands between a policy server and its clients, in tests and benchmarks. Faults are drawn for each message and
each way with a seeded generator; the first message of a connection (metadata) only comes late.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake


@dataclass(frozen=True)
class Faults:
    """Of each message, each way."""

    delay_s: float = 0.0
    jitter_s: float = 0.0  # standard deviation of the delay, which is never below zero
    loss: float = 0.0  # probabilities
    duplicate: float = 0.0
    damage: float = 0.0  # one bit is turned


class FaultyProxy:
    """It runs within `running`.

    Attributes:
        faults: may be changed at any time.
        forwarded: messages that were seen so far.
    """

    def __init__(self, upstream: str, faults: Faults | None = None, seed: int = 0) -> None:
        self.faults = faults or Faults()
        self.forwarded = 0
        self._upstream, self._chance = upstream, random.Random(seed)
        self._cut = False
        self._open: set[Any] = set()
        self._loop = asyncio.new_event_loop()
        self._sending: set[Any] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Listens in a thread of its own, and gives its address."""
        started, stop, ports = threading.Event(), asyncio.Event(), list[int]()

        async def run() -> None:
            async with serve(self._connected, "127.0.0.1", 0, compression=None, max_size=None) as server:
                ports.append(next(iter(server.sockets)).getsockname()[1])
                started.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: self._loop.run_until_complete(run()), daemon=True)
        thread.start()
        started.wait()
        try:
            yield f"ws://127.0.0.1:{ports[0]}"
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            thread.join()
            self._loop.close()

    def cut(self) -> None:
        """The connections are gone, and no new one is let in."""
        self._cut = True
        self._loop.call_soon_threadsafe(lambda: [each.transport.abort() for each in list(self._open)])

    def mend(self) -> None:
        """New connections are let in again."""
        self._cut = False

    async def _connected(self, client: Any) -> None:
        if self._cut:
            client.transport.abort()
            return
        with contextlib.suppress(ConnectionClosed, OSError, InvalidHandshake):
            async with connect(self._upstream, compression=None, proxy=None, max_size=None) as server:
                self._open.add(client)
                try:
                    first = await server.recv()
                    await asyncio.sleep(self.faults.delay_s)
                    await client.send(first)
                    ways = [
                        asyncio.create_task(self._pump(*way)) for way in ((client, server), (server, client))
                    ]
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                    for way in ways:
                        way.cancel()
                finally:
                    self._open.discard(client)

    async def _pump(self, source: Any, sink: Any) -> None:
        async for data in source:
            self.forwarded += 1
            faults, chance = self.faults, self._chance
            if self._cut or chance.random() < faults.loss:
                continue
            for _ in range(2 if chance.random() < faults.duplicate else 1):
                changed = _damaged(data, chance) if chance.random() < faults.damage else data
                late_s = max(0.0, chance.gauss(faults.delay_s, faults.jitter_s))
                if late_s == 0:
                    await _send(sink, changed)
                else:
                    task = asyncio.create_task(_send(sink, changed, late_s))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)


async def _send(sink: Any, data: bytes | str, late_s: float = 0.0) -> None:
    if late_s:
        await asyncio.sleep(late_s)
    with contextlib.suppress(ConnectionClosed):
        await sink.send(data)


def _damaged(data: bytes | str, chance: random.Random) -> bytes | str:
    if isinstance(data, str) or not data:
        return data
    changed = bytearray(data)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)
