"""Starts a robot's processes, watches over them, and takes the robot over if the control process dies.

The brains are started first and the control process when all of them live, so that no motor has torque
before there is something to drive it. From then on the control process looks after itself; what only the
supervisor can do is to bring the arm to rest when *it* is gone: `guard` continues the last commands in
shared memory with a deceleration, through a connection of its own to the robot.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np

from ideomotor.control.abilities import CanTakeOver
from ideomotor.control.board import BEATS, Board
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.estop import EStop
from ideomotor.control.loop import LoopRecord, run_loop
from ideomotor.control.process import control_process
from ideomotor.control.realtime import PRIORITY, schedule
from ideomotor.control.report import ControlConfig, ControlReport
from ideomotor.control.safety import SafetyFilter
from ideomotor.control.stop import STILL_RAD
from ideomotor.control.types import Command, Robot

POLL_S = 0.01
START_S = 180.0  # until every brain lives: loading torch on a busy machine takes its time
CONTINUE_S = 0.15  # after a longer gap the arm stands at its last command already
GUARD_S = 3.0  # longest deceleration
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>

MakeRobot = Callable[[Board], Robot]


@dataclass(frozen=True)
class Job:
    """A process beside the control process."""

    role: str  # one of `board.BEATS`
    target: Callable[..., None]  # a module-level function that beats as its role
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    report: ControlReport | None  # None if the control process died
    faults: list[str] = field(default_factory=list)  # what killed or silenced a process, in words
    guarded: bool = False  # the supervisor brought the arm to rest
    interrupted: bool = False  # by SIGINT or SIGTERM


def supervise(
    board: Board,
    embodiment: Embodiment,
    make_robot: MakeRobot,
    jobs: Sequence[Job],
    config: ControlConfig,
    *,
    may_guard: bool = True,
    countdown_s: float = 0.0,
    on_count: Callable[[float], None] | None = None,
    on_poll: Callable[[], None] | None = None,
) -> Outcome:
    """Runs a robot until it has finished or stopped, and returns how that went. Main thread only.

    Args:
        board: made by this process.
        embodiment: the robot.
        make_robot: opens it; picklable, called in the control process and, after its death, here.
        jobs: the other processes; those not among them are not waited for.
        config: of the control process.
        may_guard: whether a second connection to the robot may be opened after a death.
        countdown_s: how long to wait between the moment at which everything else is ready and the start of
            the control process, which switches the motors on. A signal gives up: nothing moves then.
        on_count: called many times a second meanwhile with the seconds left.
        on_poll: called many times a second, for a display.

    Raises:
        UserError: a process did not start, or the robot could not be opened.
    """
    config = _only(config, jobs)
    context = multiprocessing.get_context("spawn")
    estop = EStop()
    processes = {job.role: context.Process(target=job.target, args=job.args) for job in jobs}
    ours, theirs = context.Pipe(duplex=False)
    arguments = (board.spec, embodiment, make_robot, config, theirs)
    control = context.Process(target=control_process, args=arguments)
    started: dict[str, SpawnProcess] = {}
    board.beat("supervisor")
    try:
        with estop.on_signals():
            for role, process in processes.items():
                _start_shielded(process)
                started[role] = process
            _await_brains(board, processes, estop)
            _count_down(board, countdown_s, on_count, estop)
            if estop.reason:
                return Outcome(None, interrupted=True)
            _start_shielded(control)
            started["control"] = control
            theirs.close()
            report, faults = _watch(board, started, ours, config, estop, on_poll)
            guarded = False
            if report is None and may_guard:
                try:
                    guarded = guard(board, embodiment, make_robot, config.priority)
                except (UserError, OSError) as error:  # the motors keep their last goal
                    faults.append(f"the arm could not be taken over: {error}")
            return Outcome(report, faults, guarded, bool(estop.reason))
    finally:
        for process in started.values():
            process.kill()
        for process in started.values():
            process.join()
        ours.close()


def guard(board: Board, embodiment: Embodiment, make_robot: MakeRobot, priority: int = PRIORITY) -> bool:
    """Decelerates a robot whose control process is gone, and holds; False if it had not moved yet.

    Raises:
        UserError, OSError: the robot could not be opened, or written to.
    """
    state = board.state.new()
    if not board.state.read(state):
        return False
    robot = make_robot(board)
    if isinstance(robot, CanTakeOver):
        robot.take_over()
    else:
        robot.connect()
    safety = SafetyFilter(embodiment)
    if time.monotonic() - float(state["time"]) < CONTINUE_S:
        safety.resume(state["sent"])
    else:
        safety.reset(state["sent"][2])
    first, last = int(state["tick"]) + 1, state["sent"][2].copy()
    still = 0
    told = board.ticks.new()  # its writer is gone, and the log shall have these commands too
    for name in ("position", "velocity", "effort", "state_age", "chunk_age", "plan_age"):
        told[name] = np.nan
    told["stage"], told["reason"] = b"hold", b"control died: guarded by the supervisor"

    def step(tick: int) -> bool:
        nonlocal last, still
        position, _ = safety.filter(first + tick, None)
        robot.write(Command(first + tick, position))
        told["tick"], told["time"], told["command"] = first + tick, time.monotonic(), position
        board.ticks.write(told)
        still = still + 1 if np.abs(position - last).max() < STILL_RAD else 0
        last = position
        return still < 3 and tick < GUARD_S * embodiment.control_hz

    before = (os.sched_getscheduler(0), os.sched_getparam(0))
    hurried = bool(priority) and schedule(priority)[0]
    try:
        run_loop(step, LoopRecord(float(embodiment.control_hz), capacity=1))
        robot.hold()
    finally:
        robot.disconnect()
        if hurried:
            os.sched_setscheduler(0, *before)
    return True


def live_with_parent() -> None:
    """Lets the kernel kill this process when its parent dies; to be called first in a child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)  # it died before we asked


def keep_beating(board: Board, role: str, every_s: float = 0.02) -> None:
    """Says that this process lives, many times a second, from a thread of its own."""

    def beat() -> None:
        while True:
            board.beat(role)
            time.sleep(every_s)

    threading.Thread(target=beat, daemon=True).start()


def _watch(
    board: Board,
    processes: dict[str, SpawnProcess],
    pipe: connection.Connection,
    config: ControlConfig,
    estop: EStop,
    on_poll: Callable[[], None] | None,
) -> tuple[ControlReport | None, list[str]]:
    """Looks on until the control process has ended; its report, and what happened to the others."""
    alive = {process.sentinel: role for role, process in processes.items()}
    report: ControlReport | None = None
    faults: list[str] = []
    passed_on = killed = False
    control = processes["control"]
    silence_ns = 2 * config.patience.silence_s * 1e9
    row = board.beats[BEATS.index("control")]
    while True:
        ready = connection.wait([*alive, *([] if report else [pipe])], POLL_S)
        board.beat("supervisor")
        if pipe in ready:
            try:
                received = pipe.recv()
                if isinstance(received, str):
                    raise UserError(received)
                report = received
            except EOFError:  # it ended without one
                control.join(1.0)
                ready.append(control.sentinel)
        for sentinel in [s for s in alive if s in ready]:
            role = alive.pop(sentinel)
            if role != "control":
                faults.append(f"{role} died: {_how(processes[role])}")
        if control.sentinel not in alive:
            if report is None:
                faults.append(f"control died: {_how(control)}")
            return report, faults
        if estop.reason and not passed_on:  # the signal may have come to this process only
            passed_on = True
            board.order("estop")
            board.order("finish")
        hung = row[0] and report is None and time.monotonic_ns() - int(row[1]) > silence_ns
        if hung and not killed:
            killed = True
            faults.append("control: no sign of life")
            control.kill()
        if on_poll:
            on_poll()


def _await_brains(board: Board, processes: dict[str, SpawnProcess], estop: EStop) -> None:
    until = time.monotonic() + START_S
    waiting = dict(processes)
    while waiting and not estop.reason:
        board.beat("supervisor")
        for role, process in list(waiting.items()):
            if board.beats[BEATS.index(role), 0] == process.pid:
                del waiting[role]
            elif process.exitcode is not None:
                raise UserError(f"{role}: its process ended while starting ({_how(process)})")
        if waiting and time.monotonic() > until:
            raise UserError(f"{', '.join(waiting)}: not ready after {START_S:.0f} s")
        time.sleep(POLL_S)


def _count_down(board: Board, seconds: float, on_count: Callable[[float], None] | None, estop: EStop) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not estop.reason:
        board.beat("supervisor")
        if on_count:
            on_count(left)
        time.sleep(min(left, POLL_S))


def _start_shielded(process: SpawnProcess) -> None:
    """Starts a process that ignores Ctrl-C, which reaches all of a terminal's processes, until it asks."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _only(config: ControlConfig, jobs: Sequence[Job]) -> ControlConfig:
    return replace(config, peers=("supervisor", *(job.role for job in jobs)))


def _how(process: SpawnProcess) -> str:
    process.join(1.0)  # its sentinel is heard of before its exit code
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}"
