"""Success and jerk of a policy behind a network: round trips of 0 to 200 ms with jitter and 2 % loss.

    .venv/bin/python -P benchmarks/network.py --out outputs/network [--episodes 50] [--tasks press,lift,…]

By the wall clock, as a launch: the simulated arm, its cameras and the two halves of the policy are processes
of their own, and both halves ask a server through benchmarks/faulty_proxy.py. All eight tasks with 50
episodes at four round trips are 1,600 episodes of about 15 s: seven hours on a quiet machine. Finished
episodes are kept in `episodes.jsonl`, and an interrupted run goes on. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.eval.stats.measures import rate, smoothness
from ideomotor.eval.suites import HELD_OUT_SEEDS
from ideomotor.launch.bench.serving import server_process
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.runtime.policy_processes import policy_maker
from ideomotor.launch.runtime.simulated_session import drive
from ideomotor.launch.serving.remote_source import RemoteSource
from ideomotor.sim.sim_state_channel import SceneSpec
from ideomotor.sim.tasks import TASKS

sys.path.insert(0, str(Path(__file__).parent))

ROUND_TRIPS_MS = (0, 50, 100, 200)
LOSS = 0.02  # of messages, each way
JITTER = 0.1  # standard deviation of each way's delay, as a share of it


def main() -> None:
    parser = argparse.ArgumentParser(description="a policy behind a network that fails")
    parser.add_argument("--episodes", type=int, default=50, help="of each task")
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated")
    parser.add_argument(
        "--round-trips", default=",".join(map(str, ROUND_TRIPS_MS)), help="[ms], comma-separated"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for finished episodes")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path, rows = arguments.out / "episodes.jsonl", list[dict[str, Any]]()
    if path.exists():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    done = {(row["round_trip_ms"], row["task"], row["seed"]) for row in rows}
    trips = [float(trip) for trip in arguments.round_trips.split(",")]
    with server_process("--port", "0", "--max-batch", "1") as (url, _), path.open("a") as file:
        for trip in trips:
            for task in arguments.tasks.split(","):
                for seed in range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + arguments.episodes):
                    if (trip, task, seed) not in done:
                        rows.append(episode(url, trip, task, seed))
                        print(json.dumps(rows[-1]), file=file, flush=True)
    result = {
        f"{trip:g} ms": summary([row for row in rows if row["round_trip_ms"] == trip]) for trip in trips
    }
    for name, found in result.items():
        print(name, found)
    print(json.dumps(result))


def episode(url: str, round_trip_ms: float, task: str, seed: int) -> dict[str, Any]:
    """One episode, as a row."""
    from faulty_proxy import Faults, FaultyProxy

    way_s = round_trip_ms / 2000
    robot = load_embodiment("so101")
    with FaultyProxy(url, Faults(way_s, JITTER * way_s, LOSS), seed).running() as address:
        source = chosen_policy(address, robot)
        assert isinstance(source, RemoteSource)
        ticks = round(TASKS[task].max_seconds * robot.control_hz)
        config = ControlConfig(max_ticks=ticks)
        run = drive(SceneSpec(task, seed), policy_maker(source, "so101"), config, timing=source.timing)
    report = run.outcome.report
    row: dict[str, Any] = {"round_trip_ms": round_trip_ms, "task": task, "seed": seed, "success": run.success}
    if report is None:
        return row | {"faults": run.outcome.faults}
    smooth = smoothness(report.commands, report.boundaries, robot.control_hz)
    ages = report.chunk_age_s
    return row | {
        "boundary_jerk": _finite(smooth.boundary_jerk),
        "interior_jerk": _finite(smooth.interior_jerk),
        "chunk_age_p50_s": float(np.median(ages)) if len(ages) else None,
        "holds": sum("stale" in reason for _, reason in report.faults),
        "seconds": report.ticks / robot.control_hz,
        "faults": run.outcome.faults,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all episodes at one round trip."""
    found = rate(row["success"] for row in rows)
    jerks = [row[name] for name in ("boundary_jerk", "interior_jerk") for row in rows if row.get(name)]
    middle = {
        name: float(np.median([row[name] for row in rows if row.get(name) is not None] or [np.nan]))
        for name in ("boundary_jerk", "interior_jerk", "chunk_age_p50_s")
    }
    return {
        "episodes": found.episodes,
        "successes": found.successes,
        "low": round(found.low, 3),
        "high": round(found.high, 3),
        **({name: round(value, 3) for name, value in middle.items()} if jerks else {}),
        "holds": sum(row.get("holds", 0) for row in rows),
    }


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


if __name__ == "__main__":
    main()
