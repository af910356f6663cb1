"""Distances between line segments, and between boxes, for many pairs at once.

`segment_distance` clamps the closest points of two lines (C. Ericson, Real-Time Collision Detection, 2005,
section 5.1.9); `box_gap` takes the 15 axes that can separate two boxes (S. Gottschalk et al., OBBTree,
SIGGRAPH 1996).
"""

from __future__ import annotations

import numpy as np

PARALLEL = 1e-6  # squared sine below which two edges span no axis
NEXT, AFTER = [1, 2, 0], [2, 0, 1]


def segment_distance(
    one: np.ndarray, other: np.ndarray, between: np.ndarray, one_square: np.ndarray, other_square: np.ndarray
) -> np.ndarray:
    """Returns the distances (...) between segments p + s one and q + t other, s and t in [0, 1].

    Args:
        one, other: (3, ...), from start to end.
        between: (3, ...), p - q.
        one_square, other_square: squared lengths, at least 1e-12; they broadcast with (...).
    """
    b = _dot(one, other)
    c, f = _dot(one, between), _dot(other, between)
    s = (b * f - c * other_square) / np.maximum(one_square * other_square - b * b, 1e-18)
    s = np.minimum(np.maximum(s, 0.0), 1.0)
    t = np.minimum(np.maximum((b * s + f) / other_square, 0.0), 1.0)
    s = np.minimum(np.maximum((b * t - c) / one_square, 0.0), 1.0)
    gap = between + s * one - t * other
    return np.sqrt(_dot(gap, gap))


def box_gap(
    one: np.ndarray,
    half_one: np.ndarray,
    other: np.ndarray,
    half_other: np.ndarray,
    between: np.ndarray,
    enough: float = np.inf,
) -> np.ndarray:
    """Returns the widest gaps (K,) along the axes that can separate two boxes; negative if they overlap.

    Args:
        one, other: (3, 3, K) rotations, columns in the second place.
        half_one, half_other: (3, K) half extents.
        between: (3, K), from the centre of one to that of the other.
        enough: where the faces' axes, the first six, give as much, the edges are left out.
    """
    cosine = np.einsum("cik,cjk->ijk", one, other)  # (3, 3, K) between the edges
    size = np.abs(cosine)
    ahead, back = np.einsum("cik,ck->ik", one, between), np.einsum("cik,ck->ik", other, between)
    faces_one = np.abs(ahead) - half_one - (size * half_other).sum(1)
    faces_other = np.abs(back) - half_other - (size * half_one[:, None]).sum(0)
    gap = np.maximum(faces_one, faces_other).max(0)
    close = np.flatnonzero(gap < enough)
    if len(close):
        part = (array[..., close] for array in (cosine, size, ahead, half_one, half_other))
        gap[close] = np.maximum(gap[close], _edge_gap(*part))
    return gap


def _edge_gap(
    cosine: np.ndarray, size: np.ndarray, ahead: np.ndarray, half_one: np.ndarray, half_other: np.ndarray
) -> np.ndarray:
    """Returns the widest gaps (K,) along the cross products of the edges of two boxes."""
    offset = np.abs(ahead[AFTER][:, None] * cosine[NEXT] - ahead[NEXT][:, None] * cosine[AFTER])
    reach = half_one[NEXT][:, None] * size[AFTER] + half_one[AFTER][:, None] * size[NEXT]
    reach += half_other[NEXT] * size[:, AFTER] + half_other[AFTER] * size[:, NEXT]
    square = 1.0 - cosine * cosine  # of the length of the cross product of two edges
    edges = np.where(square > PARALLEL, (offset - reach) / np.sqrt(np.maximum(square, PARALLEL)), -np.inf)
    return edges.max((0, 1))


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    product = one * other
    return product[0] + product[1] + product[2]
