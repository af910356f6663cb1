"""Where a tick's time goes: its parts, and what the kernel did, each counted in its own tick."""

import mmap
import time

import numpy as np
import pytest

from ideomotor.control.runtime import tick_profile
from ideomotor.control.runtime.realtime import touched
from ideomotor.control.runtime.tick_profile import PARTS, USAGE, TickProfile


class Clock:
    def __init__(self) -> None:
        self.now_ns = 5_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def thread_time_ns(self) -> int:
        return self.now_ns // 2  # half of the time this thread runs


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tick_profile, "time", clock)
    return clock


def test_what_was_done_since_the_last_mark_is_the_marked_parts(clock):
    ticks = TickProfile(capacity=8)
    for tick in range(3):
        clock.now_ns += 1_000_000  # between ticks
        ticks.begin()
        for part, us in (("read", 10), ("filter", 100 * (tick + 1)), ("read", 5), ("publish", 1)):
            clock.now_ns += 1000 * us
            ticks.mark(part)
        ticks.end()
    costs = ticks.costs()
    assert costs.parts_us.shape == (3, len(PARTS)) and costs.usage.shape == (3, len(USAGE))
    assert costs.parts_us[:, PARTS.index("read")].tolist() == [15, 15, 15]
    assert costs.parts_us[:, PARTS.index("filter")].tolist() == [100, 200, 300]
    assert costs.parts_us.sum(1).tolist() == [116, 216, 316]
    assert costs.usage[:, USAGE.index("cpu_us")].tolist() == [58, 108, 158]


def test_the_newest_ticks_are_kept_the_oldest_first(clock):
    ticks = TickProfile(capacity=4)
    for tick in range(10):
        ticks.begin()
        clock.now_ns += 1000 * tick
        ticks.mark("write")
        ticks.end()
    assert ticks.costs().parts_us[:, PARTS.index("write")].tolist() == [6, 7, 8, 9]


def test_page_faults_and_waits_are_counted_in_their_tick():
    ticks = TickProfile(capacity=8)
    for tick in range(3):
        ticks.begin()
        if tick == 1:
            with mmap.mmap(-1, 64 * mmap.PAGESIZE, mmap.MAP_PRIVATE) as memory:
                for page in range(64):
                    memory[page * mmap.PAGESIZE] = 1
            time.sleep(0.001)
        ticks.end()
    usage = ticks.costs().usage
    assert usage[1, USAGE.index("page_faults")] >= 1  # one for each page, or for a huge one
    assert usage[1, USAGE.index("waits")] >= 1
    assert usage[2, USAGE.index("waits")] == 0 and (usage[:, USAGE.index("cpu_us")] > 0).all()


def test_memory_made_before_costs_nothing_in_use():
    array, ticks = touched(1 << 20), TickProfile(capacity=2)
    ticks.begin()
    array[:: mmap.PAGESIZE // 8] = 1.0
    ticks.end()
    assert ticks.costs().usage[0, USAGE.index("page_faults")] <= 2
    np.testing.assert_array_equal(array[1:512], 0.0)
