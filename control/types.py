"""Border types: what crosses from one room to another, and nothing else.

Everything is SI units and radians, images are uint8 RGB (H, W, 3), and times are seconds of one
monotonic clock. In lockstep that clock is the simulation's: tick / control_hz, starting at 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Observation:
    """What a policy sees at one moment. A camera may be missing from `images`."""

    time: float  # [s]
    tick: int  # of the control rate, the one that this moment begins: where a chunk made from it starts
    images: Mapping[str, np.ndarray]  # {camera: (H, W, 3) uint8 RGB}
    state: np.ndarray  # (D,) float32 [rad or m], in the embodiment's joint order
    instruction: str
    past_commands: np.ndarray | None = None  # (P, A) [rad or m] sent in the ticks before; None: nobody knows


@dataclass(frozen=True)
class LatentPlan:
    """The interpreter's output: what to do, as tokens for the decoder and as text for people."""

    tokens: np.ndarray  # (K, d) float32
    observed_at: float  # [s], time of the observation it was made from
    text: str = ""  # readable plan, may be empty
    keypoints: Mapping[str, tuple[str, float, float]] = field(
        default_factory=dict
    )  # {name: (camera, u, v)}, u to the right and v down, both in [0, 1]
    progress: float = 0.0  # in [0, 1]


@dataclass(frozen=True)
class ActionChunk:
    """Absolute joint targets for consecutive ticks; `actions[i]` is meant for tick `starts_at + i`."""

    actions: np.ndarray  # (H, A) float32 [rad or m]
    hz: float
    starts_at: int  # tick
    observed_at: float  # [s]
    plan_observed_at: float  # [s]
    confidence: float = math.nan  # in [0, 1], that this will solve the task; NaN where nobody asked


@dataclass(frozen=True)
class RobotState:
    """What the robot measures."""

    time: float  # [s]
    position: np.ndarray  # (A,) float64 [rad or m]
    velocity: np.ndarray  # (A,) float64 [rad/s or m/s]
    effort: np.ndarray  # (A,) float64 [N m or N]


@dataclass(frozen=True)
class Command:
    """What the robot is commanded at one tick, after the safety filter."""

    tick: int
    position: np.ndarray  # (A,) float64 [rad or m]


class Robot(Protocol):
    """A robot: simulated, or servos on a bus. `write` takes one command a tick."""

    def connect(self) -> None: ...
    def read(self) -> RobotState: ...
    def write(self, command: Command) -> None: ...
    def hold(self) -> None: ...
    def disconnect(self) -> None: ...


class Camera(Protocol):
    """Newest frame of one camera, with the time at which it was taken."""

    def read(self) -> tuple[float, np.ndarray]: ...  # time [s], (H, W, 3) uint8 RGB


class Policy(Protocol):
    """A policy. `plan` is the slow half (about 10 Hz), `act` the fast one (20 to 30 Hz)."""

    def reset(self, seed: int) -> None:
        """Starts an episode: all of the policy's randomness follows from `seed`."""
        ...

    def plan(self, observation: Observation) -> LatentPlan: ...

    def act(
        self,
        observation: Observation,
        plan: LatentPlan,
        committed_prefix: np.ndarray,  # (d, A) [rad or m], commands already committed from this tick on
    ) -> ActionChunk:
        """The next chunk; its first d actions equal the prefix, and it starts at the observation's tick."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """A policy that looks back: it is shown frames between its chunks, too."""

    @property
    def watch_every_ticks(self) -> int:
        """Ticks between them; 0: it needs none."""
        ...

    def watch(self, observation: Observation) -> None: ...


class Clock(Protocol):
    """Time in seconds, simulated or real."""

    def now(self) -> float: ...
    def sleep_until(self, time: float) -> None: ...
