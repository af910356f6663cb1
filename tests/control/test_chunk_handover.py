"""Hand-over methods: what overlapping chunks come to, and how long a prefix has to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.chunk_buffer import ChunkBuffer
from ideomotor.control.chunk_handover import FIRST_DELAY_S, HANDOVERS, DelayEstimate, handover
from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk

HZ = 120.0


def chunk(starts_at: int, values: list[float], observed_at: float | None = None) -> ActionChunk:
    at = starts_at / HZ if observed_at is None else observed_at
    return ActionChunk(np.array(values, np.float32)[:, None], HZ, starts_at, at, at)


def commands(name: str, chunks: list[ActionChunk], ticks: range) -> list[float | None]:
    buffer = ChunkBuffer(HZ, HANDOVERS[name])
    for each in chunks:
        buffer.submit(each, 0)
    targets = [buffer.command(tick) for tick in ticks]
    return [None if target is None else float(target[0]) for target in targets]


OVERLAPPING = [chunk(0, [0, 1, 2, 3]), chunk(2, [10, 11, 12])]


def test_the_newest_chunk_is_executed_as_it_is():
    for name in ("rtc", "naive", "sync"):
        assert commands(name, OVERLAPPING, range(6)) == [0, 1, 10, 11, 12, None]


def test_an_ensemble_weighs_the_oldest_most():
    old, new = 1 / (1 + np.exp(-0.01)), np.exp(-0.01) / (1 + np.exp(-0.01))
    expected = [0, 1, 2 * old + 10 * new, 3 * old + 11 * new, 12]
    assert commands("ensemble", OVERLAPPING, range(5)) == pytest.approx(expected)
    assert commands("ensemble", OVERLAPPING, range(5, 6)) == [None]


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=6), st.integers(0, 5))
def test_an_ensemble_of_one_mind_says_what_each_says(values, copies):
    chunks = [chunk(0, values, observed_at=float(i)) for i in range(copies + 1)]
    expected = [float(np.float32(value)) for value in values]
    assert commands("ensemble", chunks, range(len(values))) == pytest.approx(expected)


chunks = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(0, 25), st.integers(0, 30)), max_size=8
)


@given(chunks, st.integers(0, 20), st.integers(0, 40))
def test_committed_is_what_commands_will_be(arrivals, tick, n):
    """Against the plain definition: the command of each tick if nothing else arrived, else the one before."""
    buffer = ChunkBuffer(HZ)
    for i, (starts_at, length, available_at, observed_at) in enumerate(arrivals):
        values = [100.0 * i + j for j in range(length)]
        buffer.submit(chunk(starts_at, values, observed_at), available_at)
    got = buffer.committed_prefix(tick, n, np.array([-1.0]))
    known = ChunkBuffer(HZ)
    for i, (starts_at, length, available_at, observed_at) in enumerate(arrivals):
        if available_at <= tick:
            known.submit(chunk(starts_at, [100.0 * i + j for j in range(length)], observed_at), 0)
    expected, last = [], -1.0
    for ahead in range(tick, tick + n):
        target = known.command(ahead)
        last = last if target is None else float(target[0])
        expected.append(last)
    assert got[:, 0].tolist() == expected


def test_a_prefix_lasts_as_long_as_the_longest_recent_delay():
    delay = DelayEstimate(HZ, max_ticks=30)
    assert delay.ticks() == round(FIRST_DELAY_S * HZ) + 1
    for seconds in (0.02, 0.05, 0.03):
        delay.add(seconds)
    assert delay.ticks() == 7  # 0.05 s are 6 ticks, and the tick under way
    for _ in range(16):
        delay.add(0.02)
    assert delay.ticks() == 4  # old measurements are forgotten
    delay.add(5.0)
    assert delay.ticks() == 30  # what the decoder can be given


def test_an_unknown_method_is_named_with_the_valid_ones():
    assert handover("rtc").uses_prefix and not handover("naive").uses_prefix
    with pytest.raises(UserError, match="did you mean 'ensemble'"):
        handover("ensembel")
