"""Half of the windows are led beside their demonstration and back to it, in all processes alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.train import action_batch
from ideomotor.train.action_batch import off_path_augmentation

PAST, HORIZON, JOINTS = 8, 110, 3
LONGEST_WAY_BACK = 72  # ticks


def offsets(lengths: np.ndarray, seed: int = 0, spread: float = 0.01) -> np.ndarray:
    """(B, PAST + HORIZON, JOINTS)"""
    return off_path_augmentation(np.random.default_rng(seed), lengths, PAST, HORIZON, JOINTS, spread)


@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=12), seed=st.integers(0, 2**32))
def test_after_the_way_back_nothing_is_displaced(lengths: list[int], seed: int) -> None:
    found = offsets(np.array(lengths), seed)
    assert found.shape == (len(lengths), PAST + HORIZON, JOINTS) and np.isfinite(found).all()
    for row, length in zip(found, lengths, strict=True):
        assert (row[PAST + length + LONGEST_WAY_BACK :] == 0).all()


@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=12), seed=st.integers(0, 2**32))
def test_past_and_committed_commands_drift_along_one_line(lengths: list[int], seed: int) -> None:
    for row, length in zip(offsets(np.array(lengths), seed), lengths, strict=True):
        steps = np.diff(row[: PAST + length + 1], axis=0)  # the way back starts where the prefix ends
        np.testing.assert_allclose(steps, np.broadcast_to(steps[:1], steps.shape), atol=1e-12)


def test_the_way_back_has_no_jumps_and_takes_a_fifth_of_a_second_at_least() -> None:
    lengths = np.random.default_rng(1).integers(0, 31, 400)
    found = offsets(lengths)
    displaced = found.any(axis=(1, 2))
    assert 0.4 < displaced.mean() < 0.6
    assert np.abs(np.diff(found, axis=1)).max() < 0.3 * np.abs(found).max()
    for row, length in zip(found[displaced], lengths[displaced], strict=True):
        assert row[: PAST + length + 23].all()
    at_once = found[displaced, 0]
    assert 0.008 < at_once.std() < 0.012


def test_without_a_spread_nothing_is_displaced() -> None:
    assert not offsets(np.array([0, 3, 30]), spread=0.0).any()


@pytest.mark.parametrize("world", [2, 4])
def test_each_process_has_its_rows_of_what_one_process_draws(
    monkeypatch: pytest.MonkeyPatch, world: int
) -> None:
    lengths = np.random.default_rng(2).integers(0, 31, 8)
    alone, parts = offsets(lengths), []
    for rank in range(world):
        each = len(lengths) // world
        mine = slice(rank * each, (rank + 1) * each)
        monkeypatch.setattr(action_batch, "processes", lambda: (0, world))
        monkeypatch.setattr(action_batch, "own_rows", lambda whole, mine=mine: mine)
        parts.append(offsets(lengths[mine]))
    assert np.array_equal(np.concatenate(parts), alone)
