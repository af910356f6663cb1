"""What the whole safety filter costs per tick, beside the floor of a numpy copy and clip in the same run.

    .venv/bin/python -P benchmarks/safety_filter.py [--robot so101] [--ticks 4000]

`cpu` is the thread's own time, `wall` also has the stalls that other programs on the machine cause. Each
stream runs five times; `least` takes each tick's quickest run, which leaves out what comes and goes with the
machine's load, since the filter does the same work every time.
Four streams: "legal" passes untouched, "noisy" is a motion with 3 mrad of noise per tick (what an
unsmoothed policy gives; every tick is limited), "jumps" goes to a random corner of the range every
tenth of a second, "pressing" to a random posture every second, whatever is in the way there. The calls of
filter and floor alternate, so both see the same load of the machine. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.safety.filter import SafetyFilter

CLOCKS = {"cpu": time.thread_time_ns, "wall": time.perf_counter_ns}
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="measures the safety filter's time per tick")
    parser.add_argument("--robot", default="so101", help="an embodiment's name or file")
    parser.add_argument("--ticks", type=int, default=4000, help="ticks per stream")
    arguments = parser.parse_args()
    embodiment = load_embodiment(arguments.robot)
    rows = []
    print(
        f"{'stream':8} {'clock':11} {'filter p50':>11} {'p99':>8} {'floor p50':>11} {'p99':>8} [us]  limited"
    )
    for name, targets in streams(embodiment, arguments.ticks).items():
        for clock_name, clock in CLOCKS.items():
            runs = [measure(embodiment, targets, clock) for _ in range(RUNS)]
            filter_us, floor_us = (np.stack([run[k] for run in runs]) for k in (0, 1))
            limited = runs[0][2]
            for kind, pick in ((clock_name, np.ravel), (f"{clock_name}, least", lambda us: us.min(0))):
                values, floors = (np.percentile(pick(us), [50, 99]) for us in (filter_us, floor_us))
                columns = f"{values[0]:11.1f} {values[1]:8.1f} {floors[0]:11.1f} {floors[1]:8.1f}"
                print(f"{name:8} {kind:11} {columns}      {limited:.1%}")
                for percentile, value, floor in zip(("p50", "p99"), values, floors, strict=True):
                    rows.append(
                        {
                            "name": f"safety filter, {name} stream, {kind} time, {percentile}",
                            "value": round(float(value), 2),
                            "unit": "us",
                            "peer": "numpy copy and clip",
                            "peer_value": round(float(floor), 2),
                            "ratio": round(float(value / floor), 2),
                        }
                    )
    print(json.dumps({"rows": rows}))


def streams(embodiment: Embodiment, ticks: int) -> dict[str, np.ndarray]:
    """Returns {name: targets (ticks, A)}."""
    rng = np.random.default_rng(0)
    time_s = np.arange(ticks)[:, None] / embodiment.control_hz
    middle, half = (embodiment.upper + embodiment.lower) / 2, (embodiment.upper - embodiment.lower) / 2
    home = embodiment.home_position
    # A cosine around the home pose whose rates are at most 0.3 of each limit.
    reach = np.minimum(0.1 * half, np.minimum(embodiment.upper - home, home - embodiment.lower))
    limits = (embodiment.max_velocity, embodiment.max_acceleration, embodiment.max_jerk)
    omega = min(float((0.3 * limit / (0.1 * half)).min()) ** (1 / n) for n, limit in enumerate(limits, 1))
    motion = home + reach * np.cos(omega * time_s)
    postures = rng.uniform(embodiment.lower, embodiment.upper, (ticks // 120 + 1, len(middle)))
    corners = rng.choice([-1.0, 1.0], (ticks // 12 + 1, len(middle)))
    return {
        "legal": motion,
        "noisy": motion + 0.003 * rng.standard_normal(motion.shape),
        "jumps": middle + 1.1 * half * np.repeat(corners, 12, axis=0)[:ticks],
        "pressing": np.repeat(postures, 120, axis=0)[:ticks],
    }


def measure(
    embodiment: Embodiment, targets: np.ndarray, clock: Callable[[], int]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the times of filter and floor (ticks,) [us] and the share of ticks limited."""
    safety = SafetyFilter(embodiment)
    safety.reset(embodiment.home_position)
    filter_us, floor_us = np.empty(len(targets)), np.empty(len(targets))
    limited = 0
    for tick, target in enumerate(targets):
        start = clock()
        _, reasons = safety.filter(tick, target)
        middle = clock()
        np.clip(target.copy(), embodiment.lower, embodiment.upper)
        end = clock()
        filter_us[tick], floor_us[tick] = (middle - start) / 1e3, (end - middle) / 1e3
        limited += bool(reasons)
    return filter_us, floor_us, limited / len(targets)


if __name__ == "__main__":
    main()
