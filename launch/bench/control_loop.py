"""`ideomotor bench loop`: does the control loop keep its 120 Hz on this machine, and could any loop?

A policy drives a simulated arm by the wall clock, all processes on this machine. Beside the control loop an
empty one runs in another process at the same priority, at the same time: what it is late by is the host's
own floor, which no program on this machine can do better than.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from ideomotor.control.chunk_handover import DEFAULT, handover
from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.runtime.loop import LoopRecord, run_loop
from ideomotor.control.runtime.realtime import PRIORITY, realtime, touched
from ideomotor.control.runtime.report import ControlConfig, ControlReport
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState
from ideomotor.control.runtime.tick_profile import TickProfile
from ideomotor.control.types import ActionChunk, RobotState
from ideomotor.datasets.outputs import check_output
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.runtime.figures.floor import floor_beside, measured
from ideomotor.launch.runtime.figures.lateness_histogram import lateness_svg
from ideomotor.launch.runtime.figures.loop_figures import figures, table

CHUNK_TICKS, CHUNK_EVERY = 96, 16  # as the bundled policy's
FLOOR_S = 5.0  # how much longer the floor may take than the control loop
KEYS = (
    "achieved_hz",
    "ticks",
    "late_share",
    "missed_ticks",
    "no_fresh_command_ticks",
    "lateness_us",
    "floor_us",
)


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
    """The command; 1 if a process died or the loop ended before its time, with the reason in the JSON."""
    output = Output(options.json)
    _check(options)
    embodiment = load_embodiment(options.robot)
    hz, ticks = float(embodiment.control_hz), round(options.seconds * embodiment.control_hz)
    folder = None if options.load == "none" else _policy_folder(options)
    with floor_beside(hz, ticks, options.priority) as floor:
        if folder is None:
            report, faults = alone(embodiment, ticks, options.priority, lambda: floor.send("go")), []
        else:
            report, faults = beside_policy(options, folder, ticks, lambda: floor.send("go"))
        ended_early = why_too_early(report, faults, ticks)
        beside = measured(floor, wait_s=0.0 if ended_early else FLOOR_S)
    result: dict[str, Any] = dict.fromkeys(KEYS) if report is None else figures(report, hz, beside)
    output.result({**result, "wanted_ticks": ticks, "ended_early": ended_early, "faults": faults})
    if report is not None and options.picture:
        title = f"{embodiment.name}, {hz:g} Hz, {report.ticks} ticks, load: {options.load}"
        series = {"control loop": report.lateness_us}
        if beside:
            series["floor (empty loop beside it)"] = beside.lateness_us
        write_whole(options.picture, lateness_svg(title, series, 0.5e6 / hz))
        output.text.print(f"picture: {options.picture}", markup=False)
    for fault in faults:
        output.text.print(f"fault: {fault}", markup=False)
    if report is not None:
        if report.warning:
            output.text.print(f"warning: {report.warning}", markup=False)
        output.text.print(table(result, hz))
    if ended_early:
        ran = report.ticks if report else 0
        output.text.print(f"not measured: ended after {ran} of {ticks} ticks: {ended_early}", markup=False)
    return 1 if faults or ended_early else 0


def why_too_early(report: ControlReport | None, faults: list[str], ticks: int) -> str | None:
    """Why fewer than the wanted ticks were executed; None if they were.

    Args:
        report: of the control loop; None if its process died.
        faults: of its processes.
        ticks: that were wanted.
    """
    if report is not None and report.ticks >= ticks:
        return None
    reasons = [] if report is None else [reason for _, reason in report.faults]
    return "; ".join(dict.fromkeys([*faults, *reasons])) or "the control loop gave no reason"


def beside_policy(
    options: LoopOptions, folder: Path, ticks: int, start: Callable[[], None]
) -> tuple[ControlReport | None, list[str]]:
    """Runs the whole topology for `ticks`; calls `start` when the control loop has begun."""
    from ideomotor.launch.runtime.policy_processes import policy_maker
    from ideomotor.launch.runtime.simulated_session import drive
    from ideomotor.sim.sim_state_channel import SceneSpec
    from ideomotor.vla.checkpoint_info import read_facts

    started = False

    def on_poll(shared: SharedState) -> None:
        nonlocal started
        if not started and shared.heartbeats[HEARTBEATS.index("control"), 0]:
            started = True
            start()

    config = ControlConfig(handover=options.handover, priority=options.priority, max_ticks=ticks)
    scene = SceneSpec(options.task, seed=1, robot=options.robot)
    make_policy = policy_maker(folder, options.robot)
    run = drive(
        scene,
        make_policy,
        config,
        timing=read_facts(folder).timing,
        finish_when_solved=False,
        on_poll=on_poll,
    )
    if run.outcome.interrupted:
        raise KeyboardInterrupt
    if not started:
        return None, [*run.outcome.faults, "the control loop never began"]
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
    record, profile = LoopRecord(hz, ticks), TickProfile(ticks)
    commands = touched((ticks, len(still)))

    def step(tick: int) -> bool:
        nonlocal position
        profile.begin()
        if tick % CHUNK_EVERY == 0:
            controller.submit(chunks[tick // CHUNK_EVERY])
        profile.mark("chunk")
        position = controller.step(tick, RobotState(tick / hz, position, still, still)).position
        profile.mark("filter")
        commands[tick] = position
        profile.end()
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
        stop_state="run",
        motors_on=False,
        warning=granted.warning,
        fifo=granted.fifo,
        lateness_us=record.lateness_us(),
        busy_us=record.busy_us(),
        chunk_age_s=np.array([]),
        plan_age_s=np.array([]),
        commands=commands,
        boundaries=list(range(CHUNK_EVERY, ticks, CHUNK_EVERY)),
        costs=profile.costs(),
    )


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
    from ideomotor.launch.checkpoints import policy_folder
    from ideomotor.sim.tasks import TASKS
    from ideomotor.vla.checkpoint_info import read_facts

    if options.task not in TASKS:
        raise unknown_name("task", options.task, TASKS)
    folder = policy_folder(options.policy)
    read_facts(folder).check(load_embodiment(options.robot))
    return folder


def _check(options: LoopOptions) -> None:
    handover(options.handover)
    if not 0.1 <= options.seconds <= 3600:
        raise UserError(f"seconds: got {options.seconds}, expected 0.1 to 3600")
    if not 0 <= options.priority <= 99:
        raise UserError(f"priority: got {options.priority}, expected 0 to 99")
    if options.load == "none" and options.policy:
        raise UserError("policy: --policy and --load none exclude each other")
    if options.picture:
        check_output("picture", options.picture, [".svg"])
