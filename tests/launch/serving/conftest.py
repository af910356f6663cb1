"""A policy server in a thread of the test's own process, and what is sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ideomotor.control.types import Observation
from ideomotor.launch.checkpoints import policy_folder
from ideomotor.launch.serving.messages import observation_map, seal, unseal
from ideomotor.launch.serving.packing import unpack
from ideomotor.launch.serving.served_policy import ServedPolicy, load_served
from ideomotor.launch.serving.server import PolicyServer, ServerConfig


@pytest.fixture(scope="session")
def served() -> ServedPolicy:
    """The bundled policy."""
    return load_served(policy_folder(None), "bundled")


@contextlib.contextmanager
def in_a_thread(server: PolicyServer) -> Iterator[int]:
    """Runs a server, and gives its port."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    ports: list[int] = []

    async def run() -> None:
        async with server.running() as port:
            ports.append(port)
            started.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    try:
        yield ports[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="session")
def serving(served: ServedPolicy) -> Iterator[Callable[..., tuple[PolicyServer, int]]]:
    """serving(token=…): (a server of the bundled policy that runs until the tests end, its port)."""
    with contextlib.ExitStack() as stack:

        def start(policy: ServedPolicy = served, **how: Any) -> tuple[PolicyServer, int]:
            server = PolicyServer(policy, ServerConfig(port=0, **how))
            return server, stack.enter_context(in_a_thread(server))

        yield start


@pytest.fixture(scope="session")
def server(serving: Callable[..., tuple[PolicyServer, int]]) -> tuple[PolicyServer, int]:
    """(a server as it is by default, its port)."""
    return serving()


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """connect(port, **options): a websocket to it, which has read the server's first message."""
    from websockets.sync.client import connect as open_websocket

    with contextlib.ExitStack() as stack:

        def connected(port: int, scheme: str = "ws", **options: Any) -> Any:
            uri = f"{scheme}://127.0.0.1:{port}"
            made = open_websocket(uri, compression=None, proxy=None, max_size=None, **options)
            socket = stack.enter_context(made)
            socket.recv()
            return socket

        yield connected


@pytest.fixture
def ask() -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """ask(websocket, body): sends one of our messages and gives the body of the answer."""

    def asked(socket: Any, body: dict[str, Any]) -> dict[str, Any]:
        socket.send(seal(body))
        fields = unseal(unpack(socket.recv()))
        return {name: fields._value[name] for name in fields.names}

    return asked


@pytest.fixture(scope="session")
def seen() -> Observation:
    """What the bundled policy might see."""
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for name in ("front", "wrist")}
    past = np.repeat(np.linspace(-0.3, 0.3, 6)[None], 8, axis=0)
    return Observation(0.5, 60, images, past[0].astype(np.float32), "lift the red cube", past)


@pytest.fixture
def plan_body(seen: Observation) -> dict[str, Any]:
    """A request of a plan."""
    return {"type": "plan", "id": 1, "observation": observation_map(seen)}
