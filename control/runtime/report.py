"""What the control process is configured with before a run, and what it reports afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from ideomotor.control.chunk_handover import DEFAULT
from ideomotor.control.runtime.realtime import PRIORITY
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.runtime.tick_profile import TickCosts
from ideomotor.control.runtime.watchdog import StalenessLimits
from ideomotor.control.safety.effort import EffortLimit
from ideomotor.control.teleop.approach import ApproachLimits
from ideomotor.control.teleop.teleoperator import DriverName


@dataclass(frozen=True)
class ControlConfig:
    """How the control process behaves; the defaults are meant for use."""

    handover: str = DEFAULT
    speed: float = 1.0  # of the policy's time, in which its chunks are played, as a share of the loop's
    priority: int = PRIORITY  # of SCHED_FIFO; 0 for none
    staleness: StalenessLimits = StalenessLimits()
    stop: StopConfig = StopConfig()
    effort: EffortLimit = EffortLimit()
    driver: DriverName = DriverName.POLICY  # who drives at first
    drivers: tuple[DriverName, ...] = (DriverName.POLICY, DriverName.PERSON)  # who may
    approach: ApproachLimits = ApproachLimits()  # to the pose of a person who drives
    following: bool = True  # a joint that does not follow is a fault; False where nothing is written to it
    peers: tuple[str, ...] = ("supervisor", "decoder", "interpreter", "cameras")
    max_ticks: int | None = None  # finish after so many
    estop_on: tuple[tuple[Connection, str], ...] = ()  # stop when (this, called so) becomes readable;
    # a descriptor fd goes in as Connection(os.dup(fd), writable=False)


@dataclass(frozen=True)
class Refusal:
    """A robot that could not be connected, or not be controlled once it was."""

    reason: str  # in words
    motors_on: bool  # they may be: they were on before, or could not be switched off again


@dataclass(frozen=True)
class ControlReport:
    """What one run did; sent to the supervisor when it ends. Arrays hold the newest ticks."""

    ticks: int
    achieved_hz: float
    late: int  # ticks that began more than half a period after their deadline
    missed: int  # deadlines at which nothing could run
    no_fresh_command: int  # ticks without a target, from the first chunk to the end of running
    interventions: dict[str, int]
    faults: list[tuple[int, str]]  # (tick, reason) of each stop
    stop_state: str  # of the safe stop at the end
    motors_on: bool  # they are not all known to be off
    warning: str  # what real-time scheduling was refused
    fifo: bool
    lateness_us: np.ndarray  # (n,)
    busy_us: np.ndarray  # (n,)
    chunk_age_s: np.ndarray  # (m,) of the chunk being executed, at each tick that had one
    plan_age_s: np.ndarray  # (m,)
    commands: np.ndarray  # (n, A) as sent [rad or m]
    boundaries: list[int] = field(default_factory=list)  # rows of `commands` at which a new chunk took over
    ran: np.ndarray | None = None  # (n,) bool, rows of `commands` that were chunks'; None: all
    costs: TickCosts | None = None  # of the newest ticks
    action_delay_s: np.ndarray | None = None  # (m,) from a person's action to the sending of its command
    tracking_error_rad: np.ndarray | None = None  # (m,) of the joint furthest from its command, no gripper
