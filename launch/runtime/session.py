"""A launch from the moment at which everything has been looked at: processes, countdown, run, figures.

A session is a rig (an arm or its twin, cameras), who drives it (the processes of a policy, a person's
teleoperator, or both) and a log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.drivers import open_robot
from ideomotor.control.runtime.person import ROLE as PERSON
from ideomotor.control.runtime.realtime import PRIORITY
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState
from ideomotor.control.runtime.supervisor import Job, Outcome, supervise
from ideomotor.control.teleop.process import teleoperator_process
from ideomotor.control.teleop.teleoperator import DriverName, Teleoperator
from ideomotor.control.timing import Timing
from ideomotor.launch.dashboard.alarms import limits_of
from ideomotor.launch.dashboard.beside import Dashboard, dashboard_beside
from ideomotor.launch.dashboard.options import WebOptions
from ideomotor.launch.runtime.attempts import Attempts
from ideomotor.launch.runtime.companion import Companion
from ideomotor.launch.runtime.figures.floor import Floor, floor_beside, measured
from ideomotor.launch.runtime.left_on import put_back, read_note, remove_note, write_note
from ideomotor.launch.runtime.monitor import View
from ideomotor.launch.runtime.policy_processes import (
    PolicyProcessConfig,
    decoder_process,
    interpreter_process,
    policy_maker,
)
from ideomotor.launch.runtime.recording.episode_log import EpisodeLog
from ideomotor.launch.runtime.recording.session_log import SessionLog
from ideomotor.launch.runtime.rig import Rig
from ideomotor.vla.needed import EVERYTHING, Needed

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import PolicySource

FINISHED = "finished"
BEFORE_S = 10.0  # that a person will want to see of what led to an alarm


@dataclass(frozen=True)
class SessionConfig:
    """What is to be run."""

    embodiment: Embodiment
    robot: str  # its name, or the path of its file
    rig: Rig
    policy: (
        Path | PolicySource | None
    )  # its checkpoint, or another's; None: others make chunks, or only a person drives
    timing: Timing | None  # the policy's
    handover: str
    seed: int
    max_ticks: int | None
    speed: float  # of the policy's time and of the joints' highest speeds, as a share
    countdown_s: float
    dry_run: bool
    floor: bool  # an empty loop beside it
    late_faults: tuple[str, ...] = ()  # of the twin, from the first tick on
    chunk_jobs: tuple[Job, ...] | None = (
        None  # who makes plans and chunks instead of the checkpoint's networks
    )
    teleoperator: Callable[[], Teleoperator] | None = None  # a person's; picklable, called in its process
    on_keys: Callable[[str], None] | None = None  # takes the keys that mean nothing to the session itself
    stop: StopConfig = StopConfig()  # how long each state of the safe stop is kept
    late_leader_faults: tuple[Callable[[], None], ...] = ()  # of a leader's twin, from the first tick on
    web: WebOptions | None = None  # a page beside it
    needed: Needed = EVERYTHING  # what of a checkpoint is loaded and computed
    confidence: bool = False  # chunks tell how sure the policy is of them
    audit: Callable[..., None] | None = None  # called with what happens: what, and facts by name
    specialists: Mapping[str, Path | PolicySource] = field(
        default_factory=dict
    )  # {skill: its own policy}, of the same timing

    @property
    def drivers(self) -> tuple[DriverName, ...]:
        """Who may drive, the first one from the beginning."""
        policy = () if self.policy is None and self.chunk_jobs is None else (DriverName.POLICY,)
        person = () if self.teleoperator is None else (DriverName.PERSON,)
        return (*policy, *person)


@dataclass(frozen=True)
class SessionResult:
    """How it went."""

    outcome: Outcome
    began: bool  # the control process drove the robot
    floor: Floor | None  # what the empty loop measured
    attempts: int | None  # at the task, those that have ended; None on hardware, where nobody counts them
    solved: int | None  # of these; None where the instruction is not judged, too
    marks: list[dict[str, Any]]  # `Marks.as_json`, by the person at the table
    takeovers: int  # how often a person took over from a policy
    alarms: list[dict[str, Any]]  # of the page: `text`, `tick`, and `from_tick`, where looking begins

    @property
    def stop_reason(self) -> str:
        """Why it ended."""
        report = self.outcome.report
        if report is not None:
            return report.faults[-1][1] if report.faults else "unknown"
        if self.outcome.faults:
            return "; ".join(self.outcome.faults)
        return f"{self.outcome.interrupted or 'stopped'}, before the motors were on"


def run_session(
    config: SessionConfig,
    shared: SharedState,
    log: SessionLog | EpisodeLog,
    console: Console,
    companion: Companion | None = None,
) -> SessionResult:
    """Runs until it is finished or stopped. Main thread only.

    Args:
        companion: what goes on beside the control loop, as an episode's end: see `Companion`.

    From before torque comes on there is a note (launch/runtime/left_on.py) for an arm that nobody looks after
    any more.

    Raises:
        UserError: a process did not start, or the robot refused; no motor is on then.
    """
    embodiment, rig = config.embodiment, config.rig
    hz = float(embodiment.control_hz)
    audit = config.audit or (lambda what, **facts: None)
    view = View(shared, hz, console, config.drivers, config.on_keys, companion, audit)
    attempts = Attempts(shared, rig.table, config.speed) if rig.table else None
    beside = (
        floor_beside(hz, config.max_ticks) if config.floor and config.max_ticks else contextlib.nullcontext()
    )
    seen = shared, embodiment, rig.instruction, config.drivers
    page: contextlib.AbstractContextManager[Dashboard | None] = contextlib.nullcontext()
    if config.web:
        page = dashboard_beside(*seen, config.web, limits_of(config.policy))
    with beside as floor, page as dashboard, view.shown():
        began, alarms, state = False, list[dict[str, Any]](), shared.state.new()
        if dashboard:
            view.say(f"web: {dashboard.address}")

        def on_poll() -> None:
            nonlocal began
            if not began and shared.heartbeats[HEARTBEATS.index("control"), 0]:
                began = True
                if floor:
                    floor.send("go")
                for fault in config.late_faults:
                    assert rig.inject is not None  # only a twin's launch has faults
                    rig.inject(fault)
                for happens in config.late_leader_faults:
                    happens()
            if attempts and began:
                attempts.poll(time.monotonic())
            if why := log.failure():
                view.say(f"log: {why}; nothing more is recorded, the arm goes on")
            if companion:
                companion.poll(time.monotonic())
            for event in dashboard.poll() if dashboard else ():
                audit(event.kind, text=event.text, by=event.who)
                if event.kind == "alarm":
                    tick = int(state["tick"]) if shared.state.read(state) else 0
                    alarms.append(
                        {"text": event.text, "tick": tick, "from_tick": max(0, tick - round(BEFORE_S * hz))}
                    )
                if companion and event.kind == "answer":
                    companion.key(event.text, time.monotonic())
                view.say(event.sentence())
            view.poll()

        with _noted(config):
            outcome = supervise(
                shared,
                slowed(embodiment, config.speed),
                functools.partial(open_robot, embodiment, rig.port, rig.calibration, config.dry_run),
                _jobs(config, shared),
                ControlConfig(
                    handover=config.handover,
                    stop=config.stop,
                    speed=config.speed,
                    driver=config.drivers[0],
                    drivers=config.drivers,
                    following=not config.dry_run,
                    max_ticks=config.max_ticks,
                ),
                may_guard=not config.dry_run,
                countdown_s=0.0 if config.dry_run else config.countdown_s,
                on_count=view.count,
                on_poll=on_poll,
            )
        if _is_noted(config) and not outcome.motors_on:
            remove_note(config.robot, rig.port)
        began = began or outcome.report is not None
        ended, solved = (attempts.ended, attempts.solved) if attempts else (None, None)
        view.take(time.monotonic())
        found = measured(floor) if floor and began else None
        return SessionResult(
            outcome, began, found, ended, solved, view.marks.as_json(), view.takeovers, alarms
        )


def _jobs(config: SessionConfig, shared: SharedState) -> list[Job]:
    """The processes beside control: cameras, and who drives."""
    jobs = [config.rig.cameras(shared)] if config.rig.cameras else []
    if config.teleoperator is not None:
        arguments = (shared.spec, config.embodiment, config.teleoperator, PRIORITY - 1)
        jobs.append(Job(PERSON, teleoperator_process, arguments, again=True))
    if DriverName.POLICY in config.drivers:
        jobs += _chunk_jobs(config, shared)
    return jobs


def _chunk_jobs(config: SessionConfig, shared: SharedState) -> tuple[Job, ...]:
    """Who makes plans and chunks."""
    if config.chunk_jobs is not None:
        return config.chunk_jobs
    assert config.policy is not None and config.timing is not None  # one of the two is there
    how = config.robot, config.confidence, config.needed
    make_policy = policy_maker(config.policy, *how)
    others = {skill: policy_maker(chosen, *how) for skill, chosen in config.specialists.items()}
    policy = PolicyProcessConfig(
        make_policy, config.rig.instruction, config.timing, config.handover, config.seed, config.speed, others
    )
    return (
        Job("interpreter", interpreter_process, (shared.spec, policy)),
        Job("decoder", decoder_process, (shared.spec, policy)),
    )


def _is_noted(config: SessionConfig) -> bool:
    return not config.dry_run and config.rig.inject is None  # a twin's motors end with it


@contextlib.contextmanager
def _noted(config: SessionConfig) -> Generator[None]:
    """While the block runs there is a note of this arm; after a refusal that of an earlier launch, if any."""
    if not _is_noted(config):
        yield
        return
    before = read_note(config.robot, config.rig.port)
    write_note(config.robot, config.rig.port)
    try:
        yield
    except UserError:
        put_back(config.robot, config.rig.port, before)
        raise


def slowed(embodiment: Embodiment, share: float) -> Embodiment:
    """The robot with a share of its joints' highest speeds."""
    joints = tuple(
        dataclasses.replace(joint, max_velocity=share * joint.max_velocity) for joint in embodiment.joints
    )
    return replace(embodiment, joints=joints)
