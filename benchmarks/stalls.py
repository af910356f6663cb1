"""What a host that takes the processors away costs a control loop, beside an empty loop.

    .venv/bin/python -P benchmarks/stalls.py [--work 1.0] [--seconds 10]

Every core is kept from running for some ms, all at once, about ten times a second, by a process of a higher
priority, as a host does that runs another machine. Meanwhile a loop with so much work [ms] in each tick and
an empty loop keep 120 Hz. Needs permission for SCHED_FIFO. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from multiprocessing.connection import Connection

import numpy as np

from ideomotor.control.runtime.loop import LoopRecord, run_loop
from ideomotor.control.runtime.realtime import PRIORITY, realtime

HZ = 120.0
STALLS_MS = (2.0, 5.0, 7.5, 8.0, 10.0)
EVERY_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description="stalls a control loop and an empty one")
    parser.add_argument("--work", type=float, default=1.0, help="of each tick [ms]")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each length of the stalls")
    arguments = parser.parse_args()
    rows = []
    print(f"{'stall [ms]':>10} {'Hz':>8} {'missed':>7} {'late':>6}   empty loop: {'missed':>7} {'late':>6}")
    for stall_ms in STALLS_MS:
        work, empty = measure(stall_ms / 1000, arguments.work / 1000, arguments.seconds)
        print(
            f"{stall_ms:10.1f} {work['hz']:8.2f} {work['missed']:7} {work['late']:6}"
            f"               {empty['missed']:7} {empty['late']:6}",
            flush=True,
        )
        rows.append({"stall_ms": stall_ms, "work_ms": arguments.work, "loop": work, "empty": empty})
    print(json.dumps({"rows": rows}))


def measure(stall_s: float, work_s: float, seconds: float) -> list[dict[str, float]]:
    """Figures of the loop with work and of the empty one."""
    context, pipes, processes = multiprocessing.get_context("spawn"), [], []
    jobs = [(loop, (work, seconds)) for work in (work_s, 0.0)]
    jobs += [(stall, (core, stall_s, seconds)) for core in sorted(os.sched_getaffinity(0))]
    for target, arguments in jobs:
        ours, theirs = context.Pipe()
        pipes.append(ours)
        processes.append(context.Process(target=target, args=(*arguments, theirs)))
        processes[-1].start()
    for pipe in pipes:
        pipe.recv()  # it is ready
    begin = time.monotonic() + 0.1
    for pipe in pipes:
        pipe.send(begin)
    figures = [pipe.recv() for pipe in pipes[:2]]
    for process in processes:
        process.join()
    return figures


def stall(core: int, stall_s: float, seconds: float, connection: Connection) -> None:
    """Keeps a core busy now and then; every process with the same arguments does so at the same moments."""
    os.sched_setaffinity(0, {core})
    rng = np.random.default_rng(0)
    with realtime(PRIORITY + 10):
        connection.send("ready")
        at = begin = connection.recv()
        while at < begin + seconds:
            time.sleep(max(at - time.monotonic(), 0.0))
            while time.monotonic() < at + stall_s:
                pass
            at += rng.uniform(0.5, 1.5) * EVERY_S


def loop(work_s: float, seconds: float, connection: Connection) -> None:
    """Keeps its rate and sends how well it did."""
    record = LoopRecord(HZ)

    def step(tick: int) -> bool:
        until = time.thread_time() + work_s
        while time.thread_time() < until:
            pass
        return tick + 1 < seconds * HZ

    with realtime() as granted:
        if not granted.fifo:
            print(f"warning: {granted.warning}", flush=True)
        connection.send("ready")
        time.sleep(max(connection.recv() - time.monotonic(), 0.0))
        run_loop(step, record)
    connection.send({"hz": round(record.achieved_hz, 2), "missed": record.missed, "late": record.late})


if __name__ == "__main__":
    main()
