"""Where the time of each control tick goes: its parts by the clock, and what the kernel did meanwhile.

A tick that took long either worked (its processor time grew with it), waited for memory (page faults), or was
kept from running: preempted by something more urgent, asleep in a system call, or, where all three counts
stand still and the processor time does too, by a host that ran another machine.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np

from ideomotor.control.runtime.realtime import touched

# In their order: the robot's state, the newest chunk, requests of other processes, the watch over peers, ages
# and faults, the safety filter with the safe stop, the command to the robot, and telling the others.
PARTS = ("read", "chunk", "orders", "watch", "filter", "write", "publish")
USAGE = ("cpu_us", "page_faults", "preemptions", "waits")


@dataclass(frozen=True)
class TickCosts:
    """What the newest n ticks cost, the oldest first."""

    parts_us: np.ndarray  # (n, len(PARTS)) float32 [µs] by the clock
    usage: np.ndarray  # (n, len(USAGE)) float32


class TickProfile:
    """Records every tick into arrays made before. `begin`, `mark` after each part, `end`."""

    def __init__(self, capacity: int) -> None:
        self._parts = touched((capacity, len(PARTS)), np.float32)
        self._usage = touched((capacity, len(USAGE)), np.float32)
        self._index = {part: i for i, part in enumerate(PARTS)}
        self._ticks = 0
        self._slot = self._last_ns = 0
        self._before = _usage()

    def begin(self) -> None:
        """A tick begins; a mark without one belongs to the tick before."""
        self._slot = self._ticks % len(self._parts)
        self._ticks += 1
        self._parts[self._slot] = 0.0
        self._before = _usage()
        self._last_ns = time.monotonic_ns()

    def mark(self, part: str) -> None:
        """What was done since the last mark is `part`'s; a part may be marked more than once."""
        now_ns = time.monotonic_ns()
        self._parts[self._slot, self._index[part]] += (now_ns - self._last_ns) / 1000
        self._last_ns = now_ns

    def end(self) -> None:
        """The tick is over."""
        for i, (before, now) in enumerate(zip(self._before, _usage(), strict=True)):
            self._usage[self._slot, i] = now - before

    def costs(self) -> TickCosts:
        """Copies of what was recorded."""
        n = min(self._ticks, len(self._parts))
        order = np.arange(self._ticks - n, self._ticks) % len(self._parts)
        return TickCosts(self._parts[order], self._usage[order])


def _usage() -> tuple[float, int, int, int]:
    """Of this thread so far, as `USAGE`."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return time.thread_time_ns() / 1000, used.ru_minflt + used.ru_majflt, used.ru_nivcsw, used.ru_nvcsw
