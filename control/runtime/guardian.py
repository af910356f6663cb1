"""The process that brings a robot to rest when its control process dies.

It does nothing else, so that there is nothing to wait for: it has opened no file, made every object and
taken its place before all ordinary processes beforehand, and sleeps until the kernel says that control is
gone. Then it opens a connection of its own to the robot and continues the last commands in shared memory with
a deceleration. It receives no signal that could end it and does not need the supervisor, so that an arm is
brought to rest even if both are killed.

Measured (docs/runtime.md): benchmarks/guardian.py.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np

from ideomotor.control.capabilities import CanTakeOver
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import STOPPING
from ideomotor.control.runtime.job import Job
from ideomotor.control.runtime.loop import LoopRecord, run_loop
from ideomotor.control.runtime.realtime import PRIORITY, realtime, schedule
from ideomotor.control.runtime.safe_stop import STILL_RAD, StopState
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState, SharedStateSpec, attach, text_of
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.types import Command, Robot

CONTINUE_S = 0.15  # after a longer gap the arm stands at its last command already
GUARD_S = 3.0  # longest deceleration
HEARTBEAT_S = 0.1  # between signs of life

MakeRobot = Callable[[SharedState], Robot]


def guardian_job(
    shared: SharedState, embodiment: Embodiment, make_robot: MakeRobot, priority: int, pipe: Connection
) -> Job:
    """The guardian as a process beside control. What it did comes out of the other end of `pipe`.

    That is whether it brought the arm to rest, or in words why it could not.
    """
    return Job("guardian", guardian_process, (shared.spec, embodiment, make_robot, priority, pipe))


def guardian_process(
    spec: SharedStateSpec, embodiment: Embodiment, make_robot: MakeRobot, priority: int, pipe: Connection
) -> None:
    """The process's main function: waits for control to appear, then for its end."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    shared, parent = attach(spec), os.getppid()
    try:
        try:
            robot, safety = make_robot(shared), SafetyFilter(embodiment)
        except UserError:  # control will say the same
            shared.heartbeat("guardian")
            return
        safety.filter(0, None)  # the first one takes longer
        with realtime(priority):
            if not _died(shared, parent):
                return
            try:
                said: bool | str = guard(shared, embodiment, robot, safety, priority)
            except (UserError, OSError) as error:
                said = str(error)
        with contextlib.suppress(OSError):  # the supervisor is gone too
            pipe.send(said)
    finally:
        shared.close()


def _died(shared: SharedState, parent: int) -> bool:
    """Waits for the control process to end; whether it died, the robot being in its hands."""
    row = shared.heartbeats[HEARTBEATS.index("control")]
    shared.heartbeat("guardian")
    while not row[0]:
        if os.getppid() != parent:
            return False  # it will never come
        time.sleep(HEARTBEAT_S / 10)
    try:
        descriptor = os.pidfd_open(int(row[0]))
    except ProcessLookupError:
        return not shared.ended[0]
    except OSError:  # a kernel without pidfds: the supervisor notices as its parent
        return False
    ends = select.poll()
    ends.register(descriptor, select.POLLIN)
    while not ends.poll(1000 * HEARTBEAT_S):
        shared.heartbeat("guardian")
    return not shared.ended[0]


def guard(
    shared: SharedState,
    embodiment: Embodiment,
    robot: Robot,
    safety: SafetyFilter,
    priority: int = PRIORITY,
) -> bool:
    """Decelerates a robot whose control process is gone, and holds; False if its motors were off.

    Args:
        robot: not connected.
        safety: of the robot, in whatever state.

    Raises:
        UserError, OSError: the robot could not be opened, or written to.
    """
    state = shared.state.new()
    if not shared.state.read(state) or text_of(state["stage"]) == StopState.OFF:
        return False
    before = (os.sched_getscheduler(0), os.sched_getparam(0))
    hurried = bool(priority) and schedule(priority)[0]
    if isinstance(robot, CanTakeOver):
        robot.take_over()
    else:
        robot.connect()
    if time.monotonic() - float(state["time"]) < CONTINUE_S:
        safety.resume(state["last_commands"])
    else:
        safety.reset(state["last_commands"][2])
    first, last = int(state["tick"]) + 1, state["last_commands"][2].copy()
    still = 0
    record = shared.ticks.new()  # its writer is gone, and the log shall have these commands too
    for name in (
        "position",
        "velocity",
        "effort",
        "state_age",
        "chunk_age",
        "plan_age",
        "action_age",
        "policy_time",
    ):
        record[name] = np.nan
    record["stage"], record["reason"] = b"hold", b"control died: the guardian brings the arm to rest"

    def step(tick: int) -> bool:
        nonlocal last, still
        position, _ = safety.filter(first + tick, None)
        robot.write(Command(first + tick, position))
        record["tick"], record["time"], record["command"] = first + tick, time.monotonic(), position
        shared.ticks.write(record)
        still = still + 1 if np.abs(position - last).max() < STILL_RAD else 0
        last = position
        return still < 3 and tick < GUARD_S * embodiment.control_hz

    try:
        run_loop(step, LoopRecord(float(embodiment.control_hz), capacity=1))
        robot.hold()
    finally:
        robot.disconnect()
        if hurried:
            os.sched_setscheduler(0, *before)
    return True
