"""How soon a swinging arm comes to rest when one of its processes is killed, process by process.

    .venv/bin/python -P benchmarks/kill.py [--repeats 5]

The arm (tests/launch/runtime_fakes.py) moves at 1.2 to 1.9 rad/s when SIGKILL is sent. "reacts" is the time
to the first command that is no longer the policy's, "rests" to the first that moves less than 0.1 mrad in a
tick; the deceleration between them is what the joint's limits permit. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "launch"))


def main() -> None:
    parser = argparse.ArgumentParser(description="kills each process of a running robot")
    parser.add_argument("--repeats", type=int, default=5, help="times for each process")
    arguments = parser.parse_args()
    result = {}
    print(f"{'killed':12} {'reacts: median':>15} {'worst':>7} {'rests: median':>15} {'worst':>7} [ms]")
    for role in ("decoder", "interpreter", "cameras", "control", "supervisor"):
        times_ms = 1000 * np.array([kill(role) for _ in range(arguments.repeats)])  # (n, 2)
        (reacts, rests), (latest_reacts, latest_rests) = np.median(times_ms, axis=0), times_ms.max(axis=0)
        print(f"{role:12} {reacts:15.1f} {latest_reacts:7.1f} {rests:15.1f} {latest_rests:7.1f}", flush=True)
        result[role] = {
            "reacts_ms": {"p50": round(reacts, 1), "max": round(latest_reacts, 1)},
            "rests_ms": {"p50": round(rests, 1), "max": round(latest_rests, 1)},
        }
    print(json.dumps(result))


def kill(role: str) -> tuple[float, float]:
    """(time to react, time to rest) [s] of one run."""
    import runtime_fakes  # pyright: ignore[reportMissingImports] (found by the path above)

    with tempfile.TemporaryDirectory() as folder:
        running = runtime_fakes.Running(Path(folder))
        try:
            running.wait_until_fast()
            process = running.supervisor.pid if role == "supervisor" else running.pid(role)
            assert process is not None
            at = time.monotonic()
            os.kill(process, signal.SIGKILL)
            time.sleep(1.0)
            log = running.log()
            after = log[:, 0] > at
            reacts = log[np.flatnonzero(after & running.off_stream(log))[0], 0] - at
            steps = np.abs(np.diff(log[:, 3:], axis=0, prepend=np.nan)).max(axis=1)
            still = after & (steps < 1e-4) & (log[:, 0] >= at + reacts)
            return float(reacts), float(log[np.flatnonzero(still)[0], 0] - at)
        finally:
            running.close()


if __name__ == "__main__":
    main()
