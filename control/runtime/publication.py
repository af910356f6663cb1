"""What a tick of control tells the other processes: the newest state, and every tick for the log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ideomotor.control.capabilities import TellsHealth
from ideomotor.control.runtime.person import Person
from ideomotor.control.runtime.playback import Playback
from ideomotor.control.runtime.safe_stop import SafeStop
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.control.runtime.watchdog import Ages
from ideomotor.control.types import Robot, RobotState

BOTH = ("tick", "time", "position", "velocity", "effort", "command", "stage", "reason", "driver")


class Publication:
    """Fills the records of `SharedState.state` and `SharedState.ticks`, which are made once."""

    def __init__(
        self, shared: SharedState, robot: Robot, stop: SafeStop, playback: Playback, person: Person
    ) -> None:
        self._shared, self._stop, self._playback, self._person = shared, stop, playback, person
        self._state, self._tick = shared.state.new(), shared.ticks.new()
        self._state["temperature"] = self._state["voltage"] = np.nan
        self._health = robot if isinstance(robot, TellsHealth) else None

    def state(self, tick: int, now: float, state: RobotState, commands: np.ndarray, executed: bool) -> None:
        """Publishes the newest state.

        Args:
            now: [s], when the tick began.
            commands: (3, A) sent last, that of this tick included, oldest first.
            executed: a chunk's command was sent.
        """
        out, stop = self._state, self._stop
        out["tick"], out["time"] = tick, now
        out["position"], out["velocity"], out["effort"] = state.position, state.velocity, state.effort
        out["command"], out["last_commands"] = commands[2], commands
        self._playback.publish(out, executed)
        out["stage"], out["reason"] = stop.stop_state.encode(), stop.reason.encode()[:500]
        out["driver"] = self._person.driver.encode()
        if self._health:
            out["temperature"], out["voltage"] = self._health.temperature, self._health.voltage
        self._shared.state.write(out)

    def tick(self, ages: Ages, played: float, late_us: float, reasons: Sequence[str]) -> None:
        """Publishes the same once more, besides how the tick went.

        Args:
            played: the moment of the policy's time that it played [ticks]; NaN if it did not.
            late_us: that the tick before this one began after its deadline.
            reasons: why the safety filter changed the command.
        """
        full = self._tick
        for name in BOTH:
            full[name] = self._state[name]
        full["policy_time"] = played
        full["late_us"], full["state_age"], full["action_age"] = late_us, ages.state_s, self._person.age_s
        full["chunk_age"] = np.nan if ages.chunk_s is None else ages.chunk_s
        full["plan_age"] = np.nan if ages.plan_s is None else ages.plan_s
        full["interventions"] = ",".join(reasons).encode()
        self._shared.ticks.write(full)
