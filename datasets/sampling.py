"""Shuffling without a table: which row is drawn at a position is computed, so memory does not grow.

Each epoch is a permutation of all rows by a Feistel network with cycle walking (Black and Rogaway,
"Ciphers with arbitrary finite domains", 2002), keyed by the seed and the epoch.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 4
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64


def shuffled(positions: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns the rows in [0, size) at these positions of an endless shuffled sequence.

    Positions k * size to (k + 1) * size - 1 hold every row once.
    """
    epochs, places = np.divmod(np.asarray(positions, np.int64), size)
    rows = np.empty_like(places)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        keys = np.random.SeedSequence([seed, int(epoch)]).generate_state(ROUNDS, np.uint64)
        rows[inside] = _permute(places[inside].astype(np.uint64), size, keys)
    return rows


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
