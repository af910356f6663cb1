"""The fixed-rate loop: absolute deadlines, the lateness of every tick recorded into arrays made before.

Deadline k is start + k / hz on the monotonic clock, so that lateness never adds up. A step that cannot begin
at its deadline, since the one before it took too long, still begins up to half a period later; after that
its deadline is missed. And no step begins sooner than half a period after the one before it: a late step
moves the next one a little, instead of two commands reaching the motors as one. So a loop whose work takes
less than half a period misses only what an empty loop misses.

The tick handed to `step` counts steps *really executed*: deadlines that were missed are counted and never
caught up with, and the next step is still the next tick. A command stream indexed by ticks is therefore
delayed by a stall, but never jumps.
"""

from __future__ import annotations

import ctypes
import errno
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ideomotor.control.runtime.realtime import touched

TIMER_ABSTIME = 1  # <time.h>
RECORDED_TICKS = 120 * 60 * 15  # what a record keeps by default: the last quarter of an hour at 120 Hz


@dataclass(frozen=True)
class LatenessUs:
    """Percentiles of lateness [µs]; -1 where nothing was recorded."""

    p50: float
    p99: float
    p999: float
    max: float


class LoopRecord:
    """What a loop has done; every array is as long as it will be from the beginning.

    Attributes:
        ticks: steps executed.
        late: of those, the ones that began later than half a period after their deadline.
        missed: deadlines at which, and for half a period after which, no step could begin.
        elapsed_s: from the first deadline to the one after the last step.
    """

    def __init__(self, hz: float, capacity: int = RECORDED_TICKS) -> None:
        self.hz = hz
        self.ticks = self.late = self.missed = 0
        self.elapsed_s = 0.0
        self._lateness_ns = touched(capacity, np.int64)  # a ring: the newest `capacity` ticks
        self._busy_ns = touched(capacity, np.int64)
        self.newest_lateness_us = 0.0  # of the last tick

    def add(self, lateness_ns: int, busy_ns: int, missed: int) -> None:
        """Records one executed tick: how late it began, how long it took, how many deadlines it cost."""
        slot = self.ticks % len(self._lateness_ns)
        self._lateness_ns[slot] = lateness_ns
        self._busy_ns[slot] = busy_ns
        self.newest_lateness_us = lateness_ns / 1000
        self.ticks += 1
        self.late += lateness_ns > 0.5e9 / self.hz
        self.missed += missed

    @property
    def achieved_hz(self) -> float:
        """Executed ticks a second."""
        return self.ticks / self.elapsed_s if self.elapsed_s else 0.0

    def lateness_us(self) -> np.ndarray:
        """(n,) float64 [µs], from each deadline to its step's beginning, for the newest ticks."""
        return self._lateness_ns[: self.ticks] / 1000

    def busy_us(self) -> np.ndarray:
        """(n,) float64 [µs], how long each step took, in the order of `lateness_us`."""
        return self._busy_ns[: self.ticks] / 1000


def summarise(values_us: np.ndarray) -> LatenessUs:
    """The percentiles that a report shows."""
    if not len(values_us):
        return LatenessUs(-1.0, -1.0, -1.0, -1.0)
    p50, p99, p999 = (float(value) for value in np.percentile(values_us, [50, 99, 99.9]))
    return LatenessUs(p50, p99, p999, float(values_us.max()))


def run_loop(
    step: Callable[[int], bool],
    record: LoopRecord,
    *,
    now_ns: Callable[[], int] = time.monotonic_ns,
    sleep_until_ns: Callable[[int], None] | None = None,
) -> None:
    """Calls `step(0)`, `step(1)`, ... at `record.hz` until it returns False.

    Args:
        step: one tick; gets the number of ticks executed before it.
        record: where every tick's lateness goes.
        now_ns, sleep_until_ns: the clock; the machine's monotonic one unless a test brings its own.
    """
    sleep = sleep_until_ns or sleeper()
    period_ns = 1e9 / record.hz
    half_ns = round(period_ns / 2)
    start, k = now_ns(), 0
    earliest = start  # when the next step may begin
    going = True
    try:
        while going:
            deadline = start + round(k * period_ns)
            sleep(max(deadline, earliest))
            began = now_ns()
            going = step(record.ticks)
            ended = now_ns()
            earliest = max(began + half_ns, ended)
            following = max(math.ceil((earliest - half_ns - start - 1) / period_ns), k + 1)
            record.add(began - deadline, ended - began, (following - k - 1) if going else 0)
            k = following
    finally:
        record.elapsed_s += max(now_ns() - start, k * period_ns) / 1e9


def sleeper() -> Callable[[int], None]:
    """Returns a function that sleeps until a time of `time.monotonic_ns`, by clock_nanosleep.

    The deadline is absolute, so being interrupted between reading the clock and going to sleep costs
    nothing. A signal ends the sleep for as long as its Python handler runs.
    """
    nanosleep = ctypes.CDLL(None).clock_nanosleep
    until = (ctypes.c_long * 2)()  # struct timespec
    pointer = ctypes.byref(until)

    def sleep_until_ns(deadline: int) -> None:
        until[0], until[1] = divmod(deadline, 1_000_000_000)
        while nanosleep(time.CLOCK_MONOTONIC, TIMER_ABSTIME, pointer, None) == errno.EINTR:
            pass  # the handler has run

    return sleep_until_ns
