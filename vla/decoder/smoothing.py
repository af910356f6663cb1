"""Smooth chunks: what the flow leaves as noise between ticks must not reach the motors.

A sampled chunk carries an error of some milliradians that changes from tick to tick; its third difference
at 120 Hz would be many times an arm's jerk limit. Whittaker-Henderson smoothing (Whittaker, 1922) keeps
what the chunk says and removes what no arm could follow, in one matrix product.

What is kept small is the *fourth* difference: the jerk goes on from that of the commands before, and a
decoder's change of mind is spread over the ticks after a hand-over. With the third difference all of it is
put into the first ticks, where the jerk is then 2.8 times that inside chunks (docs/lab_notes.md).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

ORDER = 4  # of the differences that are kept small; the third is jerk


def smooth(chunk: np.ndarray, before: np.ndarray, strength: float) -> np.ndarray:
    """The sequence that minimises |x - chunk|² + strength**(4/3) |fourth difference|², continuing `before`.

    Args:
        chunk: (n, A) commands.
        before: (4, A) commands of the four ticks before, which stay as they are.
        strength: of smoothness; variations faster than hz / (2 pi) * strength**(-1/6) are removed.

    Returns:
        (n, A), float64.
    """
    keep, carry = _matrices(len(chunk), strength)
    return keep @ np.asarray(chunk, float) + carry @ np.asarray(before, float)


@lru_cache(maxsize=256)
def _matrices(ticks: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """(ticks, ticks) and (ticks, 4): the solution is linear in the chunk and in what came before."""
    differences = np.diff(np.eye(ticks + ORDER), n=ORDER, axis=0)
    fixed, free = differences[:, :ORDER], differences[:, ORDER:]
    weight = strength ** (2 * ORDER / 6)  # the same cut-off whatever the order
    inverse = np.linalg.inv(np.eye(ticks) + weight * free.T @ free)
    return inverse, -weight * inverse @ free.T @ fixed
