"""A launch from the moment at which everything has been looked at: processes, countdown, run, figures."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.drivers import open_robot
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState
from ideomotor.control.runtime.supervisor import Job, Outcome, supervise
from ideomotor.launch.runtime.attempts import Attempts
from ideomotor.launch.runtime.floor import Floor, floor_beside, measured
from ideomotor.launch.runtime.lateness_histogram import lateness_svg
from ideomotor.launch.runtime.left_on import put_back, read_note, remove_note, write_note
from ideomotor.launch.runtime.loop_figures import figures
from ideomotor.launch.runtime.monitor import View
from ideomotor.launch.runtime.policy_processes import BrainConfig, decoder_process, interpreter_process
from ideomotor.launch.runtime.rig import Body
from ideomotor.launch.runtime.session_log import FlightLog
from ideomotor.launch.runtime.simulated_session import checkpoint
from ideomotor.sim.instructions.judging import Judging

FINISHED = "finished"
NOBODY = Judging("", why="nobody judges what an arm does on a table that is not simulated")


@dataclass(frozen=True)
class Order:
    """What is to be run."""

    embodiment: Embodiment
    robot: str  # its name, or the path of its file
    body: Body
    policy: Path
    handover: str
    seed: int
    max_ticks: int | None
    speed: float  # of the policy's time and of the joints' highest speeds, as a share
    countdown_s: float
    dry_run: bool
    floor: bool  # an empty loop beside it
    late_faults: tuple[str, ...] = ()  # of the twin, from the first tick on


@dataclass(frozen=True)
class Flown:
    """How it went."""

    outcome: Outcome
    began: bool  # the control process drove the robot
    floor: Floor | None  # what the empty loop measured
    attempts: int | None  # at the task, those that have ended; None on hardware, where nobody counts them
    solved: int | None  # of these; None where the instruction is not judged, too
    marks: list[dict[str, Any]]  # `Marks.as_json`, by the person at the table

    @property
    def stop_reason(self) -> str:
        """Why it ended."""
        report = self.outcome.report
        if report is not None:
            return report.faults[-1][1] if report.faults else "unknown"
        if self.outcome.faults:
            return "; ".join(self.outcome.faults)
        return f"{self.outcome.interrupted or 'stopped'}, before the motors were on"


def fly(order: Order, shared: SharedState, log: FlightLog, console: Console) -> Flown:
    """Runs until it is finished or stopped. Main thread only.

    From before torque comes on there is a note (launch/runtime/left_on.py) for an arm that nobody looks after
    any more.

    Raises:
        UserError: a process did not start, or the robot refused; no motor is on then.
    """
    embodiment, body = order.embodiment, order.body
    hz = float(embodiment.control_hz)
    make_policy = checkpoint(order.policy, order.robot)
    brain = BrainConfig(make_policy, body.instruction, hz, order.handover, order.seed, order.speed)
    view = View(shared, hz, console)
    attempts = Attempts(shared, body.table, order.speed) if body.table else None
    beside = (
        floor_beside(hz, order.max_ticks) if order.floor and order.max_ticks else contextlib.nullcontext()
    )
    with beside as floor, view.shown():
        began = False

        def on_poll() -> None:
            nonlocal began
            if not began and shared.heartbeats[HEARTBEATS.index("control"), 0]:
                began = True
                if floor:
                    floor.send("go")
                for fault in order.late_faults:
                    assert body.inject is not None  # only a twin's launch has faults
                    body.inject(fault)
            if attempts and began:
                attempts.poll(time.monotonic())
            if why := log.failure():
                view.say(f"log: {why}; nothing more is recorded, the arm goes on")
            view.poll()

        with _noted(order):
            outcome = supervise(
                shared,
                slowed(embodiment, order.speed),
                functools.partial(open_robot, embodiment, body.port, body.calibration, order.dry_run),
                [
                    body.cameras(shared),
                    Job("interpreter", interpreter_process, (shared.spec, brain)),
                    Job("decoder", decoder_process, (shared.spec, brain)),
                ],
                ControlConfig(
                    handover=order.handover,
                    speed=order.speed,
                    following=not order.dry_run,
                    max_ticks=order.max_ticks,
                ),
                may_guard=not order.dry_run,
                countdown_s=0.0 if order.dry_run else order.countdown_s,
                on_count=view.count,
                on_poll=on_poll,
            )
        if _is_noted(order) and not outcome.motors_on:
            remove_note(body.port)
        began = began or outcome.report is not None
        ended, solved = (attempts.ended, attempts.solved) if attempts else (None, None)
        view.take(time.monotonic())
        found = measured(floor) if floor and began else None
        return Flown(outcome, began, found, ended, solved, view.marks.as_json())


def _is_noted(order: Order) -> bool:
    return not order.dry_run and order.body.inject is None  # a twin's motors end with it


@contextlib.contextmanager
def _noted(order: Order) -> Generator[None]:
    """While the block runs there is a note of this arm; after a refusal that of an earlier launch, if any."""
    if not _is_noted(order):
        yield
        return
    before = read_note(order.body.port)
    write_note(order.robot, order.body.port)
    try:
        yield
    except UserError:
        put_back(order.body.port, before)
        raise


def result_of(order: Order, flown: Flown) -> dict[str, Any]:
    """The outcome as JSON has it: the keys of `bench loop`, null where nothing ran, and some more."""
    outcome, report = flown.outcome, flown.outcome.report
    names = ("ticks", "achieved_hz", "late_share", "missed_ticks", "no_fresh_command_ticks", "lateness_us")
    result: dict[str, Any] = dict.fromkeys(names)
    if report is not None:
        result = figures(report, float(order.embodiment.control_hz), flown.floor)
    return {
        "robot": order.embodiment.name,
        "port": order.body.port,
        "instruction": order.body.instruction,
        "dry_run": order.dry_run,
        "control_hz": order.embodiment.control_hz,
        "seconds": report.ticks / report.achieved_hz if report and report.achieved_hz else 0.0,
        **result,
        "stop_reason": flown.stop_reason,
        "stage": report.stage if report else None,
        "faults": outcome.faults,
        "guarded": outcome.guarded,
        "interrupted": bool(outcome.interrupted),
        "motors_on": outcome.motors_on,
        **(order.body.judging or NOBODY).to_json(),
        "attempts": flown.attempts,
        "solved": flown.solved,
        "marks": flown.marks,
        "warning": report.warning if report else "",
    }


def picture(order: Order, flown: Flown) -> str | None:
    """Histograms of the lateness as an SVG document, as `bench loop` has them; None if nothing ran."""
    report = flown.outcome.report
    if report is None or not report.ticks:
        return None
    hz = float(order.embodiment.control_hz)
    series = {"control loop": report.lateness_us}
    if flown.floor:
        series["floor (empty loop beside it)"] = flown.floor.lateness_us
    return lateness_svg(
        f"{order.embodiment.name} launched, {hz:g} Hz, {report.ticks} ticks", series, 0.5e6 / hz
    )


def slowed(embodiment: Embodiment, share: float) -> Embodiment:
    """The robot with a share of its joints' highest speeds."""
    joints = tuple(
        dataclasses.replace(joint, max_velocity=share * joint.max_velocity) for joint in embodiment.joints
    )
    return replace(embodiment, joints=joints)
