"""Experts' targets straight to a world, with nobody between: for what is neither recorded nor judged."""

from __future__ import annotations

import numpy as np

from ideomotor.control.types import Command
from ideomotor.sim.world import World

PAST = 3  # commands that tell how the arm moves


class Driving:
    """A world that follows targets, and what it was sent last.

    Args:
        world: at rest.
    """

    def __init__(self, world: World):
        self._world = world
        self._sent = [world.data.ctrl[: len(world.embodiment.joints)].copy()] * PAST

    @property
    def past_commands(self) -> np.ndarray:
        """(PAST, A) [rad], the newest last."""
        return np.array(self._sent[-PAST:])

    def follow(self, target: np.ndarray) -> None:
        """One tick of a target (A,) [rad]."""
        robot = self._world.embodiment
        self._sent.append(np.clip(target, robot.lower, robot.upper))
        self._world.step(Command(self._world.tick, self._sent[-1]))
