"""A page beside a running robot: two processes that look at the shared state, and may die or hang unnoticed.

    page process   serves the page, watches for alarms, and makes requests of the shared state as keys do
    arm view       the arm in 3-D, by viser, if that is installed; on loopback only

Neither is one of the session's jobs: control does not wait for them, and their end is said and is no fault.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import STOPPING, shielded
from ideomotor.control.runtime.shared_state import SharedState, SharedStateSpec, attach
from ideomotor.control.runtime.supervisor import live_with_parent
from ideomotor.launch.dashboard.alarms import AlarmLimits
from ideomotor.launch.dashboard.options import WebOptions

EVERY_S = 0.05
START_S = 60.0
NICE = 5  # behind everything that has a deadline


@dataclass(frozen=True)
class Event:
    """Something that happened at the page."""

    kind: str  # alarm, request, instruction or answer
    text: str
    who: str = ""

    def sentence(self) -> str:
        """As it is shown."""
        return f"{self.kind}: {self.text}{f' ({self.who})' if self.who else ''}"


class Dashboard:
    """Those processes, seen from the one that runs the session.

    Attributes:
        address: to open in a browser.
    """

    def __init__(self, pages: list[tuple[str, multiprocessing.Process, Connection]], address: str) -> None:
        self.address = address
        self._pages = pages

    @property
    def processes(self) -> list[multiprocessing.Process]:
        """Those that live, the page's first."""
        return [process for _, process, _ in self._pages]

    def poll(self) -> list[Event]:
        """What has happened since the last call; a process that has died is an event, once."""
        events = []
        for page in list(self._pages):
            name, process, pipe = page
            try:
                while pipe.poll():
                    said = pipe.recv()
                    if isinstance(said, Event):
                        events.append(said)
                    else:
                        self._show_arm(said)
            except (EOFError, OSError):
                self._pages.remove(page)
                process.join(1.0)
                events.append(
                    Event("alarm", f"{name} has died (exit code {process.exitcode}), the arm goes on")
                )
        return events

    def _show_arm(self, address: str) -> None:
        for name, _, pipe in self._pages:
            if name == "the page":
                with contextlib.suppress(OSError):
                    pipe.send(address)


@contextlib.contextmanager
def dashboard_beside(
    shared: SharedState,
    embodiment: Embodiment,
    instruction: str,
    drivers: Sequence[str],
    options: WebOptions,
    limits: AlarmLimits | None = None,
) -> Generator[Dashboard]:
    """Starts them, and ends them after the block.

    Args:
        limits: of the alarms; by default the usual ones.

    Raises:
        UserError: the address cannot be served, or is not loopback and there is no token.
    """
    context = multiprocessing.get_context("spawn")
    jobs: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
        "the page": (page_process, (shared.spec, embodiment, instruction, tuple(drivers), options, limits))
    }
    if embodiment.geometry is not None and _has_viser():
        jobs["the arm's view"] = (arm_view_process, (shared.spec, embodiment))
    pages = []
    try:
        for name, (target, arguments) in jobs.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
            with shielded():
                process.start()
            theirs.close()
            pages.append((name, process, ours))
        page = pages[0][2]
        try:
            said = page.recv() if page.poll(START_S) else "error: it did not start in time"
        except EOFError:
            said = "error: its process ended while starting"
        if said.startswith("error: "):
            raise UserError(f"web: {said.removeprefix('error: ')}")
        yield Dashboard(list(pages), said)
    finally:
        for _, process, pipe in pages:
            process.kill()
            process.join()
            pipe.close()


def page_process(
    spec: SharedStateSpec,
    embodiment: Embodiment,
    instruction: str,
    drivers: tuple[str, ...],
    options: WebOptions,
    limits: AlarmLimits | None,
    pipe: Connection,
) -> None:
    """Sends its address, or "error: …", then an `Event` for each; takes the arm view's address."""
    from ideomotor.launch.dashboard.server import Room, make_server
    from ideomotor.launch.dashboard.status import StatusReader

    _begin()
    shared = attach(spec)
    reader, sending = StatusReader(shared, embodiment, instruction, drivers, limits), threading.Lock()

    def tell(kind: str, text: str, who: str = "") -> None:
        with sending:
            pipe.send(Event(kind, text, who))

    room = Room(shared, reader, token=options.token, asked=tell)
    try:
        server = make_server(options.host, options.port, room)
    except OSError as error:
        pipe.send(f"error: {options.host}:{options.port}: {error.strerror or error}")
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    query = f"/?token={options.token}" if options.token else "/"
    pipe.send(f"http://{options.host}:{server.server_address[1]}{query}")
    while True:
        if pipe.poll(EVERY_S):
            room.arm_view = pipe.recv()
        reader.poll()
        while reader.news:
            tell("alarm", text := reader.news.pop(0))
            if options.on_alarm:
                with contextlib.suppress(OSError):
                    subprocess.Popen([*shlex.split(options.on_alarm), text], stdin=subprocess.DEVNULL)
        silent = time.monotonic() - room.seen_at
        if options.heartbeat_s is not None and room.seen_at and silent > options.heartbeat_s:
            room.seen_at = 0.0
            shared.request("estop", "web: no page is there any more")
            tell("request", "estop", "no page is there any more")


def arm_view_process(spec: SharedStateSpec, embodiment: Embodiment, pipe: Connection) -> None:
    """Sends its address once it is there."""
    _begin()
    from ideomotor.launch.dashboard.arm_view import ArmView

    shared = attach(spec)
    state = shared.state.new()
    assert embodiment.geometry is not None
    view = ArmView(embodiment, embodiment.geometry)
    # By another name than the page's, a browser gives it a process of its own: the page never waits for it.
    pipe.send(f"http://localhost:{view.port}/")

    def pose() -> tuple[np.ndarray, np.ndarray] | None:
        return (state["position"].copy(), state["command"].copy()) if shared.state.read(state) else None

    view.follow(pose)


def _begin() -> None:
    live_with_parent()
    for number in STOPPING:  # they end when the session has ended
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)


def _has_viser() -> bool:
    import importlib.util

    return importlib.util.find_spec("viser") is not None
