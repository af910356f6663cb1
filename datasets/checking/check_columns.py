"""What can be wrong with the rows of one episode, and between the rows of several.

`unusable` names what makes an episode worthless (and repair drop it), `out_of_step` what follows from the
place of a row and can be computed again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.datasets.lerobot import layout

Problem = dict[str, str]  # {"where", "what"}
LIMIT_TOLERANCE = 1e-4  # [rad or m]: float32 rounds the limits themselves
TIME_TOLERANCE_S = 1e-4  # LeRobot's
STATIC_SHARE = 1e-3  # of the dataset's range of a joint: less movement than this is none
STATIC_S = 0.5  # a shorter episode may be over before anything moves


def problem(where: str, what: str) -> Problem:
    """Returns a problem; a message that repeats its place is shortened."""
    return {"where": where, "what": what.removeprefix(f"{where}: ")}


def missing(columns: dict[str, np.ndarray], features: dict[str, Any]) -> list[str]:
    """Returns the features that ought to be columns of numbers or texts and are not."""
    return [name for name, f in features.items() if layout.is_array(f) and name not in columns]


def unusable(
    where: str, columns: dict[str, np.ndarray], features: dict[str, Any], robot: Embodiment | None
) -> Iterator[Problem]:
    """Yields columns of another width than their feature, values that are not finite, and commands out of
    the robot's joint limits."""
    for name, feature in features.items():
        if name not in columns or not layout.is_array(feature):
            continue
        values, width = columns[name], math.prod(feature["shape"])
        text = values.dtype == object
        if text != (feature["dtype"] == "string") or values[:1].size != width:
            got = "texts" if text else f"{values[:1].size} numbers"
            yield problem(f"{where}: {name}", f"{got} a row, expected {feature['dtype']} x {width}")
    for name, values in columns.items():
        if name in features and values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            yield problem(f"{where}: {name}", f"not finite at frame {row}")
    if robot is None:
        return
    joints = len(robot.joints)
    for name in (layout.ACTION, layout.HIGH_RATE):
        if name not in columns or columns[name].ndim != 2 or columns[name].shape[1] % joints:
            continue
        commands = columns[name].reshape(len(columns[name]), -1, joints)  # (T, K, A)
        outside = (commands < robot.lower - LIMIT_TOLERANCE) | (commands > robot.upper + LIMIT_TOLERANCE)
        for joint in np.flatnonzero(outside.any(axis=(0, 1))):
            frame, tick = np.argwhere(outside[..., joint])[0]
            spec = robot.joints[joint]
            value = f"{commands[frame, tick, joint]:.4f} {spec.unit} at frame {frame}"
            yield problem(f"{where}: {name}", f"{spec.name} {value}, limits {spec.lower} to {spec.upper}")


def out_of_step(
    where: str, columns: dict[str, np.ndarray], start: int, fps: float, tasks: int
) -> Iterator[Problem]:
    """Yields counters and times that are not those of an episode whose first row is `start`."""
    length = len(next(iter(columns.values())))
    frames = np.arange(length)
    for name, numbers in {"frame_index": frames, "index": frames + start}.items():
        if name in columns and not np.array_equal(columns[name], numbers):
            yield problem(f"{where}: {name}", f"expected {numbers[0]} to {numbers[-1]} in steps of 1")
    times = columns.get("timestamp")
    if times is not None:
        if times.shape != (length,) or times.dtype.kind != "f":
            yield problem(f"{where}: timestamp", f"{times.dtype} of shape {times.shape}, expected seconds")
        else:
            late = np.abs(times - frames / fps)
            if not late.max() <= TIME_TOLERANCE_S + 1e-6 * length:  # float32 seconds lose digits
                yield problem(f"{where}: timestamp", f"{late.max():.4f} s from frame_index / {fps}")
    if "task_index" in columns and not np.isin(columns["task_index"], np.arange(tasks)).all():
        yield problem(f"{where}: task_index", f"outside of the {tasks} tasks")


@dataclass
class Alike:
    """Collects what shows that episodes repeat each other or that nothing moves in them."""

    fps: float
    _seen: dict[bytes, int] = field(default_factory=dict[bytes, int])
    _spans: dict[int, tuple[np.ndarray, np.ndarray]] = field(
        default_factory=dict[int, tuple[np.ndarray, np.ndarray]]
    )

    def add(self, episode: int, columns: dict[str, np.ndarray]) -> int | None:
        """Takes an episode; returns an earlier one with the same measurements and commands, if any."""
        moving = [
            columns[name].reshape(len(columns[name]), -1)
            for name in (layout.ACTION, layout.STATE)
            if name in columns and columns[name].dtype.kind == "f"
        ]
        if moving and len(moving[0]) >= STATIC_S * self.fps:
            values = np.concatenate(moving, axis=1)
            self._spans[episode] = (values.min(axis=0), values.max(axis=0))
        names = [name for name, c in sorted(columns.items()) if c.dtype.kind == "f" and name != "timestamp"]
        if not names:
            return None
        digest = hashlib.sha256()
        for name in names:
            digest.update(f"{name} {columns[name].shape}".encode() + columns[name].tobytes())
        first = self._seen.setdefault(digest.digest(), episode)
        return None if first == episode else first

    def static(self) -> list[int]:
        """Returns the episodes in which no joint and no command moves, against the dataset's range."""
        by_width: dict[int, list[int]] = {}
        for episode, (lower, _) in self._spans.items():
            by_width.setdefault(len(lower), []).append(episode)
        found: list[int] = []
        for episodes in by_width.values():
            lower = np.stack([self._spans[episode][0] for episode in episodes])  # (E, A + D)
            upper = np.stack([self._spans[episode][1] for episode in episodes])
            least = STATIC_SHARE * (upper.max(axis=0) - lower.min(axis=0))
            resting = (upper - lower <= least).all(axis=1)
            found += [episode for episode, rests in zip(episodes, resting, strict=True) if rests]
        return sorted(found)
