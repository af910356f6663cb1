"""How far a posture is from what it must not touch: the workspace's walls, the table, the arm itself.

Distances between capsules are distances between segments less the radii, by clamping the closest points of
the two lines (C. Ericson, Real-Time Collision Detection, 2005, section 5.1.9).
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.geometry import WORLD, Capsule, Geometry, Link
from ideomotor.control.kinematics import Kinematics

REASONS = ("workspace", "table", "self_collision")
AXES = "xyz"


class Clearance:
    """The clearances of one robot's postures, beyond the margins in its file: at least 0 is allowed.

    Attributes:
        names: of the M constraints, for people.
        reasons: (M,) row of REASONS for each.
    """

    def __init__(self, embodiment: Embodiment, geometry: Geometry) -> None:
        self._kinematics = Kinematics(embodiment, geometry)
        columns, offsets, self.names, reasons = [], [], [], []
        tip = self._kinematics.weights(geometry.tip_link, geometry.tip_position)
        self._lower, self._upper = np.array(embodiment.workspace_lower), np.array(embodiment.workspace_upper)
        for side in ("lower", "upper"):
            self.names += [f"{geometry.tip_link}: {side} wall in {axis}" for axis in AXES]
        reasons += [0] * 6
        for link in _movable(geometry) if geometry.table_height is not None else ():
            margin = geometry.table_margin if link.table_margin is None else link.table_margin
            for capsule in link.capsules:
                for point in (capsule.start, capsule.end):
                    columns.append(self._kinematics.weights(link.name, point))
                    offsets.append((geometry.table_height or 0.0) + capsule.radius + margin)
                    self.names.append(f"{link.name}, table")
                    reasons.append(1)
        self._tip = tip  # (4 F,)
        self._table = np.reshape(columns, (-1, len(tip))).T.copy()  # (4 F, T)
        self._table_offsets = np.array(offsets)  # (T,)
        pairs = [
            (one, first, other, second)
            for one, other in geometry.apart
            for first in geometry.link(one).capsules
            for second in geometry.link(other).capsules
        ]
        weights = self._kinematics.weights
        ends = [
            [weights(one, first.start), weights(one, first.end), weights(other, second.start), weights(other, second.end)]
            for one, first, other, second in pairs
        ]  # fmt: skip
        starts, stops, others, other_stops = np.reshape(ends, (-1, 4, len(tip))).transpose(1, 2, 0)
        self._pairs = np.stack([stops - starts, other_stops - others, starts - others])[:, None]
        self._lengths = np.array(
            [[_square_length(first), _square_length(second)] for _, first, _, second in pairs]
        ).reshape(-1, 2).T  # (2, P) squared
        self._radii = np.array([a.radius + b.radius + geometry.apart_margin for _, a, _, b in pairs])
        self.names += [f"{one}, {other}" for one, _, other, _ in pairs]
        self.reasons = np.array(reasons + [2] * len(pairs))

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Returns (N, M) [m] for postures (N, A) [rad or m]."""
        n = len(positions)
        frames = self._kinematics.frames(positions).reshape(3, n, -1)
        tip = (frames @ self._tip).T
        clearance = np.empty((n, len(self.names)))
        np.subtract(tip, self._lower, out=clearance[:, :3])
        np.subtract(self._upper, tip, out=clearance[:, 3:6])
        table = 6 + len(self._table_offsets)
        np.subtract(frames[2] @ self._table, self._table_offsets, out=clearance[:, 6:table])
        if len(self._radii):
            # Nine small products: BLAS would share one large one among threads, which costs milliseconds.
            one, other, between = frames @ self._pairs  # (3, n, P) each
            distance = segment_distance(one, other, between, *self._lengths)
            np.subtract(distance, self._radii, out=clearance[:, table:])
        return clearance


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


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    product = one * other
    return product[0] + product[1] + product[2]


def _square_length(capsule: Capsule) -> float:
    return max(float(np.sum(np.subtract(capsule.end, capsule.start) ** 2)), 1e-12)


def _movable(geometry: Geometry) -> list[Link]:
    """Links that a joint moves, directly or by their parents."""
    fixed = {WORLD}
    movable = []
    for link in geometry.links:
        if link.joint is None and link.parent in fixed:
            fixed.add(link.name)
        else:
            movable.append(link)
    return movable
