"""What becomes of a leader's readings on their way to commands: lag, error, how often the filter steps in.

    .venv/bin/python -P benchmarks/leader_tracking.py

Experts solve three tasks; their motion is read by encoders of 4096 steps a turn at times that jitter by 15 %
of a period, and goes through the safety filter as measured, or through `control/teleop/tracker.py` with
several time constants. Ends with one JSON line.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.teleop import tracker
from ideomotor.control.types import Command
from ideomotor.sim.sim_state_channel import SceneSpec

ROBOT, HZ, STEP = load_embodiment("so101"), 120.0, 2 * np.pi / 4096
SCENES = (("lift", 1), ("place", 2), ("stack", 3))
SKIP = 20  # ticks at the beginning that are not counted
Target = Callable[[float, np.ndarray, float], np.ndarray]  # (time of a reading, reading, now): target


def motion(task: str, seed: int) -> np.ndarray:
    """(n, A) of an expert, one row a tick, until the task is solved."""
    world, rows = SceneSpec(task, seed).world(), []
    for tick, target in enumerate(world.expert()):
        world.step(Command(tick, target))
        rows.append(target.copy())
        if world.success:
            break
    return np.array(rows)


def as_measured() -> Target:
    return lambda time, reading, now: reading


def tracked(time_s: float, ahead: bool = True) -> Callable[[], Target]:
    def make() -> Target:
        known = tracker.Tracker(time_s)

        def target(time: float, reading: np.ndarray, now: float) -> np.ndarray:
            known.see(time, reading)
            return known.at(now if ahead else time)

        return target

    return make


def one_euro(least_hz: float, slope: float) -> Callable[[], Target]:
    """The 1 euro filter (Casiez et al., 2012)."""

    def make() -> Target:
        kept: dict[str, np.ndarray] = {}

        def share(cutoff: np.ndarray | float) -> np.ndarray | float:
            return 1 / (1 + HZ / (2 * np.pi * cutoff))

        def target(time: float, reading: np.ndarray, now: float) -> np.ndarray:
            if not kept:
                kept.update(x=reading, raw=reading, v=np.zeros_like(reading))
            kept["v"] = kept["v"] + share(1.5) * ((reading - kept["raw"]) * HZ - kept["v"])
            kept["raw"] = reading
            kept["x"] = kept["x"] + share(least_hz + slope * np.abs(kept["v"])) * (reading - kept["x"])
            return kept["x"]

        return target

    return make


def figures(true: np.ndarray, make: Callable[[], Target]) -> tuple[float, float, float]:
    """(lag [ticks], RMS error against where the hand is [mrad], share of ticks that the filter changed)."""
    rng = np.random.default_rng(0)
    n, joints = true.shape
    times = np.arange(n) + 0.3 + 0.15 * rng.standard_normal(n)
    hand = [np.interp(times, np.arange(n), true[:, joint]) for joint in range(joints)]
    readings = np.round(np.stack(hand, 1) / STEP) * STEP
    safety, target = SafetyFilter(ROBOT), make()
    safety.reset(true[0])
    commands, changed = [], 0
    for tick in range(n):
        newest = max(int(np.searchsorted(times, tick, side="right")) - 1, 0)
        wanted = target(times[newest] / HZ, readings[newest], tick / HZ)
        command, reasons = safety.filter(tick, wanted)
        commands.append(command)
        changed += bool(reasons)
    sent = np.array(commands)[SKIP:, :5]

    def away(lag: float) -> float:
        moved = np.arange(SKIP, n) - lag
        shifted = [np.interp(moved, np.arange(n), true[:, joint]) for joint in range(5)]
        return float(np.sqrt(np.mean((sent - np.stack(shifted, 1)) ** 2)))

    return min(np.arange(-1, 15, 0.25), key=away), 1000 * away(0.0), changed / n


def main() -> None:
    ways: dict[str, Callable[[], Target]] = {"as measured": as_measured}
    for time_s in (0.02, 0.03, tracker.TIME_S, 0.05, 0.07):
        ways[f"tracked, {1000 * time_s:.0f} ms"] = tracked(time_s)
    ways[f"tracked, {1000 * tracker.TIME_S:.0f} ms, not ahead"] = tracked(tracker.TIME_S, ahead=False)
    for least_hz, slope in ((2.0, 4.0), (8.0, 8.0)):
        ways[f"1 euro, {least_hz:g} Hz, {slope:g}"] = one_euro(least_hz, slope)
    motions = [motion(task, seed) for task, seed in SCENES]
    rows = []
    for name, make in ways.items():
        lag, error, changed = np.mean([figures(true, make) for true in motions], axis=0)
        rows.append({"way": name, "lag_ticks": lag, "rms_mrad": error, "changed": changed})
        print(f"{name:26s} lag {lag:5.2f} ticks, error {error:5.2f} mrad, changed {changed:.0%}")
    print(json.dumps({"scenes": SCENES, "rows": rows}))


if __name__ == "__main__":
    main()
