"""A robot that outlives its processes, and runs of it (by swinging.py), for tests of the runtime.

The robot is a file that every process maps: each command is a row (time, process, tick, position). Whoever
opens it next, the guardian say, finds it where it was left.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from swinging import HZ, LATE_S, ROBOT, SWING_HZ, LateSwinger, Looker, Swinger, Waver

from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.runtime.supervisor import Job, live_with_parent, start_heartbeat, supervise
from ideomotor.control.teleop.process import teleoperator_process
from ideomotor.control.teleop.teleoperator import DriverName
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Command, RobotState
from ideomotor.launch.runtime import policy_processes

ROWS = 120 * 120
GIVE_UP_S = 120.0  # for anything at all, on a busy machine
__all__ = ["LATE_S", "LateSwinger", "Looker"]  # of swinging.py, for whoever imports this
STOP = StopConfig(park_after_s=0.3, park_speed=1.5, off_after_s=0.1, end_after_s=0.1)


class LoggedRobot:
    """A `Robot` and a `CanRelax`."""

    def __init__(self, folder: Path) -> None:
        self.rows = np.memmap(folder / "rows", np.float64, "r+", shape=(ROWS, 3 + len(ROBOT.joints)))
        self.words = np.memmap(folder / "words", np.int64, "r+", shape=(3,))  # rows, holds, torque off

    def connect(self) -> None:
        pass

    def read(self) -> RobotState:
        zeros = np.zeros(len(ROBOT.joints))
        n = int(self.words[0])
        return RobotState(
            time.monotonic(), self.rows[n - 1, 3:].copy() if n else ROBOT.home_position, zeros, zeros
        )

    def write(self, command: Command) -> None:
        n = int(self.words[0])
        self.rows[n] = (time.monotonic(), os.getpid(), command.tick, *command.position)
        self.words[0] = n + 1

    def hold(self) -> None:
        self.words[1] += 1

    def torque_off(self) -> None:
        self.words[2] += 1

    def disconnect(self) -> None:
        pass


def new_robot(folder: Path) -> LoggedRobot:
    for name, size in (("rows", ROWS * (3 + len(ROBOT.joints)) * 8), ("words", 24)):
        with (folder / name).open("wb") as file:
            file.truncate(size)
    return LoggedRobot(folder)


def open_robot(folder: Path, shared: shared_state.SharedState) -> LoggedRobot:
    heavy = {"torch", "mujoco", "transformers", "diffusers", "gymnasium"} & set(sys.modules)
    assert not heavy, f"imported by the control process or its guardian: {heavy}"
    return LoggedRobot(folder)


def refuse_robot(shared: shared_state.SharedState) -> LoggedRobot:
    raise UserError("servo: id 3 does not answer, expected 6 servos")


def cameras_process(spec: shared_state.SharedStateSpec) -> None:
    """Black pictures, 30 a second."""
    live_with_parent()
    shared = shared_state.attach(spec)
    start_heartbeat(shared, "cameras")
    record = shared.frames.new()
    images = {name: np.zeros((height, width, 3), np.uint8) for name, height, width in spec.cameras}
    while True:
        shared_state.pack_frames(record, time.monotonic(), images, spec)
        shared.frames.write(record)
        time.sleep(1 / 30)


def run_supervised(
    spec: shared_state.SharedStateSpec,
    folder: Path,
    button: Connection,
    handover: str,
    max_ticks: int | None,
    make_policy: Callable[[str], Swinger],
    speed: float,
    display_fails: bool,
    session: bool,
    person: str,
) -> None:
    """What `ideomotor` would do, in a process that can be killed; leaves outcome.json behind."""
    if session:
        os.setsid()  # and with it all of its processes, as in a terminal
    shared = shared_state.attach(spec)
    timing = usual_timing(ROBOT)
    policy = policy_processes.PolicyProcessConfig(make_policy, "swing", timing, handover, speed=speed)
    jobs = [
        Job("cameras", cameras_process, (spec,)),
        Job("interpreter", policy_processes.interpreter_process, (spec, policy)),
        Job("decoder", policy_processes.decoder_process, (spec, policy)),
    ]
    config = ControlConfig(
        handover=handover, speed=speed, stop=STOP, max_ticks=max_ticks, estop_on=((button, "red button"),)
    )
    leader = [Job("teleoperator", teleoperator_process, (spec, ROBOT, Waver), again=True)]
    if person == "alone":
        jobs, config = leader, replace(config, driver=DriverName.PERSON, drivers=(DriverName.PERSON,))
    elif person:
        jobs += leader

    def display() -> None:
        if display_fails and shared.state.newest() > 120:
            raise OSError("x")

    joints = tuple(replace(joint, max_velocity=speed * joint.max_velocity) for joint in ROBOT.joints)
    robot, make = replace(ROBOT, joints=joints), partial(open_robot, folder)
    outcome = supervise(shared, robot, make, jobs, config, on_poll=display)
    report = outcome.report
    (folder / "outcome.tmp").write_text(
        json.dumps(
            {
                "faults": outcome.faults,
                "guarded": outcome.guarded,
                "interrupted": bool(outcome.interrupted),
                "motors_on": outcome.motors_on,
                "reasons": [reason for _, reason in report.faults] if report else None,
                "stage": report.stop_state if report else None,
                "ticks": report.ticks if report else None,
                "no_fresh_command": report.no_fresh_command if report else None,
                "commands": report.commands.tolist() if report else None,
                "boundaries": report.boundaries if report else None,
                "chunk_ages": len(report.chunk_age_s) if report else None,
            }
        )
    )
    (folder / "outcome.tmp").rename(folder / "outcome.json")
    shared.close()


class Running:
    """A supervised robot in processes of its own, swinging."""

    def __init__(
        self,
        folder: Path,
        handover: str = "rtc",
        max_ticks: int | None = None,
        make_policy: Callable[[str], Swinger] = Swinger,
        speed: float = 1.0,
        display_fails: bool = False,
        session: bool = False,
        person: str = "",
    ) -> None:
        """Args:
        person: "alone" drives, or "may" take over.
        """
        self.folder = folder
        self.robot = new_robot(folder)
        self.shared = shared_state.create(ROBOT)
        context = multiprocessing.get_context("spawn")
        watched, self.button = context.Pipe(duplex=False)
        how = (handover, max_ticks, make_policy, speed, display_fails, session, person)
        arguments = (self.shared.spec, folder, watched, *how)
        self.supervisor = context.Process(target=run_supervised, args=arguments)
        self.supervisor.start()
        watched.close()

    def log(self) -> np.ndarray:
        """(n, 3 + A): time, process, tick, position of every command so far."""
        return np.array(self.robot.rows[: int(self.robot.words[0])])

    @staticmethod
    def off_stream(log: np.ndarray) -> np.ndarray:
        """(n,) whether a command does not go on with what the policy wants, whatever its time was there."""
        swing = log[:, 3:] - ROBOT.home_position
        expected = swing.copy()
        expected[2:, 0] = 2 * np.cos(2 * np.pi * SWING_HZ / HZ) * swing[1:-1, 0] - swing[:-2, 0]
        expected[:, 1:] = 0.0
        return np.abs(swing - expected).max(axis=1) > 1e-4

    def pid(self, role: str) -> int:
        return int(self.shared.heartbeats[shared_state.HEARTBEATS.index(role), 0])

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + GIVE_UP_S
        while not condition():
            assert time.monotonic() < until, f"waited {GIVE_UP_S:.0f} s for: {what}"
            time.sleep(0.001)

    def wait_until_fast(self) -> None:
        """Until joint 0 has followed the stream for a while and moves at more than 1.2 rad/s."""

        def fast() -> bool:
            log = self.log()[-60:]
            if len(log) < 60 or self.off_stream(log).any():
                return False
            return abs(log[-1, 3] - log[-2, 3]) * HZ > 1.2

        self.wait(fast, "the arm to swing")

    def state(self) -> dict[str, str]:
        record = self.shared.state.new()
        assert self.shared.state.read(record)
        return {name: shared_state.text_of(record[name]) for name in ("stage", "reason")}

    def driver(self) -> str:
        record = self.shared.state.new()
        assert self.shared.state.read(record)
        return shared_state.text_of(record["driver"])

    def outcome(self) -> dict:
        self.supervisor.join(GIVE_UP_S)
        assert self.supervisor.exitcode == 0
        return json.loads((self.folder / "outcome.json").read_text())

    def close(self) -> None:
        processes = [self.pid(role) for role in shared_state.HEARTBEATS]
        self.button.close()
        self.supervisor.kill()
        self.supervisor.join()
        for process in filter(None, processes):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.shared.close()
