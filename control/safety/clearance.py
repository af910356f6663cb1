"""How far a posture is from what it must not touch: the workspace's walls, the table, the arm itself.

Links are boxes. Two of them are looked at in two steps, each of which gives a distance that the true one is
never below:

1. the distance between the capsules around them, by clamping the closest points of two lines
   (C. Ericson, Real-Time Collision Detection, 2005, section 5.1.9): quick, and enough where they are apart;
2. for the few pairs that this leaves in doubt, the widest gap along the 15 axes that separate two boxes if
   anything does (S. Gottschalk et al., OBBTree, SIGGRAPH 1996): positive exactly if they do not touch.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.geometry import WORLD, Box, Geometry, Link
from ideomotor.control.safety.box_distance import box_gap, segment_distance
from ideomotor.control.safety.kinematics import Kinematics, rotation

REASONS = ("workspace", "table", "self_collision")
BELIEVED = 1e-3  # [m]: where the quick look at two boxes says at least this much, it is believed

Pair = tuple[tuple[Link, Box], tuple[Link, Box]]


class Clearance:
    """The clearances of one robot's postures, beyond the margins in its file: at least 0 is allowed.

    Attributes:
        names: of the M constraints, for people.
        reasons: (M,) row of REASONS for each.
        reach: (M, A) [m/rad or 1], by how much each can change at most for what a joint moves.
    """

    def __init__(self, embodiment: Embodiment, geometry: Geometry) -> None:
        kinematics = self._kinematics = Kinematics(embodiment, geometry)
        usual = (embodiment.workspace_lower, embodiment.workspace_upper)
        self._walls = np.array([tip.walls or usual for tip in geometry.tips])  # (K, 2, 3)
        tips = [kinematics.weights(tip.link, (*tip.position, 1.0)) for tip in geometry.tips]
        self._tips = np.stack(tips, axis=1)  # (4 F, K)
        rest = kinematics.frames(embodiment.home_position[None])[:, 0]  # (3, F, 4)
        bases = rest[:, [kinematics.names.index(tip.base) for tip in geometry.tips]].swapaxes(0, 1)
        self._bases = bases  # (K, 3, 4), of links that nothing moves
        self.names = [
            f"{tip.link}, {side} wall in {axis}"
            for tip in geometry.tips
            for side in ("lower", "upper")
            for axis in "xyz"
        ]
        reach = []
        for tip in geometry.tips:
            reach += [kinematics.levers(tip.link, WORLD, float(np.linalg.norm(tip.position)))] * 6
        self._wall_count = len(reach)

        low = [(link, box) for link in _movable(geometry) for box in link.boxes]
        low = low if geometry.table_height is not None else []
        lines = [
            (*_edges(kinematics, link, box), kinematics.weights(link.name, (*box.position, 1.0)))
            for link, box in low
        ]
        self._heights = np.reshape(lines, (-1, 4, len(self._tips))).transpose(1, 2, 0).copy()  # (4, 4 F, T)
        self._low = np.array(
            [(geometry.table_height or 0.0) + _table_margin(geometry, link) for link, _ in low]
        )
        self.names += [f"{link.name}, table" for link, _ in low]
        reach += [kinematics.levers(link.name, WORLD, _radius(box)) for link, box in low]

        pairs = [
            ((one, first), (other, second))
            for one, other in ((geometry.link(a), geometry.link(b)) for a, b in geometry.apart)
            for first in one.boxes
            for second in other.boxes
        ]
        self._apart_margin = geometry.apart_margin
        self._capsules = _Capsules(kinematics, pairs, geometry.apart_margin)
        self._boxes = _Boxes(kinematics, pairs)
        self.names += [f"{one.name}, {other.name}" for (one, _), (other, _) in pairs]
        reach += [
            kinematics.levers(one.name, other.name, _radius(first))
            + kinematics.levers(other.name, one.name, _radius(second))
            for (one, first), (other, second) in pairs
        ]
        self.reasons = np.repeat([0, 1, 2], [self._wall_count, len(low), len(pairs)])
        self.reach = np.array(reach)
        self._all = np.arange(len(self.names))

    def __call__(self, positions: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
        """Returns (N, M) [m] for postures (N, A) [rad or m], or (N, K) for K of the constraints.

        Args:
            positions: the postures.
            columns: (K,) rows of `names`, growing; None for all.
        """
        n, wall = len(positions), self._wall_count
        table = wall + len(self._low)
        frames = self._kinematics.frames(positions)  # (3, N, F, 4)
        flat = frames.reshape(3, n, -1)
        some = self._all if columns is None else columns
        walls, tables = np.searchsorted(some, (wall, table))
        clearance = np.empty((n, len(some)))
        if walls:
            tips = (flat @ self._tips).transpose(2, 1, 0) - self._bases[:, None, :, 3]  # (K, N, 3)
            tips = tips @ self._bases[:, :, :3]  # in each one's box's frame
            both = np.concatenate([tips - self._walls[:, :1], self._walls[:, 1:] - tips], axis=2)  # (K, N, 6)
            clearance[:, :walls] = both.swapaxes(0, 1).reshape(n, wall)[:, some[:walls]]
        if tables > walls:
            low = slice(None) if columns is None else some[walls:tables] - wall
            edges = flat[2] @ self._heights[:, :, low]  # (4, N, K), the last of them the centres
            clearance[:, walls:tables] = edges[3] - np.abs(edges[:3]).sum(0) - self._low[low]
        if tables < len(some):
            pairs = some[tables:] - table
            gaps = clearance[:, tables:]
            gaps[:] = self._capsules.gaps(flat, pairs)
            posture, pair = np.nonzero(gaps < BELIEVED)
            if len(pair):
                enough = BELIEVED + self._apart_margin
                exact = self._boxes.gaps(frames, posture, pairs[pair], enough) - self._apart_margin
                gaps[posture, pair] = np.maximum(gaps[posture, pair], exact)
        return clearance

    def enough(self, clearance: float) -> np.ndarray:
        """Returns (M,) [m]: what bounds the true clearances from below by this bounds ours by `clearance`.

        The widest gap along the 15 axes is at least the distance of two boxes divided by the root of 3: the
        axes are the normals of the faces of their Minkowski difference, those that meet in one of its corners
        lie within one octant, and of three directions there one is within that of any direction they span.
        """
        least = np.full(len(self.names), clearance)
        apart = self._apart_margin + clearance
        least[self.reasons == REASONS.index("self_collision")] += max((3**0.5 - 1) * apart, 0.0)
        return least


class _Capsules:
    """A capsule around each box, along its longest edge."""

    def __init__(self, kinematics: Kinematics, pairs: list[Pair], margin: float) -> None:
        ends, lengths, radii = [], [], []
        for pair in pairs:
            row = []
            for link, box in pair:
                start, end, radius = _capsule_around(box)
                row += [
                    kinematics.weights(link.name, (*start, 1.0)),
                    kinematics.weights(link.name, (*end, 1.0)),
                ]
                lengths.append(max(float(((end - start) ** 2).sum()), 1e-12))
                radii.append(radius)
            ends.append(row)
        starts, stops, others, other_stops = np.reshape(ends, (-1, 4, 4 * len(kinematics.names))).transpose(
            1, 2, 0
        )
        self._weights = np.stack([stops - starts, other_stops - others, starts - others])[:, None]
        self._lengths = np.reshape(lengths, (-1, 2)).T  # (2, P) [m²]
        self._radii = np.reshape(radii, (-1, 2)).sum(1) + margin

    def gaps(self, flat: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Returns (N, K) [m] for frames (3, N, 4 F) and K pairs."""
        weights, lengths, radii = self._weights, self._lengths, self._radii
        if len(pairs) < len(radii):
            weights, lengths, radii = weights[..., pairs], lengths[:, pairs], radii[pairs]
        # Nine small products: BLAS would share one large one among threads, which costs milliseconds.
        one, other, between = flat @ weights  # (3, N, K) each
        return segment_distance(one, other, between, *lengths) - radii


class _Boxes:
    """The boxes of the same pairs."""

    def __init__(self, kinematics: Kinematics, pairs: list[Pair]) -> None:
        sides = []
        for k in (0, 1):
            links = np.array([kinematics.names.index(pair[k][0].name) for pair in pairs], dtype=int)
            poses, halves = np.zeros((len(pairs), 4, 4)), np.zeros((3, len(pairs)))
            for i, pair in enumerate(pairs):
                box = pair[k][1]
                poses[i, :3, :3], poses[i, :3, 3], poses[i, 3, 3] = (
                    rotation(box.quaternion),
                    box.position,
                    1.0,
                )
                halves[:, i] = box.half
            sides.append((links, poses, halves))
        self._sides = sides

    def gaps(self, frames: np.ndarray, posture: np.ndarray, pair: np.ndarray, enough: float) -> np.ndarray:
        """Returns (K,) [m] for K pairs at postures of frames (3, N, F, 4); `enough` as for `box_gap`."""
        (one, half_one), (other, half_other) = (
            (
                (frames[:, posture, links[pair]].swapaxes(0, 1) @ poses[pair]).transpose(1, 2, 0),
                halves[:, pair],
            )
            for links, poses, halves in self._sides
        )  # poses (3, 4, K)
        return box_gap(one[:, :3], half_one, other[:, :3], half_other, other[:, 3] - one[:, 3], enough)


def _capsule_around(box: Box) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns start and end (3,) [m] and radius [m] of a capsule that contains a box."""
    half = np.array(box.half)
    long = int(half.argmax())
    across = float(np.linalg.norm(np.delete(half, long)))
    radius = (
        1.1 * across
    )  # a little more than the cross-section needs, so that it ends nearer to the box's ends
    end = rotation(box.quaternion)[:, long] * max(half[long] - np.sqrt(radius**2 - across**2), 0.0)
    if half[long] ** 2 + across**2 < radius**2:
        radius = float(np.linalg.norm(half))
    return np.array(box.position) - end, np.array(box.position) + end, radius


def _radius(box: Box) -> float:
    """Returns how far the capsule around a box reaches from its link's origin [m]."""
    start, end, radius = _capsule_around(box)
    return float(max(np.linalg.norm(start), np.linalg.norm(end))) + radius


def _edges(kinematics: Kinematics, link: Link, box: Box) -> list[np.ndarray]:
    """Columns that map frames to the box's half edges."""
    axes = rotation(box.quaternion) * box.half
    return [kinematics.weights(link.name, (*axis, 0.0)) for axis in axes.T]


def _table_margin(geometry: Geometry, link: Link) -> float:
    return geometry.table_margin if link.table_margin is None else link.table_margin


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
