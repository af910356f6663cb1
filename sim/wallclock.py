"""A simulated robot under the wall clock: physics in the control process, pictures in another.

The control process steps the world by writing commands, as it would write to servos, and shares where
everything is; a process that stands for the cameras draws the same scene from that, 30 times a second.
Drawing takes milliseconds and must not be in the way of a command.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import mujoco

from ideomotor.control.board import MAX_SCENE_FLOATS, Board, BoardSpec, attach, pack_frames
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.supervisor import keep_beating, live_with_parent
from ideomotor.control.types import Command
from ideomotor.sim.robot import SimulatedRobot
from ideomotor.sim.world import World


@dataclass(frozen=True)
class SceneSpec:
    """Which world; both processes make the same one from it."""

    task: str
    seed: int
    level: str = "light"
    instruction: str | None = None
    robot: str = "so101"

    def world(self) -> World:
        """A fresh world. UserError for unknown names."""
        world = World(
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


class SharedRobot(SimulatedRobot):
    """A simulated robot that shows its world to other processes.

    Args:
        scene: the world.
        finish: order the run to finish when the task is solved.
        board: where to show it.
    """

    def __init__(self, scene: SceneSpec, finish: bool, board: Board) -> None:
        super().__init__(scene.world())
        self._board, self._record = board, board.scene.new()
        self._finish = finish
        self._show()

    def write(self, command: Command) -> None:
        """Moves the world on by a tick and shows it."""
        super().write(command)
        self._show()
        if self._finish and self.world.success:
            self._finish = False
            self._board.order("finish")

    def _show(self) -> None:
        positions = self.world.data.qpos
        self._record["time"], self._record["n"] = time.monotonic(), len(positions)
        self._record["positions"][: len(positions)] = positions
        self._record["success"] = self.world.success
        self._board.scene.write(self._record)


def cameras_process(spec: BoardSpec, scene: SceneSpec) -> None:
    """Draws every camera of the robot at its rate, for ever."""
    live_with_parent()
    board = attach(spec)
    world = scene.world()
    cameras = world.embodiment.cameras
    seen, record = board.scene.new(), board.frames.new()
    period_s = 1.0 / max((camera.hz for camera in cameras), default=30)
    world.observe()  # the first picture makes the renderer
    keep_beating(board, "cameras")
    drawn, due = 0, time.monotonic()
    while True:
        due = max(due + period_s, time.monotonic())
        number = board.scene.read(seen)
        if number > drawn:
            drawn = number
            world.data.qpos[:] = seen["positions"][: int(seen["n"])]
            mujoco.mj_kinematics(world.model, world.data)
            mujoco.mj_comPos(world.model, world.data)
            mujoco.mj_camlight(world.model, world.data)
            images = {c.name: world.render(c.name, c.height, c.width) for c in cameras}
            pack_frames(record, float(seen["time"]), images, spec)
            board.frames.write(record)
        time.sleep(max(due - time.monotonic(), 0.0))


def succeeded(board: Board) -> bool:
    """Whether the task was solved in the world shown on the board."""
    record = board.scene.new()
    return bool(board.scene.read(record)) and bool(record["success"])
