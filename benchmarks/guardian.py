"""How soon the guardian's first command follows the death of control, as a distribution under load.

    .venv/bin/python -P benchmarks/guardian.py [--repeats 50] [--load 8] [--priority 40]

A process that commands an arm (tests/launch/runtime_fakes.py) 120 times a second is killed by SIGKILL while N
others keep every core busy; the time to the guardian's first command is the figure. With --priority 0 the
guardian has no place before them, as on a computer that permits no real-time scheduling. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from ideomotor.control.runtime.shared_state_spec import SharedStateSpec

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "launch"))


def main() -> None:
    parser = argparse.ArgumentParser(description="kills control again and again")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--load", type=int, default=8, help="processes that do nothing but work")
    parser.add_argument("--priority", type=int, default=40, help="of SCHED_FIFO; 0: none")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=work, daemon=True) for _ in range(arguments.load)]
    for process in busy:
        process.start()
    try:
        times_ms = 1000 * np.array([first_command(arguments.priority) for _ in range(arguments.repeats)])
    finally:
        for process in busy:
            process.kill()
    p50, p90, p99 = np.percentile(times_ms, [50, 90, 99])
    result = {
        "repeats": arguments.repeats,
        "load": arguments.load,
        "priority": arguments.priority,
        "loadavg": os.getloadavg()[0],
        "first_command_ms": {
            "p50": round(p50, 2),
            "p90": round(p90, 2),
            "p99": round(p99, 2),
            "max": round(float(times_ms.max()), 2),
        },
    }
    print(json.dumps(result))


def work() -> None:
    while True:
        sum(range(10_000))


def drive(spec: SharedStateSpec, folder: Path, priority: int) -> None:
    """What stands for control: sends the same command for ever, with the place that control has."""
    import runtime_fakes  # pyright: ignore[reportMissingImports] (found by the path above)

    from ideomotor.control.runtime.realtime import schedule
    from ideomotor.control.runtime.shared_state import attach
    from ideomotor.control.types import Command

    if priority:
        schedule(priority)
    shared, robot = attach(spec), runtime_fakes.LoggedRobot(folder)
    record, tick = shared.state.new(), 0
    record["stage"], record["last_commands"] = b"run", runtime_fakes.ROBOT.home_position
    while True:
        robot.write(Command(tick, runtime_fakes.ROBOT.home_position))
        record["tick"], record["time"] = tick, time.monotonic()
        shared.state.write(record)
        shared.heartbeat("control")
        tick += 1
        time.sleep(1 / 120)


def first_command(priority: int) -> float:
    """Time from SIGKILL to the guardian's first command [s]."""
    import runtime_fakes  # pyright: ignore[reportMissingImports] (found by the path above)

    from ideomotor.control.runtime import shared_state
    from ideomotor.control.runtime.guardian import guardian_job

    context = multiprocessing.get_context("spawn")
    shared = shared_state.create(runtime_fakes.ROBOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        robot = runtime_fakes.new_robot(folder)
        ours, theirs = context.Pipe(duplex=False)
        job = guardian_job(
            shared, runtime_fakes.ROBOT, partial(runtime_fakes.open_robot, folder), priority, theirs
        )
        guardian = context.Process(target=job.target, args=job.args)
        control = context.Process(target=drive, args=(shared.spec, folder, priority))
        try:
            guardian.start()
            control.start()
            for role in ("guardian", "control"):
                while not shared.heartbeats[shared_state.HEARTBEATS.index(role), 0]:
                    time.sleep(0.01)
            time.sleep(0.3)  # the guardian has found it
            assert control.pid is not None
            at = time.monotonic()
            os.kill(control.pid, signal.SIGKILL)
            assert ours.poll(60) and ours.recv() is True
            log = np.array(robot.rows[: int(robot.words[0])])
            return float(log[log[:, 1] == guardian.pid][0, 0] - at)
        finally:
            for process in (control, guardian):
                process.kill()
                process.join()
            shared.close()


if __name__ == "__main__":
    main()
