"""Forward kinematics of a robot's links, for many postures at once and fast enough for every tick."""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.geometry import WORLD, Geometry


class Kinematics:
    """Where the links of one robot are.

    A link's pose in its parent's frame is linear in (1, sin q, 1 - cos q, q): Rodrigues' formula
    R = I + sin(q) K + (1 - cos(q)) K² for a joint that turns, with K the cross-product matrix of its axis,
    and a translation by q axis for one that slides. So one product gives all of them.

    Attributes:
        names: of the frames, "world" first; `frames` follows their order.

    Args:
        embodiment: gives the order and the units of the joints.
        geometry: the links.
    """

    def __init__(self, embodiment: Embodiment, geometry: Geometry) -> None:
        links = geometry.links
        self.names = (WORLD, *(link.name for link in links))
        self._parents = [self.names.index(link.parent) for link in links]
        joints = {joint.name: (i, joint.unit) for i, joint in enumerate(embodiment.joints)}
        # A fixed link follows a made-up joint, the last one, that never leaves 0.
        self._count = len(joints)
        still = (self._count, "rad")
        self._joints = [joints[link.joint] if link.joint else still for link in links]
        self._offsets = [float(np.linalg.norm(link.position)) for link in links]
        self._travel = [  # of a link along its joint
            max(abs(embodiment.lower[i]), abs(embodiment.upper[i])) if link.joint and unit == "m" else 0.0
            for link, (i, unit) in zip(links, self._joints, strict=True)
        ]
        self._columns = np.array([column for column, _ in self._joints])
        self._basis = np.zeros((len(links), 4, 16))  # rows: of 1, sin q, 1 - cos q, q
        for basis, link, (_, unit) in zip(self._basis, links, self._joints, strict=True):
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rotation(link.quaternion), link.position
            motion = np.zeros((4, 4, 4))
            motion[0] = np.eye(4)
            axis = np.array(link.axis) / np.linalg.norm(link.axis)
            if unit == "rad":
                x, y, z = axis
                motion[1, :3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
                motion[2, :3, :3] = motion[1, :3, :3] @ motion[1, :3, :3]
            else:
                motion[3, :3, 3] = axis
            basis[:] = (pose @ motion).reshape(4, 16)

    def frames(self, positions: np.ndarray) -> np.ndarray:
        """Returns transform_link_to_base of every link, without its last row.

        Args:
            positions: (N, A) [rad or m].

        Returns:
            (3, N, F, 4): row of the transform, posture, frame, column. Reshaped to (3, N, 4 F) it maps
            points of all frames by one product.
        """
        count = len(positions)
        q = np.zeros((count, positions.shape[1] + 1))
        q[:, :-1] = positions
        q = q.T[self._columns]  # (L, N)
        features = np.empty((*q.shape, 4))
        features[:, :, 0] = 1.0
        features[:, :, 1] = np.sin(q)
        features[:, :, 2] = 1.0 - np.cos(q)
        features[:, :, 3] = q
        local = (features @ self._basis).reshape(len(q), count, 4, 4)
        poses = np.empty((len(q) + 1, count, 3, 4))
        poses[0] = np.eye(4)[:3]
        for i, parent in enumerate(self._parents):
            np.matmul(poses[parent], local[i], out=poses[i + 1])
        return np.ascontiguousarray(poses.transpose(2, 1, 0, 3))

    def weights(self, link: str, vector: tuple[float, ...]) -> np.ndarray:
        """Returns (4 F,), the column that maps reshaped `frames` to a homogeneous `vector` (4,) of a link."""
        column = np.zeros((len(self.names), 4))
        column[self.names.index(link)] = vector
        return column.ravel()

    def levers(self, link: str, other: str, radius: float) -> np.ndarray:
        """Returns (A,) [m/rad or 1]: how far a joint can move a point of `link` against `other`, at most.

        Args:
            link: whose joints, up to what it has in common with `other`, are looked at.
            other: another link, or "world".
            radius: of the point from the link's origin [m].
        """
        shared, k = {0}, self.names.index(other)
        while k:
            shared.add(k)
            k = self._parents[k - 1]
        levers = np.zeros(self._count + 1)  # with the made-up joint
        k, length = self.names.index(link), radius
        while k not in shared:
            column, unit = self._joints[k - 1]
            levers[column] = 1.0 if unit == "m" else length
            length += self._offsets[k - 1] + self._travel[k - 1]
            k = self._parents[k - 1]
        return levers[: self._count]


def rotation(quaternion: tuple[float, ...]) -> np.ndarray:
    """Returns the (3, 3) rotation matrix of a wxyz quaternion, normalised first."""
    w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
