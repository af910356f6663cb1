"""The chunk buffer: which chunk a tick's command comes from, whatever order chunks arrive in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.chunk_buffer import ChunkBuffer
from ideomotor.control.types import ActionChunk


def chunk(starts_at: int, length: int = 8, value: float | None = None) -> ActionChunk:
    """A chunk of one joint whose actions are `value`, by default the tick at which it starts."""
    actions = np.full((length, 1), starts_at if value is None else value, dtype=np.float32)
    return ActionChunk(actions, 120, starts_at, starts_at / 120, starts_at / 120)


def test_a_chunk_gives_each_tick_its_own_action() -> None:
    buffer = ChunkBuffer(120)
    buffer.submit(ActionChunk(np.arange(6, dtype=np.float32).reshape(3, 2), 120, 5, 0.0, 0.0), 0)
    given = [buffer.command(tick) for tick in range(4, 9)]
    assert given[0] is None and given[4] is None
    np.testing.assert_array_equal(np.array(given[1:4]), [[0, 1], [2, 3], [4, 5]])
    assert given[1] is not None and given[1].dtype == np.float64


def test_a_late_chunk_enters_in_its_middle_when_it_becomes_available() -> None:
    buffer = ChunkBuffer(120)
    buffer.submit(chunk(0, 16), 0)
    buffer.submit(chunk(4, 16), available_at_tick=10)
    assert [float(buffer.command(tick)[0]) for tick in range(8, 12)] == [0, 0, 4, 4]  # type: ignore[index]


def test_an_older_observation_never_replaces_a_newer_one() -> None:
    buffer = ChunkBuffer(120)
    buffer.submit(chunk(8), 8)
    buffer.submit(chunk(4), 9)
    buffer.submit(chunk(8), 9)  # a duplicate
    assert buffer.command(10) == np.array([8.0])


def test_the_last_submitted_wins_among_equally_new() -> None:
    buffer = ChunkBuffer(120)
    buffer.submit(chunk(0, value=1.0), 0)
    buffer.submit(chunk(0, value=2.0), 0)
    assert buffer.command(3) == np.array([2.0])


def test_an_older_chunk_covers_until_a_newer_one_starts() -> None:
    buffer = ChunkBuffer(120)
    buffer.submit(chunk(0, 8), 0)
    buffer.submit(chunk(6, 8), 0)
    assert [float(buffer.command(tick)[0]) for tick in (5, 6)] == [0, 6]  # type: ignore[index]


def test_committed_is_what_is_known_now_padded_with_the_last() -> None:
    buffer, last = ChunkBuffer(120), np.array([-1.0])
    np.testing.assert_array_equal(buffer.committed_prefix(0, 2, last), [[-1], [-1]])
    buffer.submit(chunk(2, 3), 0)
    buffer.submit(chunk(3, 9), available_at_tick=2)  # not known yet
    np.testing.assert_array_equal(buffer.committed_prefix(1, 6, last).ravel(), [-1, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(buffer.committed_prefix(2, 3, last).ravel(), [2, 3, 3])
    assert buffer.committed_prefix(2, 0, last).shape == (0, 1)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(0, 60)), max_size=12))
def test_commands_are_those_committed_when_nothing_new_arrives(chunks: list[tuple[int, int, int]]) -> None:
    buffer = ChunkBuffer(120)
    for starts_at, length, available_at in chunks:
        buffer.submit(chunk(starts_at, length), min(available_at, 10))
    ahead = buffer.committed_prefix(10, 40, np.array([-1.0]))
    last = np.array([-1.0])
    for tick, expected in zip(range(10, 50), ahead, strict=True):
        command = buffer.command(tick)
        last = last if command is None else command
        assert last == expected


def test_chunks_that_ended_are_forgotten() -> None:
    buffer = ChunkBuffer(120)
    for tick in range(1000):
        buffer.submit(chunk(tick), tick)
        buffer.command(tick)
    assert len(buffer._chunks) <= 8


def test_a_chunk_of_another_rate_or_shape_is_refused() -> None:
    buffer = ChunkBuffer(120)
    with pytest.raises(ValueError, match="chunk.hz: got 30, expected 120"):
        buffer.submit(ActionChunk(np.zeros((4, 1), np.float32), 30, 0, 0.0, 0.0), 0)
    with pytest.raises(ValueError, match=r"chunk.actions: got shape \(4,\)"):
        buffer.submit(ActionChunk(np.zeros(4, np.float32), 120, 0, 0.0, 0.0), 0)


def test_between_ticks_the_target_is_on_a_smooth_curve_through_them() -> None:
    buffer, ticks = ChunkBuffer(120), np.arange(20.0)
    curve = 3.0 + 0.5 * ticks - 0.02 * ticks**2
    buffer.submit(ActionChunk(curve[:, None].astype(np.float32), 120, 0, 0.0, 0.0), 0)
    for tick in (3.25, 7.5, 11.9):  # a cubic through four points of a parabola is that parabola
        expected = 3.0 + 0.5 * tick - 0.02 * tick**2
        assert float(buffer.command(tick)[0]) == pytest.approx(expected, abs=1e-5)  # type: ignore[index]
    assert float(buffer.command(19.0)[0]) == pytest.approx(curve[19], abs=1e-5)  # type: ignore[index]
    assert float(buffer.command(19.5)[0]) == pytest.approx(curve[19], abs=1e-5)  # type: ignore[index]
    assert buffer.command(20.0) is None


def test_between_two_chunks_the_target_goes_from_one_to_the_other() -> None:
    buffer = ChunkBuffer(120)
    buffer.submit(chunk(0, 8, value=1.0), 0)
    buffer.submit(chunk(4, 8, value=2.0), 0)
    targets = [float(buffer.command(tick)[0]) for tick in (2.5, 3.0, 3.5, 4.0, 5.5)]  # type: ignore[index]
    assert targets[1] == 1.0 and targets[2] == 1.5 and targets[3] == 2.0 and targets[4] == 2.0
    assert 0.9 < targets[0] < 1.0  # as a curve swings back before it turns


def test_the_next_chunk_to_come_is_known() -> None:
    buffer = ChunkBuffer(120)
    assert buffer.next_start(0) is None
    for starts_at in (9, 5, 2):
        buffer.submit(chunk(starts_at), 0)
    assert buffer.next_start(2) == 5 and buffer.next_start(9) is None
