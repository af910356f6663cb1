"""Starts a robot's processes, watches over them, and tells how it ended and what the motors do then.

The policy processes and the guardian, which takes over the robot should control die (guardian.py), are
started first and the control process when all of them live, so that no motor has torque before there is
something to drive it. From then on the control process looks after itself.

Nothing that happens in this process, a signal or an exception, ends it before control has gone down the safe
stop: the others never receive what the terminal sends (control/interrupts.py), this one only remembers
it.
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

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.guardian import GUARD_S, MakeRobot, guard, guardian_job
from ideomotor.control.runtime.job import Job
from ideomotor.control.runtime.process import control_process, where
from ideomotor.control.runtime.report import ControlConfig, ControlReport, Refusal
from ideomotor.control.runtime.shared_state import HEARTBEATS, REQUESTS, SharedState
from ideomotor.control.runtime.starting import (
    POLL_S,
    Restarts,
    await_jobs,
    count_down,
    how,
    start_shielded,
)
from ideomotor.control.safety.filter import SafetyFilter

STOP_S = 60.0  # for the safe stop, where this process has failed and only waits for its end
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    report: ControlReport | None  # None if the control process died, or could not drive the robot
    faults: list[str] = field(default_factory=list)  # what went wrong besides, in words
    guarded: bool = False  # the arm was brought to rest although control had died
    interrupted: str = ""  # by which signal, or "stopped" by a request before the motors were on
    motors_on: bool = False  # they may be, and then hold the arm


def supervise(
    shared: SharedState,
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
        shared: made by this process.
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
    config = replace(config, peers=("supervisor", *(job.role for job in jobs)))
    context = multiprocessing.get_context("spawn")
    estop = EStop()
    from_guardian, to_us = context.Pipe(duplex=False)
    if may_guard:
        jobs = [*jobs, guardian_job(shared, embodiment, make_robot, config.priority, to_us)]
    processes = {job.role: context.Process(target=job.target, args=job.args) for job in jobs}
    ours, theirs = context.Pipe(duplex=False)
    arguments = (shared.spec, embodiment, make_robot, config, theirs)
    control = context.Process(target=control_process, args=arguments)
    started: dict[str, SpawnProcess] = {}
    shared.heartbeat("supervisor")
    try:
        with estop.on_signals():
            for role, process in processes.items():
                start_shielded(process)
                started[role] = process
            to_us.close()
            await_jobs(shared, processes, estop)
            count_down(shared, countdown_s, on_count, estop)
            if estop.reason:
                return Outcome(None, interrupted=estop.reason)
            start_shielded(control)
            started["control"] = control
            theirs.close()
            watch = _Watch(shared, started, config, estop, on_poll, Restarts(context, jobs))
            try:
                said = watch.until_control_ends(ours)
                if isinstance(said, Refusal):
                    return _refused(said, watch, shared, may_guard)
                taken = said is None and may_guard
                guarded = taken and _guarded(watch, from_guardian, embodiment, make_robot)
            except BaseException:
                shared.request("finish", "a launch that failed")
                control.join(STOP_S)
                raise
            on = may_guard and (said is None or said.motors_on)
            return Outcome(said, watch.faults, guarded, estop.reason, on)
    finally:
        for process in started.values():
            process.kill()
        for process in started.values():
            process.join()
        ours.close()
        from_guardian.close()


def live_with_parent() -> None:
    """Lets the kernel kill this process when its parent dies; to be called first in a child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)  # it died before we asked


def start_heartbeat(shared: SharedState, role: str, every_s: float = 0.02) -> None:
    """Says that this process lives, many times a second, from a thread of its own."""

    def repeat() -> None:
        while True:
            shared.heartbeat(role)
            time.sleep(every_s)

    threading.Thread(target=repeat, daemon=True).start()


class _Watch:
    """Looks on while control runs.

    Attributes:
        faults: what happened to the processes, and here.
    """

    def __init__(
        self,
        shared: SharedState,
        processes: dict[str, SpawnProcess],
        config: ControlConfig,
        estop: EStop,
        on_poll: Callable[[], None] | None,
        restarts: Restarts,
    ) -> None:
        self._restarts = restarts
        self.shared, self.faults = shared, list[str]()
        self._estop, self._on_poll = estop, on_poll
        self._control, self._processes = processes["control"], processes
        self._alive = {process.sentinel: role for role, process in processes.items()}
        self._silence_ns = 2 * config.staleness.silence_s * 1e9
        self._passed_on = self._killed = False
        self.priority = config.priority

    @property
    def interrupted(self) -> str:
        return self._estop.reason

    def until_control_ends(self, pipe: connection.Connection) -> ControlReport | Refusal | None:
        """What control says in the end; None if it died."""
        said: ControlReport | Refusal | None = None
        while self._control.sentinel in self._alive:
            if pipe in self.poll([] if said else [pipe]):
                try:
                    said = pipe.recv()
                except EOFError:  # it ends without a word
                    self._control.join(1.0)
                    self._lose(self._control.sentinel)
            self._kill_if_hung(said is not None)
        if said is None:
            self.faults.append(f"control died: {how(self._control)}")
        return said

    def poll(self, pipes: Sequence[connection.Connection] = ()) -> list[Any]:
        """Waits a moment for something to happen; which of `pipes` can be read."""
        ready = connection.wait([*self._alive, *pipes], POLL_S)
        self.shared.heartbeat("supervisor")
        for sentinel in [s for s in self._alive if s in ready]:
            self._lose(sentinel)
        for role, process in self._restarts.started().items():
            self._processes[role] = process
            self._alive[process.sentinel] = role
        if self._estop.reason and not self._passed_on:  # the signal may have come to this process only
            self._passed_on = True
            self.shared.request("estop", self._estop.reason.removeprefix("emergency stop: "))
            self.shared.request("finish", "a signal")
        if self._on_poll:
            try:
                self._on_poll()
            except Exception as error:
                self._on_poll = None
                self.faults.append(f"launch: {where(error)}")
                self.shared.request("finish", "a launch that failed")
        return ready

    def _lose(self, sentinel: int) -> None:
        role = self._alive.pop(sentinel, "control")
        if role != "control":
            self.faults.append(f"{role} died: {how(self._processes[role])}")
            self._restarts.died(role)

    def _kill_if_hung(self, said: bool) -> None:
        process, at = self.shared.heartbeats[HEARTBEATS.index("control")]
        silent = process and not said and time.monotonic_ns() - int(at) > self._silence_ns
        if silent and not self._killed:
            self._killed = True
            self.faults.append("control: no sign of life")
            self._control.kill()


def _refused(said: Refusal, watch: _Watch, shared: SharedState, may_guard: bool) -> Outcome:
    """The outcome of a run that control did not begin; `UserError` if that is nothing but a refusal."""
    if may_guard and said.motors_on:
        return Outcome(None, [*watch.faults, said.reason], interrupted=watch.interrupted, motors_on=True)
    if watch.interrupted or shared.requests[REQUESTS.index("estop")]:
        return Outcome(None, interrupted=watch.interrupted or shared.requested_by("estop"))
    raise UserError(said.reason)


def _guarded(
    watch: _Watch, pipe: connection.Connection, embodiment: Embodiment, make_robot: MakeRobot
) -> bool:
    """Waits until the guardian has brought the arm to rest, or does so here if there is none any more."""
    if not watch.shared.heartbeats[HEARTBEATS.index("control"), 0]:
        return False  # nothing has moved
    until = time.monotonic() + GUARD_S + 2.0
    said = None
    try:
        while said is None and time.monotonic() < until:
            if pipe in watch.poll([pipe]):
                said = pipe.recv()
    except EOFError:
        said = None
    try:
        if said is None:
            robot = make_robot(watch.shared)
            return guard(watch.shared, embodiment, robot, SafetyFilter(embodiment), watch.priority)
    except (UserError, OSError) as error:
        said = str(error)
    if isinstance(said, str):  # the motors keep their last goal
        watch.faults.append(f"the arm could not be taken over: {said}")
        return False
    return bool(said)
