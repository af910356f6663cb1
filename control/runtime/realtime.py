"""Makes this process keep its deadlines, as far as the machine permits, and says so where it does not.

What counts, measured on two shared cores (lateness p99.9 of a 120 Hz loop): SCHED_FIFO with a frozen
garbage collector and locked memory 3.4 ms, without them 13 to 36 ms. Nothing here is required: a loop
without permission runs the same code, later.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

PRIORITY = 40  # of SCHED_FIFO, 1 to 99: above every ordinary process, below the kernel's own threads
MCL_CURRENT, MCL_FUTURE = 1, 2  # <sys/mman.h>


@dataclass(frozen=True)
class Granted:
    """What the operating system allowed."""

    fifo: bool  # scheduled before every ordinary process
    locked: bool  # memory is never swapped out
    refusals: tuple[str, ...]  # why not, in words

    @property
    def warning(self) -> str:
        """One line for the user; empty when everything was granted."""
        if not self.refusals:
            return ""
        return (
            f"the control loop runs without real-time guarantees ({'; '.join(self.refusals)}): expect late "
            "ticks under load. To permit it, add 'USER - rtprio 50' and 'USER - memlock unlimited' to "
            "/etc/security/limits.conf and log in again"
        )


@contextlib.contextmanager
def realtime(priority: int = PRIORITY) -> Generator[Granted]:
    """Runs a block with real-time scheduling, locked memory and no garbage collection; undone afterwards.

    Only the calling thread is scheduled differently, and children do not inherit it. Reference counting
    goes on freeing memory; only the search for cycles is off, so a loop must not make any.

    Args:
        priority: of SCHED_FIFO. 0 leaves scheduling and memory alone.
    """
    collected = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    before = (os.sched_getscheduler(0), os.sched_getparam(0))
    fifo = locked = False
    refusals = []
    if priority:
        fifo, refusal = schedule(priority)
        refusals += refusal
        locked, refusal = _lock_memory()
        refusals += refusal
    try:
        yield Granted(fifo, locked, tuple(refusals))
    finally:
        if fifo:
            os.sched_setscheduler(0, *before)
        if locked:
            _libc().munlockall()
        gc.unfreeze()
        if collected:
            gc.enable()


def touched(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> np.ndarray:
    """Returns zeros whose memory is there already: `np.zeros` gets it page by page while it is being used."""
    array = np.empty(shape, dtype)
    array.fill(0)
    return array


def favoured() -> None:
    """Gives this process, and threads that it starts later, more of the processors where permitted."""
    with contextlib.suppress(OSError):
        os.nice(-10)


def schedule(priority: int) -> tuple[bool, list[str]]:
    """Puts the calling thread under SCHED_FIFO; returns whether it is, and why not."""
    try:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError as error:
        return False, [f"SCHED_FIFO priority {priority}: {error.strerror}"]
    return True, []


def _lock_memory() -> tuple[bool, list[str]]:
    if _libc().mlockall(MCL_CURRENT | MCL_FUTURE):
        return False, [f"mlockall: {os.strerror(ctypes.get_errno())}"]
    return True, []


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
