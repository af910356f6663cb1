"""A simulated robot under the wall clock: physics in one process, pictures in another.

Whoever steps the world shares where everything is (`sim/shared_scene.py`): the control process, which steps
it by writing commands as it would write to servos, or the hardware twin. A process that stands for the
cameras draws the same scene from that, 30 times a second. Drawing takes milliseconds and must not be in the
way of a command.
"""

from __future__ import annotations

import time
from pathlib import Path

import mujoco

from ideomotor.control.board import Board, BoardSpec, attach, pack_frames
from ideomotor.control.seqlock import Mailbox
from ideomotor.control.supervisor import keep_beating, live_with_parent
from ideomotor.control.types import Command
from ideomotor.sim.robot import SimulatedRobot
from ideomotor.sim.shared_scene import SceneSpec, SceneWriter, scene_file


class SharedRobot(SimulatedRobot):
    """A simulated robot that shows its world to other processes.

    Args:
        scene: the world.
        finish: order the run to finish when the task is solved.
        board: where to show it.
    """

    def __init__(self, scene: SceneSpec, finish: bool, board: Board) -> None:
        super().__init__(scene.world())
        self._board, self._finish = board, finish
        self._writer = SceneWriter(self.world, board.scene)

    def write(self, command: Command) -> None:
        """Moves the world on by a tick and shows it."""
        super().write(command)
        self._writer.show()
        if self._finish and self.world.success:
            self._finish = False
            self._board.order("finish")


def cameras_process(spec: BoardSpec, scene: SceneSpec) -> None:
    """Draws every camera of the world on the board, for ever."""
    live_with_parent()
    board = attach(spec)
    _draw(board, scene, board.scene)


def twin_cameras_process(spec: BoardSpec, scene: SceneSpec, path: Path) -> None:
    """Draws every camera of a twin's world, for ever.

    Args:
        path: the file in which the twin shows it.
    """
    live_with_parent()
    _draw(attach(spec), scene, scene_file(path))


def _draw(board: Board, scene: SceneSpec, mailbox: Mailbox) -> None:
    world = scene.world()
    cameras = world.embodiment.cameras
    seen, record = mailbox.new(), board.frames.new()
    period_s = 1.0 / max((camera.hz for camera in cameras), default=30)
    world.observe()  # the first picture makes the renderer
    keep_beating(board, "cameras")
    drawn, due = 0, time.monotonic()
    while True:
        due = max(due + period_s, time.monotonic())
        number = mailbox.read(seen)
        if number > drawn:
            drawn = number
            world.data.qpos[:] = seen["positions"][: int(seen["n"])]
            mujoco.mj_kinematics(world.model, world.data)
            mujoco.mj_comPos(world.model, world.data)
            mujoco.mj_camlight(world.model, world.data)
            images = {c.name: world.render(c.name, c.height, c.width) for c in cameras}
            pack_frames(record, float(seen["time"]), images, board.spec)
            board.frames.write(record)
        time.sleep(max(due - time.monotonic(), 0.0))
