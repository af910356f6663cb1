"""The safe stop: decelerate and hold, then park, then torque off last.

A robot that loses its policy must neither run on nor drop. Each state is tried before the next:

1. *hold*: decelerate within the limits and stay. Where the reason passes (a chunk that was late), the run
   goes on from here by itself; where nobody drives at present, the arm waits here for as long as it takes.
2. *park*: after a while of holding, move slowly to the home pose, where nothing falls when power goes.
3. *off*: after a while at home, torque off; only for a robot that can (`capabilities.CanRelax`), and not if
   something was in the way home.

From *park* on nothing goes on by itself: that takes an explicit re-arming, as it does after a fault. An
emergency stop stays in the first state, since an arm that was stopped by hand must not move on its own. So
does a stop for a joint that does not follow, and the run ends where the arm stands, with its motors on. One
exception is asked for: to go home, wait there until somebody has put the things back, and begin anew, as
between two attempts at a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ideomotor.control.embodiment import Embodiment

STILL_RAD = 1e-4  # a command that moves less than this in a tick stands still
STILL_TICKS = 3
AT_HOME_RAD = 0.02


class StopState(StrEnum):
    """Where the safe stop is."""

    RUN = "run"
    HOLD = "hold"
    PARK = "park"
    OFF = "off"


class Cause(StrEnum):
    """Kinds of reasons to stop, the gravest last."""

    NO_DRIVER = "no_driver"  # nobody to follow; passes by itself, and holds where it is until then
    STALE = "stale"  # passes by itself
    AGAIN = "again"  # goes home and waits there for `SafeStop.begin`
    FINISH = "finish"  # the run is over
    FAULT = "fault"  # latched
    NOT_FOLLOWING = "not_following"  # latched, and holds where it is: an arm with a stuck joint goes nowhere
    ESTOP = "estop"  # latched, and holds where it is


ASKED_FOR = (Cause.AGAIN, Cause.FINISH)  # nothing is wrong, nothing to wait for
STAYS = (Cause.NOT_FOLLOWING, Cause.ESTOP)  # never parks


@dataclass(frozen=True)
class StopConfig:
    """How long each state is kept. Times count from standing still in the state before."""

    park_after_s: float = 3.0
    stale_after_s: float | None = None  # the same where the reason may pass by itself; None: no longer
    park_speed: float = 0.5  # highest joint speed on the way home [rad/s or m/s]
    off_after_s: float = 1.0
    end_after_s: float = 0.5  # of holding, for a run that ends there


class SafeStop:
    """One robot's way down, a step a tick.

    Attributes:
        stop_state: where it is.
        cause, reason: what it is there for; None and empty while running.
        ended: the last state that this robot has was reached and kept; the loop may end.
    """

    def __init__(self, embodiment: Embodiment, config: StopConfig, can_relax: bool) -> None:
        self._home, self._hz = embodiment.home_position, float(embodiment.control_hz)
        self._config, self._can_relax = config, can_relax
        self._last = embodiment.home_position
        self.rearm()

    def trip(self, cause: Cause, reason: str) -> None:
        """Stops for a reason; one less grave than the present one changes nothing."""
        order = list(Cause)
        if cause is Cause.NO_DRIVER is self.cause:
            self.reason = reason  # what is to be done about it changes
        if self.cause is not None and order.index(cause) <= order.index(self.cause):
            return
        self.cause, self.reason = cause, reason
        self._may_begin = False
        if self.stop_state is StopState.RUN or (cause in STAYS and self.stop_state is not StopState.OFF):
            self._enter(StopState.HOLD)

    def begin(self) -> None:
        """The things are back: begins anew, at once if the arm waits at home, or when it gets there."""
        self._may_begin = self.cause is Cause.AGAIN

    def clear(self, cause: Cause) -> None:
        """What passes by itself has passed: goes on, if that was all and the arm only holds."""
        if self.cause is cause and self.stop_state is StopState.HOLD:
            self.rearm()

    def rearm(self) -> None:
        """Goes back to running, from whatever state."""
        self.cause: Cause | None = None
        self.reason = ""
        self.ended = self._may_begin = False
        self._enter(StopState.RUN)

    def target(self) -> np.ndarray | None:
        """(A,) where the arm shall go at this tick; None to decelerate and hold. Not for state RUN."""
        if self.stop_state is not StopState.PARK:
            return self._rest
        share = min(self._ticks / self._park_ticks, 1.0)
        return self._from + (10 * share**3 - 15 * share**4 + 6 * share**5) * (self._home - self._from)

    def rest_at(self, position: np.ndarray) -> None:
        """Once the arm stands, it goes to (A,) and holds there; to be called at each tick until it stands."""
        if self._rest is None and self._still_ticks >= STILL_TICKS:
            self._rest = position.copy()

    def advance(self, command: np.ndarray, finishing: bool = False) -> None:
        """Takes note of the command that was sent at this tick and moves on to the next state when due.

        Args:
            command: (A,)
            finishing: the run shall end; an emergency stop then ends where it holds.
        """
        still = np.abs(command - self._last).max() < STILL_RAD
        self._last = command
        if self.stop_state is StopState.RUN:
            return
        self._ticks += 1
        self._still_ticks = self._still_ticks + 1 if still else 0
        still_s = (self._still_ticks - STILL_TICKS) / self._hz
        config = self._config
        if self.stop_state is StopState.HOLD:
            if self.cause is Cause.ESTOP:
                self.ended = finishing and still_s >= config.end_after_s
            elif self.cause is Cause.NOT_FOLLOWING:
                self.ended = still_s >= config.park_after_s
            elif self.cause is Cause.NO_DRIVER:
                pass  # it waits for the person as long as that takes
            elif still_s >= self._hold_s():
                self._enter(StopState.PARK)
                self._from = command
                way = float(np.abs(self._home - command).max())
                self._park_ticks = max(1.875 * way / config.park_speed * self._hz, 1.0)
        elif (
            self.stop_state is StopState.PARK
            and self._ticks >= self._park_ticks
            and still_s >= config.off_after_s
        ):
            if self.cause is Cause.AGAIN:
                if self._may_begin:
                    self.rearm()
                return
            at_home = np.abs(command - self._home).max() < AT_HOME_RAD
            if self._can_relax and at_home:  # an arm that could not get there would drop
                self._enter(StopState.OFF)
            self.ended = True

    def _hold_s(self) -> float:
        """How long the arm stands before it goes home."""
        config = self._config
        if self.cause in ASKED_FOR:
            return config.end_after_s
        if self.cause is Cause.STALE and config.stale_after_s is not None:
            return config.stale_after_s
        return config.park_after_s

    def _enter(self, stop_state: StopState) -> None:
        self.stop_state = stop_state
        self._ticks = self._still_ticks = 0
        self._rest: np.ndarray | None = None
