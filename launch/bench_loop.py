"""`ideomotor bench loop`: does the control loop keep its 120 Hz on this machine, and could any loop?

Beside the loop an empty one runs in another process at the same priority, at the same time: what it is
late by is the host's own floor, which no program on this machine can do better than.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.table import Table

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.loop import LatenessUs, LoopRecord, run_loop, summarise
from ideomotor.control.realtime import PRIORITY, realtime
from ideomotor.control.types import ActionChunk, RobotState
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.histogram import lateness_svg

CHUNK_TICKS, CHUNK_EVERY = 96, 16  # as the bundled policy's
START_S = 60.0  # how long the floor's process may take to start


@dataclass(frozen=True)
class LoopOptions:
    """Measures how well the control loop keeps its rate, beside the floor that the machine sets."""

    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 10.0
    """how long"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    priority: Annotated[int, tyro.conf.arg(metavar="N")] = PRIORITY
    """of SCHED_FIFO, 1 to 99; 0 runs without real-time scheduling"""

    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE.svg")] = None
    """write histograms of the lateness"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


@dataclass(frozen=True)
class Measured:
    """One loop's record and what it was for."""

    record: LoopRecord
    no_fresh_command_ticks: int
    warning: str  # what the machine refused
    fifo: bool


def loop(options: LoopOptions) -> int:
    """The command."""
    output = Output(options.json)
    _check(options)
    embodiment = load_embodiment(options.robot)
    hz, ticks = float(embodiment.control_hz), round(options.seconds * embodiment.control_hz)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    floor = context.Process(target=floor_process, args=(hz, ticks, options.priority, theirs), daemon=True)
    floor.start()
    try:
        if not ours.poll(START_S):
            raise UserError(f"bench: the floor's process did not start within {START_S:.0f} s")
        ours.recv()
        measured = measure(embodiment, ticks, options.priority, start=lambda: ours.send("go"))
        floor_us, floor_missed = np.frombuffer(ours.recv_bytes(), dtype=np.float64), ours.recv()
    finally:
        floor.terminate()
        floor.join()
    record = measured.record
    if measured.warning:
        output.text.print(f"warning: {measured.warning}", markup=False)
    figures = summary(measured, floor_us, floor_missed)
    output.text.print(_table(figures, hz))
    if options.picture:
        title = f"{embodiment.name}, {hz:g} Hz, {record.ticks} ticks"
        series = {"control loop": record.lateness_us(), "floor (empty loop beside it)": floor_us}
        write_whole(options.picture, lateness_svg(title, series, 0.5e6 / hz))
        output.text.print(f"picture: {options.picture}", markup=False)
    output.result(figures)
    return 0


def measure(embodiment: Embodiment, ticks: int, priority: int, start: Any = lambda: None) -> Measured:
    """Runs the control loop's own work, chunk buffer and safety filter on a moving stream, for `ticks`."""
    controller = Controller(embodiment)
    still = np.zeros(len(embodiment.joints))
    position = stream(embodiment, 0, 1)[0].astype(np.float64)
    controller.reset(RobotState(0.0, position, still, still))
    hz = float(embodiment.control_hz)
    chunks = [
        ActionChunk(stream(embodiment, tick, CHUNK_TICKS), hz, tick, tick / hz, tick / hz)
        for tick in range(0, ticks, CHUNK_EVERY)
    ]
    record = LoopRecord(hz, ticks)

    def step(tick: int) -> bool:
        nonlocal position
        if tick % CHUNK_EVERY == 0:
            controller.submit(chunks[tick // CHUNK_EVERY])
        position = controller.step(tick, RobotState(tick / hz, position, still, still)).position
        return tick + 1 < ticks

    with realtime(priority) as granted:
        start()
        run_loop(step, record)
    return Measured(record, controller.interventions.get("no_command", 0), granted.warning, granted.fifo)


def floor_process(hz: float, ticks: int, priority: int, connection: Connection) -> None:
    """An empty loop: says when it is ready, runs when told to, hands back its lateness."""
    record = LoopRecord(hz, ticks)
    with realtime(priority):
        connection.send("ready")
        connection.recv()
        run_loop(lambda tick: tick + 1 < ticks, record)
    connection.send_bytes(record.lateness_us().tobytes())
    connection.send(record.missed)


def stream(embodiment: Embodiment, tick: int, n: int) -> np.ndarray:
    """(n, A) float32: every joint swings around the middle of its range, within all limits."""
    frequency_hz = 0.4
    amplitude = np.minimum(
        0.25 * (embodiment.upper - embodiment.lower),
        0.2 * embodiment.max_velocity / (2 * math.pi * frequency_hz),
    )
    phase = 2 * math.pi * frequency_hz * np.arange(tick, tick + n) / embodiment.control_hz
    swing = amplitude * (1 - np.cos(phase))[:, None] / 2
    return ((embodiment.lower + embodiment.upper) / 2 + swing).astype(np.float32)


def summary(measured: Measured, floor_us: np.ndarray, floor_missed: int) -> dict[str, Any]:
    """The JSON object of `bench loop`, its keys as in DESIGN section 7 and some more."""
    record = measured.record
    return {
        "achieved_hz": record.achieved_hz,
        "ticks": record.ticks,
        "late_share": record.late / record.ticks,
        "missed_ticks": record.missed,
        "no_fresh_command_ticks": measured.no_fresh_command_ticks,
        "lateness_us": _figures(summarise(record.lateness_us())),
        "floor_us": _figures(summarise(floor_us)),
        "floor_missed_ticks": floor_missed,
        "floor_late_share": float((floor_us > 0.5e6 / record.hz).mean()),
        "busy_us": _figures(summarise(record.busy_us())),
        "fifo": measured.fifo,
    }


def _figures(lateness: LatenessUs) -> dict[str, float]:
    return {name: round(value, 1) for name, value in dataclasses.asdict(lateness).items()}


def _table(figures: dict[str, Any], hz: float) -> Table:
    how = "SCHED_FIFO" if figures["fifo"] else "ordinary scheduling"
    table = Table("", title=f"{figures['achieved_hz']:.2f} Hz achieved of {hz:g}, {how}", box=None)
    for heading in ("p50", "p99", "p99.9", "max [µs]", "late", "missed ticks"):
        table.add_column(heading, justify="right")
    rows = (
        ("control loop, lateness", "lateness_us", "late_share", "missed_ticks"),
        ("floor, an empty loop beside it", "floor_us", "floor_late_share", "floor_missed_ticks"),
        ("control loop, work in a tick", "busy_us", None, None),
    )
    for name, key, late, missed in rows:
        percentiles = (f"{figures[key][p]:.0f}" for p in ("p50", "p99", "p999", "max"))
        table.add_row(
            name, *percentiles, f"{figures[late]:.2%}" if late else "", str(figures[missed]) if missed else ""
        )
    table.caption = f"{figures['ticks']} ticks, {figures['no_fresh_command_ticks']} without a fresh command"
    return table


def _check(options: LoopOptions) -> None:
    if not 0.1 <= options.seconds <= 3600:
        raise UserError(f"seconds: got {options.seconds}, expected 0.1 to 3600")
    if not 0 <= options.priority <= 99:
        raise UserError(f"priority: got {options.priority}, expected 0 to 99")
    if options.picture and options.picture.suffix != ".svg":
        raise UserError(f"picture: got {str(options.picture)!r}, expected a name that ends in .svg")
    if options.picture and not options.picture.absolute().parent.is_dir():
        raise UserError(f"picture: the folder of {str(options.picture)!r} does not exist")
