"""A simulated world that other processes can look at: what it is, and where everything in it is now.

Neither MuJoCo nor our worlds are imported before one is made, so that a supervisor of processes stays light.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.seqlock import Mailbox, size
from ideomotor.control.runtime.shared_state_spec import MAX_SCENE_FLOATS, SharedStateSpec

if TYPE_CHECKING:
    from ideomotor.sim.world import World

RECORD = SharedStateSpec("", 0, ()).dtypes["scene"]


@dataclass(frozen=True)
class SceneSpec:
    """Which world; every process makes the same one from it."""

    task: str
    seed: int
    level: str = "light"
    instruction: str | None = None
    robot: str = "so101"

    def world(self) -> World:
        """A fresh world. UserError for unknown names."""
        from ideomotor.sim.open_world import task_world

        world = task_world(
            self.task,
            self.seed,
            level=self.level,
            instruction=self.instruction,
            embodiment=load_embodiment(self.robot),
        )
        if world.model.nq > MAX_SCENE_FLOATS:
            raise UserError(
                f"task: {self.task!r} has {world.model.nq} positions, room for {MAX_SCENE_FLOATS}"
            )
        return world


class SceneWriter:
    """Shows a world in a mailbox.

    Args:
        world: whose positions and success.
        mailbox: for records of type `RECORD`; see `SharedState.scene` and `scene_file`.
    """

    def __init__(self, world: World, mailbox: Mailbox) -> None:
        self._world, self._mailbox, self._record = world, mailbox, mailbox.new()
        self.show()

    def show(self) -> None:
        """Publishes how the world is now."""
        positions, record = self._world.data.qpos, self._record
        record["time"], record["n"] = time.monotonic(), len(positions)
        record["positions"][: len(positions)] = positions
        record["success"] = bool(self._world.success)
        self._mailbox.write(record)


def scene_file(path: Path, *, create: bool = False) -> Mailbox:
    """Returns the mailbox in a file, for processes without a shared state; it is theirs who `create` it."""
    if create:
        path.write_bytes(bytes(size(RECORD)))
    with path.open("r+b") as file:
        return Mailbox(mmap.mmap(file.fileno(), 0), RECORD)


def succeeded(mailbox: Mailbox) -> bool:
    """Whether the task was solved in the world shown there."""
    record: np.ndarray = mailbox.new()
    return bool(mailbox.read(record)) and bool(record["success"])
