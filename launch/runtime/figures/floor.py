"""The floor of a control loop: an empty loop beside it, at the same priority and time, in another process.

What it is late by is the host's own share, which no program on this machine can do better than.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import shielded
from ideomotor.control.runtime.loop import LoopRecord, run_loop
from ideomotor.control.runtime.realtime import PRIORITY, realtime

START_S = 60.0  # how long its process may take to start


@dataclass(frozen=True)
class Floor:
    """What the empty loop measured."""

    lateness_us: np.ndarray  # (n,)
    missed: int  # deadlines at which it could not run


@contextlib.contextmanager
def floor_beside(hz: float, ticks: int, priority: int = PRIORITY) -> Generator[Connection]:
    """Starts its process, which waits for "go" on the connection, and ends it afterwards.

    Raises:
        UserError: it did not start.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_floor_process, args=(hz, ticks, priority, theirs), daemon=True)
    with shielded():
        process.start()
    theirs.close()
    try:
        if not ours.poll(START_S):
            raise UserError(f"floor: its process did not start within {START_S:.0f} s")
        ours.recv()
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def measured(floor: Connection, wait_s: float = 1.0) -> Floor | None:
    """What it measured; None if it is not done with its ticks, because the run beside it ended early."""
    if not floor.poll(wait_s):
        return None
    return Floor(np.frombuffer(floor.recv_bytes(), dtype=np.float64), floor.recv())


def _floor_process(hz: float, ticks: int, priority: int, connection: Connection) -> None:
    record = LoopRecord(hz, ticks)
    with realtime(priority):
        connection.send("ready")
        connection.recv()
        run_loop(lambda tick: tick + 1 < ticks, record)
    connection.send_bytes(record.lateness_us().tobytes())
    connection.send(record.missed)
