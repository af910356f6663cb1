"""Shuffling without a table: which row is drawn at a position is computed, so memory does not grow.

Each epoch is a permutation of all rows by a Feistel network with cycle walking (Black and Rogaway,
"Ciphers with arbitrary finite domains", 2002), keyed by the seed and the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROUNDS = 4
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64


def shuffled(positions: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns the rows in [0, size) at these positions of an endless shuffled sequence.

    Positions k * size to (k + 1) * size - 1 hold every row once.
    """
    epochs, offsets = np.divmod(np.asarray(positions, np.int64), size)
    rows = np.empty_like(offsets)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        keys = np.random.SeedSequence([seed, int(epoch)]).generate_state(ROUNDS, np.uint64)
        rows[inside] = _permute(offsets[inside].astype(np.uint64), size, keys)
    return rows


def mixed(
    step: int, count: int, sizes: Sequence[int], shares: Sequence[float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which dataset (count,) and which of its rows (count,) each window of a step comes from.

    Datasets get their shares of the step, rounded up or down by chance (systematic sampling), and within
    each one rows come in shuffled order. No row comes twice in a step unless a dataset has fewer rows than
    its part of the step.

    Args:
        shares: of the datasets, above 0, of sum 1.
    """
    rng = np.random.default_rng([seed, step])
    points = (np.arange(count) + rng.random()) / count
    which = np.searchsorted(np.cumsum(shares)[:-1], points, side="right")
    rows = np.empty(count, np.int64)
    for number, (size, share) in enumerate(zip(sizes, shares, strict=True)):
        inside = which == number
        slots = int(share * count) + 1  # at most so many in a step; an epoch is a whole number of steps
        epoch, turn = divmod(step, size // slots) if slots <= size else (0, step)
        positions = epoch * size + turn * slots + np.arange(inside.sum())
        rows[inside] = shuffled(positions, size, seed * 65_537 + number + 1)
    order = rng.permutation(count)
    return which[order], rows[order]


def _permute(values: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))  # bits
    values = _feistel(values, half, keys)
    outside = values >= size
    while outside.any():
        values[outside] = _feistel(values[outside], half, keys)
        outside = values >= size
    return values.astype(np.int64)


def _feistel(values: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    mask = np.uint64((1 << int(half)) - 1)
    left, right = values >> half, values & mask
    for key in keys:
        mixed = right + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return (left << half) | right
