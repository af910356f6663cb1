"""Starts processes beside control: all of them before it, and some once more when they have died."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import SpawnContext, SpawnProcess

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import shielded
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.job import Job
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState

POLL_S = 0.01
START_S = 180.0  # until every job lives: loading torch on a busy machine takes its time
AGAIN_S = 0.5  # from the death of a process to the next one in its place


class Restarts:
    """Starts those jobs again that are to be (`Job.again`)."""

    def __init__(self, context: SpawnContext, jobs: Sequence[Job]) -> None:
        self._context = context
        self._jobs = {job.role: job for job in jobs if job.again}
        self._due: dict[str, float] = {}  # {role: when it is to be started [s]}

    def died(self, role: str) -> None:
        """To be called for each process that has died."""
        if role in self._jobs:
            self._due[role] = time.monotonic() + AGAIN_S

    def started(self) -> dict[str, SpawnProcess]:
        """{role: process} of those whose time has come, started; to be called many times a second."""
        now = time.monotonic()
        roles = [role for role, at in self._due.items() if at <= now]
        processes = {}
        for role in roles:
            del self._due[role]
            job = self._jobs[role]
            processes[role] = self._context.Process(target=job.target, args=job.args)
            start_shielded(processes[role])
        return processes


def start_shielded(process: SpawnProcess) -> None:
    """Starts a process that does not receive what a terminal sends to all of its processes, until it asks."""
    with shielded():
        process.start()


def await_jobs(shared: SharedState, processes: Mapping[str, SpawnProcess], estop: EStop) -> None:
    """Waits until every process says that it lives.

    Raises:
        UserError: one has ended, or takes too long.
    """
    until = time.monotonic() + START_S
    waiting = dict(processes)
    while waiting and not estop.reason:
        shared.heartbeat("supervisor")
        for role, process in list(waiting.items()):
            if shared.heartbeats[HEARTBEATS.index(role), 0] == process.pid:
                del waiting[role]
            elif process.exitcode is not None:
                raise UserError(f"{role}: its process ended while starting ({how(process)})")
        if waiting and time.monotonic() > until:
            raise UserError(f"{', '.join(waiting)}: not ready after {START_S:.0f} s")
        time.sleep(POLL_S)


def count_down(
    shared: SharedState, seconds: float, on_count: Callable[[float], None] | None, estop: EStop
) -> None:
    """Waits, and says so; a signal ends it."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not estop.reason:
        shared.heartbeat("supervisor")
        if on_count:
            on_count(left)
        time.sleep(min(left, POLL_S))


def how(process: SpawnProcess) -> str:
    """How a process has ended, in words."""
    process.join(1.0)  # its sentinel is ready before its exit code
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}"
