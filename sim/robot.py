"""The simulated robot by the wall clock, as control sees it: commands and states in shared memory.

Its physics are in a process of their own (`sim/wallclock.py`, `physics_process`), so that a control tick
costs no more than writing a command to servos does. MuJoCo is not imported here.
"""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.control.types import Command, RobotState


class SimulatedRobot:
    """A `control.types.Robot`: each command moves the simulated world on by one tick.

    Args:
        wake: an eventfd that the simulation waits for, from `waker`.
        shared: where the simulation shows its state.
    """

    def __init__(self, wake: Connection, shared: SharedState) -> None:
        self._wake, self._shared = wake, shared
        self._command, self._state_in = shared.sim_command.new(), shared.sim_state.new()
        self._state: RobotState | None = None

    def connect(self) -> None:
        """Nothing to connect to: the simulation gave a heartbeat before control was started."""

    def read(self) -> RobotState:
        """The simulation's newest state, or the one before it if no whole one is met.

        Raises:
            OSError: there has been none yet.
        """
        state = self._state_in
        if self._shared.sim_state.read(state):
            arrays = (state[name].copy() for name in ("position", "velocity", "effort"))
            self._state = RobotState(float(state["time"]), *arrays)
        if self._state is None:
            raise OSError("the simulated body has shown no state yet")
        return self._state

    def write(self, command: Command) -> None:
        """Hands the command over and does not wait for what comes of it."""
        self._command["tick"], self._command["position"] = command.tick, command.position
        self._shared.sim_command.write(self._command)
        os.eventfd_write(self._wake.fileno(), 1)

    def hold(self) -> None:
        """Nothing to do: it stands while there are no commands."""

    def disconnect(self) -> None:
        """Nothing to let go of."""


def waker() -> Connection:
    """A new eventfd, as a connection, which can be handed to a process that is started."""
    return Connection(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
