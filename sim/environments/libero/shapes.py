"""Where things of a LIBERO scene are and how they can be gripped, from what can touch them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.sim.environments.libero.env import LiberoEnv
from ideomotor.sim.environments.libero.hand import DOWN, Pose, facing

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
WIDEST = 0.072  # what the fingers can take, some room left [m]
DEEPEST = 0.035  # that the grip site goes below a thing's top [m]
RIM_PART = 0.6  # of a bowl's height, above which its geoms are the rim
RIM_DEPTH = 0.015  # that it goes below the rim of a bowl or plate [m]
CORRIDOR = 0.08  # half the width of a way that has to be free [m]
FLOOR_ROOM = 0.012  # above what a thing stands on [m]
# The hand as boxes, from the grip site: middle and half sizes along its axes (x closing, y across, z ahead)
# [m].
PALM = (np.array([0.0, 0.0, -0.085]), np.array([0.105, 0.035, 0.045]))
FINGERS = (np.array([0.0, 0.0, -0.01]), np.array([0.062, 0.013, 0.035]))


@dataclass(frozen=True)
class Shape:
    """A thing, as the corners of the boxes around its geoms."""

    points: np.ndarray  # (N, 3) in the world [m]
    position: np.ndarray  # (3,) of its body [m]
    centers: np.ndarray  # (G, 3) of its geoms [m]

    @property
    def low(self) -> np.ndarray:
        return self.points.min(axis=0)

    @property
    def high(self) -> np.ndarray:
        return self.points.max(axis=0)

    @property
    def middle(self) -> np.ndarray:
        return (self.low + self.high) / 2

    def widths(self, angles: np.ndarray) -> np.ndarray:
        """(K,) extents along horizontal directions of these angles [m]."""
        directions = np.stack([np.cos(angles), np.sin(angles)])
        along = self.points[:, :2] @ directions
        return np.ptp(along, axis=0)


def shape_of(env: LiberoEnv, name: str) -> Shape:
    """The present shape of a thing by name."""
    thing = env.scene.facts["things"][name]
    centers = np.array([env.data.geom(geom).xpos for geom in thing["geoms"]])
    return Shape(geom_points(env, thing["geoms"]), env.data.body(thing["body"]).xpos.copy(), centers)


def geom_points(env: LiberoEnv, geoms: list[str]) -> np.ndarray:
    """(N, 3) corners of the boxes around geoms, in the world [m]."""
    points = []
    for name in geoms:
        index = env.model.geom(name).id
        box = env.model.geom_aabb[index]
        rotation = env.data.geom_xmat[index].reshape(3, 3)
        points.append((CORNERS * box[3:] + box[:3]) @ rotation.T + env.data.geom_xpos[index])
    return np.concatenate(points)


def others(env: LiberoEnv, name: str) -> np.ndarray:
    """(N, 3) points on all things but this one, dense enough for a finger to meet one [m]."""
    points = []
    for other, thing in env.scene.facts["things"].items():
        if other == name:
            continue
        for geom in thing["geoms"]:
            index = env.model.geom(geom).id
            box = env.model.geom_aabb[index]
            steps = [np.linspace(-1, 1, max(2, int(half / 0.012) + 1)) for half in box[3:]]
            grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
            rotation = env.data.geom_xmat[index].reshape(3, 3)
            points.append((grid * box[3:] + box[:3]) @ rotation.T + env.data.geom_xpos[index])
    return np.concatenate(points) if points else np.empty((0, 3))


def on_the_way(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Height of the highest of the points (N, 3) within `CORRIDOR` of a way, from above [m]; 0: none."""
    way = (end - start)[:2]
    along = (points[:, :2] - start[:2]) @ way / max(float(way @ way), 1e-9)
    nearest = start[:2] + np.clip(along, 0.0, 1.0)[:, None] * way
    near = np.linalg.norm(points[:, :2] - nearest, axis=1) < CORRIDOR
    return float(points[near, 2].max()) if near.any() else 0.0


def grips(env: LiberoEnv, name: str) -> list[Pose]:
    """Ways to grip a thing from above, the best first: around it where it is narrow enough, else at its
    rim."""
    shape = shape_of(env, name)
    angles = np.arange(0.0, np.pi, np.pi / 12)
    widths = shape.widths(angles)
    found: list[tuple[float, Pose]] = []
    around = others(env, name)
    now = env.data.site(env.scene.facts["robot"]["grip_site"]).xmat.reshape(3, 3)
    floor = shape.low[2] + FLOOR_ROOM
    for angle, width in zip(angles, widths, strict=True):
        closing = np.array([np.cos(angle), np.sin(angle), 0.0])
        if width <= WIDEST:
            top = shape.high[2]
            height = max(floor, shape.middle[2], top - DEEPEST)
            spots = [(np.array([*shape.middle[:2], height]), 10.0 * width)]
        elif widths.min() <= WIDEST:
            continue
        else:
            spots = [(spot, 0.3) for spot in _rim(shape, closing)]
        for spot, cost in spots:
            pose = Pose(spot, facing(DOWN, closing))
            turn = min(_angle(pose.rotation, now), _angle(pose.rotation * [-1.0, -1.0, 1.0], now))
            blocked = hits(pose, around)
            found.append((cost + 0.25 * turn + 0.5 * min(blocked, 20), pose))
    found.sort(key=lambda item: item[0])
    return [pose for _, pose in found]


def hits(pose: Pose, points: np.ndarray) -> int:
    """How many of the points (N, 3) are inside the open hand at a pose."""
    there = (points - pose.position) @ pose.rotation
    inside = np.zeros(len(points), bool)
    for middle, half in (PALM, FINGERS):
        inside |= (np.abs(there - middle) < half).all(axis=1)
    return int(inside.sum())


def _rim(shape: Shape, closing: np.ndarray) -> list[np.ndarray]:
    """Both places where a rim crosses the line through a round thing's middle along `closing`."""
    upper = shape.centers[:, 2] > shape.low[2] + RIM_PART * (shape.high[2] - shape.low[2])
    wall = shape.centers[upper] - shape.middle
    radius = float(np.median(np.linalg.norm(wall[:, :2], axis=1)))
    height = max(shape.low[2] + FLOOR_ROOM, shape.high[2] - RIM_DEPTH)
    return [np.array([*(shape.middle[:2] + side * radius * closing[:2]), height]) for side in (1.0, -1.0)]


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.arccos(np.clip((float(np.trace(first.T @ second)) - 1.0) / 2.0, -1.0, 1.0)))
