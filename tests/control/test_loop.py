"""The loop on a virtual clock, where it must be exact, and on the real one, where it must not lose count."""

import dataclasses
import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.runtime import realtime as realtime_module
from ideomotor.control.runtime.loop import LoopRecord, run_loop, sleeper, summarise
from ideomotor.control.runtime.realtime import realtime

HZ = 120
PERIOD_NS = 1e9 / HZ


class VirtualClock:
    """Time passes only by sleeping and by work; each sleep may come back late.

    Attributes:
        until: what each sleep was to last to, a deadline or up to half a period more.
        began: when it ended.
    """

    def __init__(self, late_ns: list[int]) -> None:
        self.now = 1_000_000_007
        self.until: list[int] = []
        self.began: list[int] = []
        self._late_ns = iter(late_ns)

    def now_ns(self) -> int:
        return self.now

    def sleep_until_ns(self, deadline: int) -> None:
        self.until.append(deadline)
        self.now = max(self.now, deadline) + next(self._late_ns, 0)
        self.began.append(self.now)

    @property
    def periods(self) -> np.ndarray:
        """(n,) when each step began, in periods since the first deadline."""
        return (np.array(self.began) - self.until[0]) / PERIOD_NS


def run(work_ns: list[int], late_ns: list[int] = [], capacity: int = 1000) -> tuple[LoopRecord, VirtualClock]:  # noqa: B006
    clock, record, ticks = VirtualClock(late_ns), LoopRecord(HZ, capacity), []

    def step(tick: int) -> bool:
        ticks.append(tick)
        clock.now += work_ns[tick]
        return tick + 1 < len(work_ns)

    run_loop(step, record, now_ns=clock.now_ns, sleep_until_ns=clock.sleep_until_ns)
    assert ticks == list(range(len(work_ns)))
    return record, clock


def test_every_deadline_is_exact_and_none_drifts():
    record, clock = run([1_000_000] * 1000)
    expected = [clock.until[0] + round(k * PERIOD_NS) for k in range(1000)]
    assert clock.until == expected
    assert (record.ticks, record.late, record.missed) == (1000, 0, 0)
    assert record.lateness_us().max() == 0 and set(record.busy_us()) == {1000.0}
    assert record.achieved_hz == pytest.approx(HZ, rel=1e-9)


@pytest.mark.parametrize(
    ("stall", "begins", "missed"),
    [
        (0.3, [0, 1, 2, 3], 0),
        (1.0, [0, 1, 2, 3], 0),
        (1.4, [0, 1, 2.4, 3], 0),  # the deadline passed less than half a period ago
        (1.6, [0, 1, 3, 4], 1),
        (3.4, [0, 1, 4.4, 5], 2),
        (3.6, [0, 1, 5, 6], 3),
    ],
)
def test_a_stall_costs_deadlines_that_are_half_a_period_ago_and_ticks_go_on(stall, begins, missed):
    record, clock = run([0, round(stall * PERIOD_NS), 0, 0])
    assert clock.periods.tolist() == pytest.approx(begins, abs=1e-6)
    assert record.missed == missed


@pytest.mark.parametrize(
    ("lateness", "begins", "missed"),
    [
        (0.3, [0, 1.3, 2, 3], 0),
        (0.6, [0, 1.6, 2.1, 3], 0),  # half a period after the late one, not at its own deadline
        (0.99, [0, 1.99, 2.49, 3], 0),
        (1.01, [0, 2.01, 3, 4], 1),
    ],
)
def test_after_a_late_wake_up_the_next_command_comes_half_a_period_later_at_the_soonest(
    lateness, begins, missed
):
    record, clock = run([0] * 4, late_ns=[0, round(lateness * PERIOD_NS), 0, 0])
    assert clock.periods.tolist() == pytest.approx(begins, abs=1e-6)
    assert record.missed == missed and record.late == (lateness > 0.5)


def test_work_below_half_a_period_misses_what_an_empty_loop_misses():
    # A host that takes the processor away for most of a period: a loop with work in it missed the deadline
    # after that, while the empty loop beside it missed none.
    stalls = [round(share * PERIOD_NS) for share in np.linspace(0.0, 1.3, 14)]
    for work in (0, 1_000_000, round(0.49 * PERIOD_NS)):
        missed = [run([work] * 4, late_ns=[0, stall, 0, 0])[0].missed for stall in stalls]
        assert missed == [int(stall > PERIOD_NS) for stall in stalls]


def test_work_beyond_a_period_does_not_halve_the_rate():
    record, clock = run([round(1.1 * PERIOD_NS)] * 100)  # a slow bus, say
    assert record.achieved_hz > 0.8 * HZ
    assert np.diff(clock.periods).min() >= 1.1 - 1e-6


def test_work_of_exactly_a_period_misses_nothing():
    record, _ = run([round(k * PERIOD_NS) - round((k - 1) * PERIOD_NS) for k in range(1, 50)])
    assert record.missed == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 40_000_000), st.integers(0, 40_000_000)), min_size=1, max_size=40))
def test_executed_and_missed_deadlines_add_up_to_all_that_passed(stalls: list[tuple[int, int]]):
    record, clock = run([work for work, _ in stalls], [late for _, late in stalls])
    begun = clock.periods - record.lateness_us() * 1000 / PERIOD_NS  # back to the deadlines
    np.testing.assert_allclose(begun, np.rint(begun), atol=1e-6)
    assert record.ticks + record.missed == round(begun[-1]) + 1
    assert (np.diff(begun) > 0.99).all()
    assert (np.diff(clock.periods) >= 0.5 - 1e-6).all()  # two commands are never sent as one
    assert (np.array(clock.until) - clock.until[0] <= (np.rint(begun) + 0.5) * PERIOD_NS + 1).all()


def test_a_record_keeps_the_newest_ticks_and_counts_them_all():
    record, _ = run([tick * 1000 for tick in range(25)], capacity=10)
    assert record.ticks == 25
    assert sorted(record.busy_us()) == list(range(15, 25))


def test_summary_of_nothing_says_so():
    assert summarise(np.array([])).p50 == -1
    summary = summarise(np.arange(1001.0))
    assert dataclasses.astuple(summary) == pytest.approx((500, 990, 999, 1000))


@pytest.mark.realtime
def test_on_the_real_clock_it_waits_for_each_deadline():
    record = LoopRecord(HZ)
    began = time.monotonic()
    run_loop(lambda tick: tick < 24, record)
    assert time.monotonic() - began >= 24 / HZ  # never early
    assert (record.lateness_us() >= 0).all()


@pytest.mark.realtime
def test_a_signal_is_handled_during_a_sleep_which_then_goes_on():
    seen: list[float] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(time.monotonic()))
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        until = time.monotonic_ns() + 2_000_000_000
        sleeper()(until)
        woke = time.monotonic_ns()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert woke >= until and len(seen) == 1 and seen[0] < until / 1e9


def test_realtime_is_undone_afterwards():
    scheduler = os.sched_getscheduler(0)
    with realtime() as granted:
        assert not gc.isenabled() and gc.get_freeze_count() > 0
        running = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
        assert (running == os.SCHED_FIFO) == granted.fifo
        assert bool(granted.warning) == bool(granted.refusals)
    assert gc.isenabled() and gc.get_freeze_count() == 0
    assert os.sched_getscheduler(0) == scheduler


def test_without_permission_there_is_one_line_that_says_what_to_do(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(
        realtime_module, "_lock_memory", lambda: (False, ["mlockall: Cannot allocate memory"])
    )
    with realtime() as granted:
        pass
    assert not granted.fifo and not granted.locked
    assert "\n" not in granted.warning
    for word in ("SCHED_FIFO", "Operation not permitted", "mlockall", "limits.conf"):
        assert word in granted.warning
