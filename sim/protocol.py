"""What a rollout needs of an episode's world: ours (`world.py`), or others' environments (`external.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.types import Command, Observation, RobotState
from ideomotor.sim.instructions.judging import Judging


class EpisodeWorld(Protocol):
    """One episode of one task, a tick at a time; the truth beside what the robot senses."""

    @property
    def embodiment(self) -> Embodiment: ...

    @property
    def seed(self) -> int: ...

    @property
    def instruction(self) -> str:
        """What success is judged by, in words."""
        ...

    @property
    def judging(self) -> Judging:
        """Whether the instruction is judged, and what by."""
        ...

    @property
    def success(self) -> bool | None:
        """Whether the task has succeeded; None: nobody can judge it."""
        ...

    @property
    def tick(self) -> int: ...

    @property
    def time(self) -> float:
        """Of the lockstep clock [s]."""
        ...

    @property
    def max_ticks(self) -> int:
        """Ticks after which an episode has failed."""
        ...

    @property
    def detouring(self) -> bool:
        """Whether the expert goes to a wrong pose on purpose, which nobody should imitate."""
        ...

    def state(self) -> RobotState:
        """What the controller reads: positions, velocities and efforts, each (A,)."""
        ...

    def observe(self) -> Observation:
        """What the policy sees: a picture of every camera, the state, the instruction."""
        ...

    def film(self, observation: Observation, height: int, quality: str) -> Mapping[str, np.ndarray]:
        """What a film shows at present, {camera: uint8 (H, W, 3)}.

        Args:
            observation: the frame that is filmed.
            height: of the pictures, where the world can render them so.
            quality: of rendering: fast or high.
        """
        ...

    def step(self, command: Command) -> None:
        """Moves time on by one tick."""
        ...

    def expert(self, noise: float = 0.0, past_commands: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """The scripted expert's targets, (A,) one a tick.

        Args:
            noise: how much disturbs it.
            past_commands: (P, A) of the ticks before, where it takes over from somebody else.

        Raises:
            UserError: there is none.
        """
        ...

    def progress(self) -> float:
        """Share of the subtasks done, in [0, 1]."""
        ...

    def subtask(self) -> str:
        """What is to be done now."""
        ...

    def plan_text(self) -> str:
        """The readable plan that a perfect interpreter would write."""
        ...

    def referred(self) -> Mapping[str, np.ndarray]:
        """Positions (3,) [m] of "target" and "place", where they are known."""
        ...

    def keypoints(self) -> Mapping[str, tuple[str, float, float]]:
        """Where a camera sees them: {"target" or "place": (camera, u, v)}."""
        ...

    def alternative_instruction(self) -> str | None:
        """An instruction that names another thing that is there; None if there is none."""
        ...

    def close(self) -> None:
        """Frees renderers and environments."""
        ...
