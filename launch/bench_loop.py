"""`ideomotor bench loop`: does the control loop keep its 120 Hz on this machine, and could any loop?

A policy drives a simulated arm by the wall clock, all processes on this machine. Beside the control loop an
empty one runs in another process at the same priority, at the same time: what it is late by is the host's
own floor, which no program on this machine can do better than.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from ideomotor.control.board import BEATS, Board
from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.handover import DEFAULT, handover
from ideomotor.control.loop import LoopRecord, run_loop
from ideomotor.control.realtime import PRIORITY, realtime
from ideomotor.control.report import ControlConfig, ControlReport
from ideomotor.control.types import ActionChunk, RobotState
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.histogram import lateness_svg
from ideomotor.launch.loop_figures import figures, table

CHUNK_TICKS, CHUNK_EVERY = 96, 16  # as the bundled policy's
START_S = 60.0  # how long the floor's process may take to start


@dataclass(frozen=True)
class LoopOptions:
    """Measures how well the control loop keeps its rate, beside the floor that the machine sets."""

    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 20.0
    """how long"""

    load: Literal["policy", "none"] = "policy"
    """policy: it infers and cameras draw on this machine meanwhile; none: the control loop alone"""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; the bundled policy by default"""

    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = "lift"
    """what the policy does meanwhile"""

    handover: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """rtc, sync, naive or ensemble"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    priority: Annotated[int, tyro.conf.arg(metavar="N")] = PRIORITY
    """of SCHED_FIFO, 1 to 99; 0 runs without real-time scheduling"""

    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE.svg")] = None
    """write histograms of the lateness"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def loop(options: LoopOptions) -> int:
    """The command; 1 if a process died or the robot was stopped before its time."""
    output = Output(options.json)
    _check(options)
    embodiment = load_embodiment(options.robot)
    hz, ticks = float(embodiment.control_hz), round(options.seconds * embodiment.control_hz)
    folder = None if options.load == "none" else _policy_folder(options)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    floor = context.Process(target=floor_process, args=(hz, ticks, options.priority, theirs), daemon=True)
    floor.start()
    try:
        if not ours.poll(START_S):
            raise UserError(f"bench: the floor's process did not start within {START_S:.0f} s")
        ours.recv()
        if folder is None:
            report, faults = alone(embodiment, ticks, options.priority, lambda: ours.send("go")), []
        else:
            report, faults = beside_policy(options, folder, ticks, lambda: ours.send("go"))
        floor_us, floor_missed = np.frombuffer(ours.recv_bytes(), dtype=np.float64), ours.recv()
    finally:
        floor.terminate()
        floor.join()
    for fault in faults:
        output.text.print(f"fault: {fault}", markup=False)
    if report is None:
        return 1
    if report.warning:
        output.text.print(f"warning: {report.warning}", markup=False)
    result = figures(report, hz, floor_us, floor_missed)
    output.text.print(table(result, hz))
    if options.picture:
        title = f"{embodiment.name}, {hz:g} Hz, {report.ticks} ticks, load: {options.load}"
        series = {"control loop": report.lateness_us, "floor (empty loop beside it)": floor_us}
        write_whole(options.picture, lateness_svg(title, series, 0.5e6 / hz))
        output.text.print(f"picture: {options.picture}", markup=False)
    output.result(result)
    return 1 if faults else 0


def beside_policy(
    options: LoopOptions, folder: Path, ticks: int, start: Callable[[], None]
) -> tuple[ControlReport | None, list[str]]:
    """Runs the whole topology for `ticks`; calls `start` when the control loop has begun."""
    from ideomotor.launch.wallclock import checkpoint, drive
    from ideomotor.sim.shared_scene import SceneSpec

    started = False

    def on_poll(board: Board) -> None:
        nonlocal started
        if not started and board.beats[BEATS.index("control"), 0]:
            started = True
            start()

    config = ControlConfig(handover=options.handover, priority=options.priority, max_ticks=ticks)
    scene = SceneSpec(options.task, seed=1, robot=options.robot)
    make_policy = checkpoint(folder, options.robot)
    run = drive(scene, make_policy, config, finish_when_solved=False, on_poll=on_poll)
    if not started:
        raise UserError(f"bench: the control loop never began ({'; '.join(run.outcome.faults)})")
    if run.outcome.interrupted:
        raise KeyboardInterrupt
    return run.outcome.report, run.outcome.faults


def alone(
    embodiment: Embodiment, ticks: int, priority: int, start: Callable[[], None] = lambda: None
) -> ControlReport:
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
    commands = np.zeros((ticks, len(still)))

    def step(tick: int) -> bool:
        nonlocal position
        if tick % CHUNK_EVERY == 0:
            controller.submit(chunks[tick // CHUNK_EVERY])
        position = controller.step(tick, RobotState(tick / hz, position, still, still)).position
        commands[tick] = position
        return tick + 1 < ticks

    with realtime(priority) as granted:
        start()
        run_loop(step, record)
    return ControlReport(
        ticks=record.ticks,
        achieved_hz=record.achieved_hz,
        late=record.late,
        missed=record.missed,
        no_fresh_command=controller.interventions.get("no_command", 0),
        interventions=dict(controller.interventions),
        faults=[],
        stage="run",
        warning=granted.warning,
        fifo=granted.fifo,
        lateness_us=record.lateness_us(),
        busy_us=record.busy_us(),
        chunk_age_s=np.array([]),
        plan_age_s=np.array([]),
        commands=commands,
        boundaries=list(range(CHUNK_EVERY, ticks, CHUNK_EVERY)),
    )


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


def _policy_folder(options: LoopOptions) -> Path:
    """The checkpoint; refuses what the user got wrong before any process starts."""
    from ideomotor.launch.policy import policy_folder
    from ideomotor.sim.tasks import TASKS

    if options.task not in TASKS:
        raise unknown_name("task", options.task, TASKS)
    return policy_folder(options.policy)


def _check(options: LoopOptions) -> None:
    handover(options.handover)
    if not 0.1 <= options.seconds <= 3600:
        raise UserError(f"seconds: got {options.seconds}, expected 0.1 to 3600")
    if not 0 <= options.priority <= 99:
        raise UserError(f"priority: got {options.priority}, expected 0 to 99")
    if options.load == "none" and options.policy:
        raise UserError("policy: --policy and --load none exclude each other")
    if options.picture and options.picture.suffix != ".svg":
        raise UserError(f"picture: got {str(options.picture)!r}, expected a name that ends in .svg")
    if options.picture and not options.picture.absolute().parent.is_dir():
        raise UserError(f"picture: the folder of {str(options.picture)!r} does not exist")
