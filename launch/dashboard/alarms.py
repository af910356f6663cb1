"""When somebody should look at a running robot: what it does, or sees, is not as it should be.

An alarm stops nothing; what must stop an arm does so in control (docs/safety.md). It is raised when a
condition has lasted, and goes by itself once the condition has been gone for a while.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ideomotor.eval.seen_range import PictureRange, SeenRange, load_seen_range

FADE_S = 1.0  # that a condition must be gone for
BEYOND = 1.25  # times as much as an evaluation saw at most is too much


@dataclass(frozen=True)
class AlarmLimits:
    """What is still as it should be. Where they come from: docs/dashboard.md."""

    following_rad: float = 0.15  # of any joint but a gripper, measured to commanded [rad or m]
    changed_share: float = 0.5  # of a second's ticks, whose command the safety filter changed
    late_us: float = 4166.0  # p99 of the lateness: half a tick
    temperature: float = 60.0  # [°C]
    jerk: float = math.inf  # root mean square of a second, of any joint but a gripper [rad/s^3]
    confidence: float = 0.0  # mean of a second's chunks
    pictures: Mapping[str, PictureRange] = field(default_factory=dict)  # {camera: what they are like}
    dark: float = 12.0  # mean of a picture's pixels, of 255
    moved_rad: float = 0.05  # that an arm moves while a picture stays the same: it is frozen
    lasts_s: float = 0.5  # that a condition must hold for
    frozen_s: float = 1.0


def limits_of(policy: object) -> AlarmLimits:
    """Those that a checkpoint's evaluation found, and the usual ones for what nobody measured.

    Args:
        policy: its folder, or whatever else drives.

    Raises:
        UserError: its file is damaged.
    """
    seen = load_seen_range(policy) if isinstance(policy, Path) else None
    return AlarmLimits() if seen is None else limits_of_range(seen)


def limits_of_range(seen: SeenRange) -> AlarmLimits:
    """Somewhat beyond what was seen."""
    return AlarmLimits(
        following_rad=max(AlarmLimits.following_rad, BEYOND * seen.following_rad),
        jerk=BEYOND * seen.jerk,
        confidence=seen.confidence or 0.0,
        pictures=seen.pictures,
    )


@dataclass(frozen=True)
class Snapshot:
    """A robot at one moment."""

    time: float  # [s]
    position: np.ndarray  # (A,) [rad or m], NaN where not measured
    command: np.ndarray  # (A,)
    temperature: np.ndarray  # (A,) [°C]
    changed_share: float  # of the last second's ticks
    late_us: float  # p99
    running: bool  # control executes commands, in no stop
    pictures: Mapping[str, np.ndarray]  # {camera: (H, W, 3) uint8}, the newest
    jerk: float = 0.0  # root mean square of the last second's commands [rad/s^3]
    confidence: float = math.nan  # mean of the last second's chunks; NaN where it is not reported


class AlarmWatch:
    """Call `see` several times a second.

    Attributes:
        active: {name: what is wrong, in words}.
        raised: how often each was raised.
    """

    def __init__(
        self, joints: tuple[str, ...], grippers: tuple[str, ...], limits: AlarmLimits | None = None
    ) -> None:
        self.active: dict[str, str] = {}
        self.raised: dict[str, int] = {}
        self._joints, self._limits = joints, limits or AlarmLimits()
        self._arm = np.array([name not in grippers for name in joints])
        self._since: dict[str, float] = {}  # [s], since a condition holds
        self._last: dict[str, float] = {}  # [s], when it held last
        # {camera: its picture, since when, and where the arm was then}
        self._still: dict[str, tuple[np.ndarray, float, np.ndarray]] = {}

    def see(self, seen: Snapshot) -> list[str]:
        """What is raised now, in words."""
        wrong = self._wrong(seen)
        new = []
        for name, (text, lasts_s) in wrong.items():
            self._last[name] = seen.time
            since = self._since.setdefault(name, seen.time)
            if seen.time - since >= lasts_s:
                if name not in self.active:
                    new.append(text)
                    self.raised[name] = self.raised.get(name, 0) + 1
                self.active[name] = text
        for name in [name for name in self._since if name not in wrong]:
            if name not in self.active or seen.time - self._last[name] >= FADE_S:
                del self._since[name]
                self.active.pop(name, None)
        return new

    def _wrong(self, seen: Snapshot) -> dict[str, tuple[str, float]]:
        """{name: (what is wrong, how long it must last)}"""
        limits, wrong = self._limits, {}
        away = np.where(self._arm & np.isfinite(seen.position), np.abs(seen.position - seen.command), 0.0)
        if seen.running and away.max(initial=0.0) > limits.following_rad:
            worst = int(away.argmax())
            wrong["following"] = f"{self._joints[worst]} is {away[worst]:.2f} rad from its command"
        if seen.running and seen.changed_share > limits.changed_share:
            wrong["safety"] = f"the safety filter changes {seen.changed_share:.0%} of the commands"
        if seen.running and seen.late_us > limits.late_us:
            wrong["late"] = f"control is late: p99 {seen.late_us / 1000:.1f} ms"
        if seen.running and seen.jerk > limits.jerk:
            wrong["jerk"] = f"commands jerk by {seen.jerk:.0f} rad/s³, more than in any evaluated episode"
        if seen.running and seen.confidence < limits.confidence:
            least = f"than in any solved episode ({limits.confidence:.0%})"
            wrong["confidence"] = f"the policy is less sure ({seen.confidence:.0%}) {least}"
        hot = np.nan_to_num(seen.temperature)
        if hot.max(initial=0.0) > limits.temperature:
            wrong["hot"] = f"{self._joints[int(hot.argmax())]} is {hot.max():.0f} °C warm"
        wrong = {name: (text, limits.lasts_s) for name, text in wrong.items()}
        for camera, picture in seen.pictures.items():
            small = picture[::8, ::8].astype(np.int16)
            if small.mean() < limits.dark:
                wrong[f"dark {camera}"] = f"camera {camera} sees nothing: it is dark", limits.lasts_s
            usual = limits.pictures.get(camera)
            if usual and usual.distance_of(picture) > BEYOND * usual.distance:
                wrong[f"unlike {camera}"] = f"camera {camera} sees what no evaluation showed", limits.lasts_s
            if self._frozen(camera, small, seen):
                wrong[f"frozen {camera}"] = f"camera {camera} shows the same picture while the arm moves", 0.0
        return wrong

    def _frozen(self, camera: str, small: np.ndarray, seen: Snapshot) -> bool:
        """Whether the picture has been the same for long, to the bit, while the arm moved."""
        before = self._still.get(camera)
        if before is None or before[0].shape != small.shape or (before[0] != small).any():
            self._still[camera] = small, seen.time, seen.position
            return False
        _, since, position = before
        moved = np.nan_to_num(np.abs(seen.position - position))[self._arm].max(initial=0.0)
        return seen.time - since >= self._limits.frozen_s and moved > self._limits.moved_rad
