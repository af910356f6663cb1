"""Where things of a LIBERO scene are and how they can be gripped, from what can touch them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.sim.environments.libero.env import LiberoEnv
from ideomotor.sim.environments.libero.hand import BASE, DOWN, Pose, facing

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
WIDEST = 0.072  # what the fingers can take, some room left [m]
DEEPEST = 0.035  # that the grip site goes below a thing's top [m]
SWEEP, WAY_OUT = (0.0, 0.05, 0.1), 0.08  # heights that have to be free; how far aside where they are not [m]
NEAR, FAR_COST = 0.7, 5.0  # that the arm reaches without leaning [m]; each metre beyond
KNOB_HEIGHT, KNOB_WIDTH = 0.012, 0.04  # [m]
END_ROOM = 0.02  # from where the fingers are to the end of a long thing [m]
RIM_PART = 0.6  # of the height of a bowl's highest geoms, above which they are the rim
RIM_DEPTH = 0.024  # that it goes below the rim of a bowl or plate [m]
CORRIDOR = 0.08  # half the width of a way that has to be free [m]
FLOOR_ROOM = 0.012  # above what a thing stands on [m]
# The hand as boxes, from the grip site: middle and half sizes along its axes (x closing, y across, z ahead)
# [m].
PALM = (np.array([0.0, 0.0, -0.075]), np.array([0.112, 0.042, 0.055]))
FINGERS = (np.array([0.0, 0.0, -0.018]), np.array([0.07, 0.014, 0.031]))
WRIST = (np.array([0.0, 0.0, -0.22]), np.array([0.075, 0.075, 0.095]))


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


def joint_points(env: LiberoEnv, joint: str) -> np.ndarray:
    """(N, 3) corners of the boxes around what can be touched of the body that a joint moves [m]."""
    body = env.model.joint(joint).bodyid[0]
    start, count = env.model.body_geomadr[body], env.model.body_geomnum[body]
    touching = range(start, start + count)
    names = [
        env.model.geom(i).name for i in touching if env.model.geom_conaffinity[i] or env.model.geom_contype[i]
    ]
    return geom_points(env, names)


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
    base = env.data.body(BASE).xpos
    floor = shape.low[2] + FLOOR_ROOM
    knob = _knob(env, name, shape) if widths.min() > WIDEST else None
    if knob is not None:
        shape, widths = knob, knob.widths(angles)
    for angle, width in zip(angles, widths, strict=True):
        closing = np.array([np.cos(angle), np.sin(angle), 0.0])
        if width <= WIDEST:
            height = max(floor, shape.middle[2], shape.high[2] - DEEPEST)
            along = np.array([-closing[1], closing[0], 0.0])
            spare = max(0.0, float(np.ptp(shape.points @ along)) / 2 - END_ROOM)
            spots = [
                (np.array([*shape.middle[:2], height]) + side * along, 10.0 * width + 3.0 * abs(side))
                for side in (0.0, spare / 2, -spare / 2, spare, -spare)
            ]
        elif widths.min() <= WIDEST or knob is not None:
            continue
        else:
            spots = [(spot, 0.3) for spot in _rim(shape, closing)]
        for spot, cost in spots:
            pose = Pose(spot, facing(DOWN, closing))
            turn = min(_angle(pose.rotation, now), _angle(pose.rotation * [-1.0, -1.0, 1.0], now))
            cost += FAR_COST * max(0.0, float(np.linalg.norm((spot - base)[:2])) - NEAR)
            found.append((cost + 0.25 * turn + 0.5 * min(blocked(pose, around), 20), pose))
    found.sort(key=lambda item: item[0])
    return [pose for _, pose in found]


def blocked(pose: Pose, points: np.ndarray) -> int:
    """How many of the points (N, 3) are in the way of the open hand that comes down to a pose."""
    return max(int(hits(pose.raised(height), points).sum()) for height in SWEEP)


def way_out(pose: Pose, points: np.ndarray) -> np.ndarray:
    """(3,) the level way from what is above the hand at a pose; zero where nothing is."""
    in_the_way = np.any([hits(pose.raised(height), points) for height in SWEEP[1:]], axis=0)
    if not in_the_way.any():
        return np.zeros(3)
    away = (pose.position - points[in_the_way].mean(axis=0)) * [1.0, 1.0, 0.0]
    return WAY_OUT * away / np.linalg.norm(away)


def hits(pose: Pose, points: np.ndarray) -> np.ndarray:
    """(N,) which of the points (N, 3) are inside the open hand at a pose."""
    there = (points - pose.position) @ pose.rotation
    inside = np.zeros(len(points), bool)
    for middle, half in (PALM, FINGERS, WRIST):
        inside |= (np.abs(there - middle) < half).all(axis=1)
    return inside


def _knob(env: LiberoEnv, name: str, shape: Shape) -> Shape | None:
    """What stands on top of a thing and is narrow enough to be gripped; None where nothing is."""
    geoms = env.scene.facts["things"][name]["geoms"]
    tops = [geom_points(env, [geom])[:, 2].max() for geom in geoms]
    high = [geom for geom, top in zip(geoms, tops, strict=True) if top > shape.high[2] - KNOB_HEIGHT]
    knob = Shape(geom_points(env, high), shape.position, shape.centers)
    return knob if max(np.ptp(knob.points[:, :2], axis=0)) < KNOB_WIDTH else None


def _rim(shape: Shape, closing: np.ndarray) -> list[np.ndarray]:
    """Both places where a rim crosses the line through a round thing's middle along `closing`."""
    heights = shape.centers[:, 2] - shape.low[2]
    upper = heights > RIM_PART * heights.max()
    wall = shape.centers[upper] - shape.middle
    radius = float(np.median(np.linalg.norm(wall[:, :2], axis=1)))
    height = max(shape.low[2] + FLOOR_ROOM, shape.high[2] - RIM_DEPTH)
    return [np.array([*(shape.middle[:2] + side * radius * closing[:2]), height]) for side in (1.0, -1.0)]


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.arccos(np.clip((float(np.trace(first.T @ second)) - 1.0) / 2.0, -1.0, 1.0)))
