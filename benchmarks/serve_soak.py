"""A policy server and clients that come, go, die and send garbage: no answer is another's, nothing leaks.

    .venv/bin/python -P benchmarks/serve_soak.py [--minutes 30] [--clients 4]

Each client asks for plans and chunks with pictures, words and committed commands of its own, in an episode
begun anew and without chance: its answers are the same each time, and no other's. Now and then it is killed.
Others send garbage and break off handshakes. The last line is JSON; the exit code is 1 after a wrong answer,
a dead server or a leak.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.control.types import Observation
from ideomotor.launch.bench.serving import memory_mb, server_process
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.serving.remote_source import RemoteSource

LEAK_MB = 60.0  # more than after the first tenth of the time
PREFIXES = (0, 4, 8)  # committed commands
SAME = 0.01  # of an answer's numbers: batches differ in their rounding, clients by far more
KILLED = 0.05  # share of requests after which a client dies


def main() -> int:
    parser = argparse.ArgumentParser(description="soaks a policy server")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args()
    begun, end = time.monotonic(), time.monotonic() + 60 * arguments.minutes
    with server_process("--port", "0") as (url, process):
        early: list[float] = []

        def goes_on() -> bool:
            now = time.monotonic()
            if not early and now > begun + (end - begun) / 10:
                early.append(memory_mb(process.pid))
            return now < end and process.poll() is None

        counts = soak(url, arguments.clients, goes_on)
        alive, late_mb = process.poll() is None, memory_mb(process.pid)
    grown = late_mb - early[0] if early else 0.0
    ok = alive and not counts["wrong"] and not counts["refused"] and grown < LEAK_MB
    print(json.dumps({"ok": ok, "alive": alive, **counts, "memory_mb": late_mb, "grown_mb": round(grown, 1)}))
    return 0 if ok else 1


def soak(url: str, clients: int, goes_on: Callable[[], bool]) -> Counter[str]:
    """What happened, counted: `answers`, `killed`, `garbage`, `none` (no answer), `refused`, `wrong`.

    Args:
        clients: at once, and one more thread that sends garbage.
        goes_on: asked again and again; False ends it.
    """
    source = chosen_policy(url, load_embodiment("so101"))
    assert isinstance(source, RemoteSource)
    counts: Counter[str] = Counter(
        dict.fromkeys(("answers", "killed", "garbage", "none", "refused", "wrong"), 0)
    )
    threads = [threading.Thread(target=_client, args=(source, n, goes_on, counts)) for n in range(clients)]
    threads.append(threading.Thread(target=_vandal, args=(url, goes_on, counts)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def _client(source: RemoteSource, number: int, goes_on: Callable[[], bool], counts: Counter[str]) -> None:
    chance, rng = random.Random(number), np.random.default_rng(number)
    images = {name: rng.integers(0, 256, (96, 96, 3), np.uint8) for name in ("front", "wrist")}
    own = np.full(6, 0.05 * (number + 1))  # in its state and commands: no other client's
    seen = Observation(
        0.0, 0, images, own.astype(np.float32), f"lift cube {number}", np.repeat(own[None], 8, 0)
    )
    with contextlib.ExitStack() as stack:
        policy, first = None, dict[int, tuple[np.ndarray, np.ndarray]]()
        tick = 1000 * number
        while goes_on():
            tick += 16
            now = replace(seen, tick=tick, time=tick / 120)
            try:
                if policy is None:
                    policy = source.sampled(0, "", 0.0, "").load()
                    stack.callback(policy._link.close)  # type: ignore[attr-defined]
                prefix = np.repeat(own[None], chance.choice(PREFIXES), axis=0)
                policy.reset(0)
                plan = policy.plan(now)
                chunk = policy.act(now, plan, prefix)
            except NoAnswer:
                counts["none"] += 1
                continue
            except UserError:
                counts["refused"] += 1
                continue
            mine = first.setdefault(len(prefix), (plan.tokens, chunk.actions))
            found = zip(mine, (plan.tokens, chunk.actions), strict=True)
            same = plan.observed_at == now.time and all(np.abs(a - b).max() < SAME for a, b in found)
            counts["answers" if same else "wrong"] += 1
            if chance.random() < KILLED:
                policy._link._socket.socket.close()  # type: ignore[attr-defined]
                policy, counts["killed"] = None, counts["killed"] + 1


def _vandal(url: str, goes_on: Callable[[], bool], counts: Counter[str]) -> None:
    """Garbage: on the bare port, instead of a handshake, and in the websocket."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    chance = random.Random(99)
    host, port = url.removeprefix("ws://").split(":")
    while goes_on():
        counts["garbage"] += 1
        with contextlib.suppress(OSError, WebSocketException):
            if chance.random() < 0.5:
                with socket.create_connection((host, int(port))) as bare:
                    bare.sendall(chance.randbytes(chance.randrange(1, 2000)))
            else:
                with connect(url, compression=None, proxy=None, close_timeout=0.2) as websocket:
                    for _ in range(chance.randrange(1, 5)):
                        websocket.send(chance.randbytes(chance.randrange(1, 2000)))
        time.sleep(0.05)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
