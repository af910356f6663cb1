"""How well a replay followed its recording: what was sent and measured, beside what was recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.seqlock import Follower
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.datasets.loading.trajectory import Trajectory


class PlayedTicks:
    """Ticks in which the recording was played, in the order in which they were."""

    def __init__(self) -> None:
        self._index: list[float] = []  # of the recorded command
        self._times: list[float] = []  # [s]
        self._sent: list[np.ndarray] = []
        self._before: list[np.ndarray] = []  # sent at the tick before
        self._measured: list[np.ndarray] = []

    def add(
        self, index: float, time: float, measured: np.ndarray, before: np.ndarray, sent: np.ndarray
    ) -> None:
        """Takes a tick.

        Args:
            index: of the recorded command, which may lie between two; those of the way there are left out.
            time: [s].
            measured: (A,) at its beginning, after the command before it.
            before, sent: (A,), the command before it and its own.
        """
        if index < 0:
            return
        self._index.append(index)
        self._times.append(time)
        self._measured.append(measured.copy())
        self._before.append(before.copy())
        self._sent.append(sent.copy())

    def figures(self, trajectory: Trajectory, embodiment: Embodiment, speed: float) -> dict[str, Any]:
        """Returns what a replay's JSON says about it, nulls where nothing was played.

        Errors are of joints that turn [rad]: `command_error_rad` of what was sent against what was recorded,
        `state_error_rad` of what was measured against what was measured then, `tracking_error_rad` of
        what was measured against what was sent a tick before. `added_delay_ms` is how far the replay was
        behind the recording's own time since its first command.
        """
        names = ("tracking_error_rad", "command_error_rad", "state_error_rad", "added_delay_ms")
        found: dict[str, Any] = dict.fromkeys(names)
        if not self._index:
            return found | {"played_seconds": 0.0}
        turns = np.array([joint.unit == "rad" for joint in embodiment.joints])
        index, times = np.array(self._index), np.array(self._times)
        sent, measured, before = (np.stack(v)[:, turns] for v in (self._sent, self._measured, self._before))
        hz = speed * embodiment.control_hz
        inside = index <= trajectory.ticks - 1
        recorded = _at(np.arange(trajectory.ticks), trajectory.commands[:, turns], index[inside])
        rows = (trajectory.state_ticks >= index.min()) & (trajectory.state_ticks <= index.max())
        order = np.argsort(index, kind="stable")
        then = _at(index[order], measured[order], trajectory.state_ticks[rows])
        found["tracking_error_rad"] = _percentiles(measured - before)
        found["command_error_rad"] = _percentiles(sent[inside] - recorded)
        found["state_error_rad"] = _percentiles(then - trajectory.states[rows][:, turns])
        found["added_delay_ms"] = _percentiles(
            1000 * ((times - times[0]) - (index - index[0]) / hz)[inside, None]
        )
        last = min(index.max() + speed, trajectory.ticks)
        return found | {"played_seconds": float(last - index.min()) / embodiment.control_hz}


class PlayedSession:
    """Follows the shared state of a running replay. Call `take` many times a second."""

    def __init__(self, shared: SharedState, ticks: PlayedTicks) -> None:
        self._shared, self._ticks = shared, ticks
        self._records, self._plans = Follower(shared.ticks), Follower(shared.plan)
        self._offsets: list[tuple[float, float]] = []  # (since [s], `ReplayPolicy.offset`)
        self._before: np.ndarray | None = None
        self.progress = 0.0

    def take(self) -> None:
        """Takes over what is new."""
        for plan in self._plans.new():
            self.progress = float(plan["progress"])
            self._offsets.append((float(plan["observed_at"]), float(plan["tokens"][0])))
        for record in self._records.new():
            command, at = record["command"].copy(), float(record["policy_time"])
            while len(self._offsets) > 1 and self._offsets[1][0] < record["time"]:
                self._offsets.pop(0)
            measured = record["position"]
            if np.isfinite(at) and self._offsets and self._before is not None and np.isfinite(measured).all():
                offset, time = self._offsets[0][1], float(record["time"])
                self._ticks.add(at + offset, time, measured, self._before, command)
            self._before = command


def _at(index: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(M, A): values (N, A) given at growing indices (N,), at others (M,) between them."""
    return np.stack([np.interp(wanted, index, column) for column in values.T], axis=1)


def _percentiles(values: np.ndarray) -> dict[str, float] | None:
    if not values.size:
        return None
    p50, p99, highest = np.percentile(np.abs(values), [50, 99, 100])
    return {"p50": float(p50), "p99": float(p99), "max": float(highest)}
