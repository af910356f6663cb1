"""The simulated robot: the same `Robot` border as servos on a bus, over a `World`."""

from __future__ import annotations

from ideomotor.control.types import Command, RobotState
from ideomotor.sim.world import World


class SimulatedRobot:
    """A `control.types.Robot` in lockstep: writing a command is what makes a tick of time pass."""

    def __init__(self, world: World):
        self.world = world

    def connect(self) -> None:
        """Nothing to connect to."""

    def read(self) -> RobotState:
        return self.world.state()

    def write(self, command: Command) -> None:
        self.world.step(command)

    def hold(self) -> None:
        """Repeats the last command for one tick."""
        position = self.world.data.ctrl[: len(self.world.embodiment.joints)].copy()
        self.world.step(Command(self.world.tick, position))

    def disconnect(self) -> None:
        self.world.close()
