"""A scripted expert for PushT (`gym_pusht/PushT-v0`; Chi et al., arXiv 2303.04137).

It plans in a second copy of the physics: of many straight pushes against the T's outline it takes the one
after which the T's corners lie nearest to where they belong, goes around the T to where that push begins,
pushes, and looks again. Nothing moves there that is not pushed, so what was tried is what happens.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

TABLE = 512.0  # [pixels], a side
BAR, STEM = (
    (-60.0, 60.0, 0.0, 30.0),
    (-15.0, 15.0, 30.0, 120.0),
)  # x and y from, to, of the T in its own frame
RADIUS, GAP = 15.0, 6.0  # of the disc that pushes; that it keeps from the T on its way
STEP, SUBSTEPS = 0.01, 10  # [s] of the physics, and how many of them a command lasts
STIFFNESS, DAMPING = 100.0, 20.0  # of the disc's controller
# One side of the T's outline, mirrored for the other: from, to, and the normal that points out of it.
SIDES = (
    ((0.0, 0.0), (60.0, 0.0), (0.0, -1.0)),
    ((60.0, 0.0), (60.0, 30.0), (1.0, 0.0)),
    ((60.0, 30.0), (15.0, 30.0), (0.0, 1.0)),
    ((15.0, 30.0), (15.0, 120.0), (1.0, 0.0)),
    ((15.0, 120.0), (0.0, 120.0), (0.0, 1.0)),
)
CORNERS = np.array(
    [(-60, 0), (60, 0), (60, 30), (-60, 30), (-15, 30), (15, 30), (15, 120), (-15, 120)], float
)
SPACING = 15.0  # between places to push at [pixels]
ANGLES = (-0.5, 0.0, 0.5)  # of a push from the normal [rad]
SPEEDS, LONGEST = (12.0, 4.0), 12  # [pixels] and [steps] of a push
TRIED_WHOLE = 8  # of the pushes that look best
STEP_COST = 0.1  # [pixels] that the corners have to be nearer for a step to be worth it
CELL, AHEAD = (
    16.0,
    40.0,
)  # of the grid that ways are found on; how far ahead of the disc a command is [pixels]
RETREAT = 24.0  # [pixels]
THERE, OFF, STRIDE = 3.0, 8.0, 15.0  # [pixels]: near enough; too far to push; at least made in a step


@dataclass(frozen=True)
class Push:
    """From `start` (2,), where the disc does not touch the T, along `direction`, so far a step."""

    start: np.ndarray
    direction: np.ndarray
    speed: float
    steps: int

    def targets(self) -> Iterator[np.ndarray]:
        """The commands: the push, and back from the T."""
        for step in range(1, self.steps + 1):
            yield self.start + self.speed * step * self.direction
        end = self.start + (self.speed * self.steps - RETREAT) * self.direction
        yield from (end, end)


def expert(env: Any) -> Callable[[Any], np.ndarray]:
    """How to act in the environment: (2,) where the disc is to go [pixels]."""
    physics = Physics(type(env))
    commands = _commands(env, physics)

    def act(observation: Any) -> np.ndarray:
        del observation  # the truth is the environment's
        return np.clip(next(commands), 0.0, TABLE)

    return act


def points(env: Any) -> dict[str, tuple[float, float]]:
    """Where the picture shows the T and where it belongs: u, v in [0, 1]."""
    place = env.goal_pose[:2] / TABLE
    return {
        "target": (env.block.position.x / TABLE, env.block.position.y / TABLE),
        "place": (place[0], place[1]),
    }


class Physics:
    """A copy of the environment's, to try pushes in."""

    def __init__(self, kind: Callable[..., Any]) -> None:
        self._env = kind(obs_type="state")
        self._env.reset(seed=0)
        self._goal = corners(self._env.goal_pose[:2], self._env.goal_pose[2])

    def put(self, pose: tuple[np.ndarray, float], disc: np.ndarray) -> None:
        """The T and the disc, at rest."""
        block, agent = self._env.block, self._env.agent
        block.angle, block.position = pose[1], tuple(pose[0])
        block.velocity, block.angular_velocity = (0.0, 0.0), 0.0
        agent.position, agent.velocity = tuple(disc), (0.0, 0.0)
        self._env.space.reindex_shapes_for_body(block)

    def step(self, target: np.ndarray) -> float:
        """One command; returns how far the T's corners then are from where they belong [pixels]."""
        agent, space, x, y = self._env.agent, self._env.space, float(target[0]), float(target[1])
        for _ in range(SUBSTEPS):
            (px, py), (vx, vy) = agent.position, agent.velocity
            ax, ay = STIFFNESS * (x - px) - DAMPING * vx, STIFFNESS * (y - py) - DAMPING * vy
            agent.velocity = (vx + ax * STEP, vy + ay * STEP)
            space.step(STEP)
        return self.distance()

    def distance(self) -> float:
        block = self._env.block
        away = corners(np.array(block.position), block.angle) - self._goal
        return float(np.sqrt((away**2).sum(axis=1).mean()))

    def best(self, pose: tuple[np.ndarray, float], disc: np.ndarray) -> Push | None:
        """The push that leads furthest, its steps and those of the way to it counted; None: none helps."""
        self.put(pose, disc)
        now = self.distance()
        found: list[tuple[float, Push]] = []
        for start, direction in _beginnings(pose):
            way = STEP_COST * float(np.linalg.norm(start - disc)) / AHEAD * 2
            for speed in SPEEDS:
                self.put(pose, start)
                for steps in range(1, LONGEST + 1):
                    left = self.step(start + speed * steps * direction)
                    found.append((left + STEP_COST * steps + way, Push(start, direction, speed, steps)))
        best, least = None, now
        for _, push in heapq.nsmallest(TRIED_WHOLE, found, key=lambda tried: tried[0]):
            self.put(pose, push.start)
            left = [self.step(target) for target in push.targets()][-1]
            if left + 2 * STEP_COST < least:
                best, least = push, left
        return best


def _beginnings(pose: tuple[np.ndarray, float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(where the disc would stand, the direction in which it would push), all around the T."""
    turn = rotation(pose[1])
    for first, last, normal in SIDES:
        length = math.dist(first, last)
        count = max(1, round(length / SPACING))
        for k in range(count):
            share = (k + 0.5) / count
            for mirror in (-1.0, 1.0):
                flip = np.array([mirror, 1.0])
                place = (np.array(first) + share * (np.array(last) - np.array(first))) * flip
                outward = turn @ (np.array(normal) * flip)
                start = pose[0] + turn @ place + (RADIUS + GAP) * outward
                if not (20 < start[0] < TABLE - 20 and 20 < start[1] < TABLE - 20):
                    continue
                if clearance(start[None], pose)[0] < RADIUS + 1:
                    continue
                for angle in ANGLES:
                    yield start, rotation(angle) @ -outward


def _commands(env: Any, physics: Physics) -> Iterator[np.ndarray]:
    """Commands for ever; where no push helps, the disc stays."""
    while True:
        pose = (np.array(env.block.position), float(env.block.angle))
        disc = np.array(env.agent.position)
        push = physics.best(pose, disc)
        if push is None:
            yield disc
            continue
        for corner in way(disc, push.start, pose):
            yield from _going(env, corner)
        if np.linalg.norm(push.start - np.array(env.agent.position)) < OFF:
            yield from push.targets()


def _going(env: Any, corner: np.ndarray) -> Iterator[np.ndarray]:
    """Commands until the disc is there, or has had time enough: something may disturb it."""
    steps = 5 + int(2 * np.linalg.norm(corner - np.array(env.agent.position)) / STRIDE)
    for _ in range(steps):
        at = np.array(env.agent.position)
        away = corner - at
        far = float(np.linalg.norm(away))
        if far < THERE:
            return
        yield at + away * min(1.0, AHEAD / far)


def way(start: np.ndarray, end: np.ndarray, pose: tuple[np.ndarray, float]) -> list[np.ndarray]:
    """Corners of a way for the disc around the T, `end` the last of them (A* on a grid)."""
    if _free(start, end, pose):
        return [end]
    cells = int(TABLE / CELL)
    centres = (np.arange(cells) + 0.5) * CELL
    grid = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1)
    blocked = (clearance(grid.reshape(-1, 2), pose) < RADIUS + GAP / 2).reshape(cells, cells)
    blocked[[0, -1]], blocked[:, [0, -1]] = True, True  # the disc does not fit between them and the wall
    first, last = (_nearest(blocked, grid, place) for place in (start, end))
    came: dict[tuple[int, int], tuple[int, int] | None] = {first: None}
    costs = {first: 0.0}
    queue = [(0.0, first)]
    while queue:
        _, cell = heapq.heappop(queue)
        if cell == last:
            break
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                near = (cell[0] + dx, cell[1] + dy)
                cost = costs[cell] + math.hypot(dx, dy)
                if not (0 <= near[0] < cells and 0 <= near[1] < cells) or blocked[near]:
                    continue
                if cost < costs.get(near, math.inf):
                    costs[near], came[near] = cost, cell
                    heapq.heappush(queue, (cost + math.dist(near, last), near))
    path, cell = [end], last if last in came else None
    while cell is not None and cell != first:
        path.append(grid[cell])
        cell = came[cell]
    return _straightened([start, *reversed(path)], pose)


def _straightened(path: list[np.ndarray], pose: tuple[np.ndarray, float]) -> list[np.ndarray]:
    """Without the corners that can be cut."""
    kept, at = [], 0
    while at < len(path) - 1:
        free = [k for k in range(at + 1, len(path)) if _free(path[at], path[k], pose)]
        at = max([at + 1, *free])
        kept.append(path[at])
    return kept


def _free(start: np.ndarray, end: np.ndarray, pose: tuple[np.ndarray, float]) -> bool:
    along = np.linspace(0.0, 1.0, 2 + int(math.dist(start, end) / 4))[:, None]
    near = clearance(start + along * (end - start), pose)
    return bool((near[len(near) // 8 :] > RADIUS + GAP / 2).all())  # it may begin too near


def _nearest(blocked: np.ndarray, grid: np.ndarray, place: np.ndarray) -> tuple[int, int]:
    away = np.linalg.norm(grid - place, axis=-1) + 1e6 * blocked
    x, y = np.unravel_index(int(away.argmin()), away.shape)
    return int(x), int(y)


def clearance(places: np.ndarray, pose: tuple[np.ndarray, float]) -> np.ndarray:
    """(N,) distance of places (N, 2) from the T."""
    local = (places - pose[0]) @ rotation(pose[1])
    found = np.full(len(places), np.inf)
    for left, right, low, high in (BAR, STEM):
        over = np.maximum(np.maximum([left, low] - local, local - [right, high]), 0.0)
        found = np.minimum(found, np.linalg.norm(over, axis=1))
    return found


def corners(position: np.ndarray, angle: float) -> np.ndarray:
    """(8, 2) of a T whose bar's middle is at `position`."""
    return position + CORNERS @ rotation(angle).T


def rotation(angle: float) -> np.ndarray:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
