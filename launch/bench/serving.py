"""What `ideomotor bench serve` measures: what asking over a network costs beside the inference itself.

Server, echo and clients are on this machine. A chunk's overhead is its round trip less what the network took
to make it, as the server says; beside it, in turns, a bare server of the same library answers the same bytes
with as many as a chunk has.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.launch.bench.rows import row, table
from ideomotor.launch.console import Output
from ideomotor.launch.serving.kept_socket import Place, open_socket
from ideomotor.launch.serving.link import Link
from ideomotor.launch.serving.messages import observation_map, plan_map, read_plan, seal
from ideomotor.launch.serving.packing import unpack

WAIT_S = 60.0  # for an answer
LISTENING = "listening on "
WARM_UP = 5  # rounds that are not counted


@dataclass(frozen=True)
class ServeBenchOptions:
    """Measures a policy server over loopback, beside a bare echo of the same bytes."""

    policy: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; the bundled policy by default"""

    rounds: int = 200
    """chunks that are asked for, by each measurement"""

    clients: tuple[int, ...] = (1, 4, 16)
    """numbers of clients at once"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def serve_bench(options: ServeBenchOptions) -> int:
    """The command."""
    output = Output(options.json)
    if options.rounds < 2 or any(count < 1 for count in options.clients):
        raise UserError(
            f"rounds: got {options.rounds} with {options.clients} clients, expected at least 2 and 1"
        )
    chosen = () if options.policy is None else ("--policy", options.policy)
    body = _body()
    rows: list[dict[str, Any]] = []
    with server_process("--port", "0", *chosen) as (url, process):
        idle_mb = memory_mb(process.pid)
        link = Link(Place(url), keeps=False)
        size = _answer_size(url, body)
        with echo_process(size) as echo_url:
            rows += _overhead(link, echo_url, body, options.rounds)
        link.close()
        together = {count: _throughput(url, body, count, options.rounds) for count in options.clients}
        busy_mb = memory_mb(process.pid)
    with server_process("--port", "0", "--max-batch", "1", *chosen) as (url, _):
        apart = {count: _throughput(url, body, count, options.rounds) for count in options.clients}
    for count in options.clients:
        name = f"chunks a second, {count} client{'s' if count > 1 else ''}"
        rows.append(row(name, together[count], "1/s", "one by one", apart[count], smaller=False))
    rows.append(row("memory of the server, idle", idle_mb, "MB"))
    rows.append(row(f"memory after {max(options.clients)} clients", busy_mb, "MB"))
    output.result({"policy": options.policy or "bundled", "rows": rows})
    output.text.print(table(rows))
    return 0


def _overhead(link: Link, echo_url: str, body: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    ours, theirs, inferred, data = [], [], [], b""
    echo, _ = open_socket(Place(echo_url))
    for number in range(WARM_UP + rounds):
        began = time.perf_counter()
        timing = link.ask(body, WAIT_S).fields("timing_ms")
        took_ms = 1000 * (time.perf_counter() - began)
        infer_ms = timing.number("infer")
        data = seal({**body, "id": number})
        began = time.perf_counter()
        echo.send(data)
        echo.recv()
        if number >= WARM_UP:
            ours.append(took_ms - infer_ms)
            inferred.append(infer_ms)
            theirs.append(1000 * (time.perf_counter() - began))
    echo.close()
    sent = f"{len(data) / 1000:.0f} kB"
    made = [row("a chunk's inference, p50", float(np.median(inferred)), "ms")]
    for name, share in (("p50", 50), ("p99", 99)):
        mine, bare = (float(np.percentile(each, share)) for each in (ours, theirs))
        made.append(row(f"overhead of a chunk ({sent}), {name}", mine, "ms", "bare echo", bare))
    return made


def _throughput(url: str, body: dict[str, Any], clients: int, rounds: int) -> float:
    """Chunks a second of so many clients, each asking again as soon as it is answered."""
    links = [Link(Place(url), keeps=False) for _ in range(clients)]
    each = max(2, rounds // clients)

    def ask(link: Link) -> None:
        for _ in range(each):
            link.ask(body, WAIT_S)

    for link in links:
        link.ask(body, WAIT_S)
    threads = [threading.Thread(target=ask, args=(link,)) for link in links]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - began
    for link in links:
        link.close()
    return each * clients / took_s


def _body() -> dict[str, Any]:
    """A request of a chunk, as a launch sends it."""
    rng, robot = np.random.default_rng(0), load_embodiment("so101")
    images = {
        camera.name: rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
        for camera in robot.cameras
    }
    state = np.asarray(robot.home_position, np.float32)
    past = np.repeat(state[None].astype(float), 8, axis=0)
    seen = Observation(0.5, 60, images, state, "lift the red cube", past)
    none = LatentPlan(np.empty((0, 0), np.float32), 0.5)
    prefix = np.repeat(state[None].astype(float), 10, axis=0)
    return {
        "type": "act",
        "observation": observation_map(seen),
        "plan": plan_map(replace(none)),
        "committed_prefix": prefix,
    }


def _answer_size(url: str, body: dict[str, Any]) -> int:
    """Bytes of an answer; and gives the body a plan of the server's."""
    socket, _ = open_socket(Place(url))
    link = Link(Place(url), keeps=False)
    plan = link.ask({"type": "plan", "observation": body["observation"]}, WAIT_S).fields("plan")
    body["plan"] = plan_map(read_plan(plan))
    link.close()
    socket.send(seal({**body, "id": 1}))
    data = socket.recv()
    socket.close()
    assert isinstance(data, bytes) and unpack(data)
    return len(data)


@contextlib.contextmanager
def server_process(*arguments: str) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """`ideomotor serve` with these options: (its address, the process), which ends with the block."""
    with _listening([sys.executable, "-P", "-m", "ideomotor.launch", "serve", *arguments]) as started:
        yield started


@contextlib.contextmanager
def echo_process(size: int) -> Generator[str]:
    """The address of a bare server that answers with so many bytes."""
    command = [sys.executable, "-P", "-m", "ideomotor.launch.bench.echo_server", str(size)]
    with _listening(command) as (url, _):
        yield url


@contextlib.contextmanager
def _listening(command: list[str]) -> Generator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = next((line.split()[-1] for line in process.stdout if line.startswith(LISTENING)), None)
        if url is None:
            raise UserError(f"serve: it did not start (exit code {process.wait()})")
        yield url, process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def memory_mb(process: int) -> float:
    """Resident memory of a process [MB]; NaN where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1000
    return float("nan")
