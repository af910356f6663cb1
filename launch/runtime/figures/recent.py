"""What a running robot did in the last second: its ticks, how punctual they were, and its cameras' pictures.

Reads the shared state only, and so is never in the control loop's way.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.shared_state import SharedState, text_of
from ideomotor.eval.seen_range import rms_jerk

WINDOW_S = 1.0  # that rates and lateness are over


@dataclass(frozen=True)
class CameraRate:
    """How a camera does."""

    name: str
    hz: float  # pictures a second
    age_s: float  # of the newest one; NaN before the first


class Recent:
    """Follows a running robot; call `take` many times a second.

    Attributes:
        ticks: records of the last second, the oldest first; the newest one stays however old it is.
        interventions: ticks in which the safety filter changed a command, by reason, since the beginning.
    """

    def __init__(self, shared: SharedState) -> None:
        self.ticks: deque[np.ndarray] = deque()
        self.interventions: Counter[str] = Counter()
        self._shared, self._chunk, self._chunks = shared, shared.chunk.new(), 0
        self._sure: deque[tuple[float, float]] = deque()  # (time [s], confidence) of chunks
        self._ticks, self._frames = Follower(shared.ticks), Follower(shared.frames)
        self._times: dict[str, deque[float]] = {name: deque() for name, *_ in shared.spec.cameras}

    def take(self, now: float) -> list[np.ndarray]:
        """Takes over what is new at time `now` [s]; the new ticks, the oldest first."""
        new = self._ticks.new()
        for record in new:
            self.ticks.append(record)
            self.interventions.update(filter(None, text_of(record["interventions"]).split(",")))
        while len(self.ticks) > 1 and now - self.ticks[0]["time"] > WINDOW_S:
            self.ticks.popleft()
        if self._shared.chunk.newest() > self._chunks and (number := self._shared.chunk.read(self._chunk)):
            self._chunks = number
            self._sure.append((now, float(self._chunk["confidence"])))
        while len(self._sure) > 1 and now - self._sure[0][0] > WINDOW_S:
            self._sure.popleft()
        for record in self._frames.new():
            for times, at in zip(self._times.values(), record["times"], strict=True):
                if at and (not times or at > times[-1]):
                    times.append(float(at))
        for times in self._times.values():
            while len(times) > 1 and now - times[0] > WINDOW_S:
                times.popleft()
        return new

    def hz(self) -> float:
        """Ticks a second; 0 where there are too few to tell."""
        span = float(self.ticks[-1]["time"] - self.ticks[0]["time"]) if self.ticks else 0.0
        return (len(self.ticks) - 1) / span if span > 0 else 0.0

    def late_us(self) -> np.ndarray:
        """(n,) [µs] that ticks began after their deadlines."""
        return np.array([record["late_us"] for record in self.ticks])

    def changed_share(self) -> float:
        """Share of the ticks whose command the safety filter changed."""
        return sum(bool(record["interventions"]) for record in self.ticks) / max(len(self.ticks), 1)

    def jerk(self, embodiment: Embodiment) -> float:
        """Root mean square of the joint's commands that jerks most, but a gripper's [rad/s^3]."""
        arm = [name not in embodiment.grippers for name in embodiment.joint_names]
        commands = np.array([record["command"] for record in self.ticks])[:, arm]
        return rms_jerk(commands, float(embodiment.control_hz))

    def confidence(self) -> float:
        """Mean of the chunks'; NaN where it is not reported."""
        return float(np.mean([value for _, value in self._sure])) if self._sure else float("nan")

    def cameras(self, now: float) -> list[CameraRate]:
        """Each camera, at time `now` [s]."""
        rates = []
        for name, times in self._times.items():
            hz = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
            rates.append(CameraRate(name, hz, now - times[-1] if times else float("nan")))
        return rates
