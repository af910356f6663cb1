"""A simulated robot under the wall clock: physics in one process, pictures in another.

Whoever steps the world shares where everything is (`sim/sim_state_channel.py`): `physics_process`, which
steps it for each command that the control process writes (`sim/robot.py`), or the hardware twin. A process
that stands for the cameras draws the same scene from that, 30 times a second. Both take milliseconds at
times, and must not be in the way of a command.
"""

from __future__ import annotations

import os
import select
import time
from multiprocessing.connection import Connection
from pathlib import Path

from ideomotor.control.runtime.realtime import realtime
from ideomotor.control.runtime.seqlock import Follower, Mailbox
from ideomotor.control.runtime.shared_state import SharedState, SharedStateSpec, attach, pack_frames
from ideomotor.control.runtime.supervisor import live_with_parent, start_heartbeat
from ideomotor.control.types import Command
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.sim_state_channel import SceneSpec, SceneWriter, scene_file
from ideomotor.sim.world import World

HEARTBEAT_S = 0.02  # heartbeat period at most


class RobotSimulation:
    """A world that moves on by a tick for each command in the shared state, and shows where it then is.

    Args:
        world: the world.
        shared: with the commands.
        finish: request that the run finish when the task is solved.
    """

    def __init__(self, world: World, shared: SharedState, finish: bool) -> None:
        self.world = world
        self._shared, self._finish = shared, finish
        self._commands = Follower(shared.sim_command)
        self._state = shared.sim_state.new()
        self._writer = SceneWriter(world, shared.scene)
        self._show_state()

    def follow(self) -> int:
        """Carries out every command that has come since the last call, in order; returns how many."""
        commands = self._commands.new()
        for record in commands:
            self.world.step(Command(int(record["tick"]), record["position"]))
        if commands:
            self._show_state()
        if self._finish and self.world.success:
            self._finish = False
            self._shared.request("finish")
        return len(commands)

    def show(self) -> None:
        """Says that everything is still where it was, for those who draw it."""
        self._writer.show()

    def _show_state(self) -> None:
        record, state = self._state, self.world.state()
        record["time"], record["position"] = state.time, state.position
        record["velocity"], record["effort"] = state.velocity, state.effort
        self._shared.sim_state.write(record)
        self._writer.show()


def physics_process(
    spec: SharedStateSpec, scene: SceneSpec, finish: bool, wake: Connection, priority: int
) -> None:
    """Steps the world for ever.

    Args:
        finish: request that the run finish when the task is solved.
        wake: an eventfd that grows with each command, see `sim/robot.py`.
        priority: of SCHED_FIFO, below control's: it must not be preempted by what it has just commanded.
    """
    live_with_parent()
    shared = attach(spec)
    simulation = RobotSimulation(scene.world(), shared, finish)
    poll = select.poll()
    poll.register(wake.fileno(), select.POLLIN)
    with realtime(priority):
        while True:
            shared.heartbeat("body")
            if poll.poll(1000 * HEARTBEAT_S):
                os.eventfd_read(wake.fileno())
                simulation.follow()
            else:
                simulation.show()


def cameras_process(spec: SharedStateSpec, scene: SceneSpec) -> None:
    """Draws every camera of the world in the shared state, for ever."""
    live_with_parent()
    shared = attach(spec)
    _draw(shared, scene, shared.scene)


def twin_cameras_process(spec: SharedStateSpec, scene: SceneSpec, path: Path) -> None:
    """Draws every camera of a twin's world, for ever.

    Args:
        path: the file in which the twin shows it.
    """
    live_with_parent()
    _draw(attach(spec), scene, scene_file(path))


def _draw(shared: SharedState, scene: SceneSpec, mailbox: Mailbox) -> None:
    world = scene.world()
    cameras = world.embodiment.cameras
    seen, record = mailbox.new(), shared.frames.new()
    period_s = 1.0 / max((camera.hz for camera in cameras), default=30)
    world.observe()  # the first picture makes the renderer
    start_heartbeat(shared, "cameras")
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
            pack_frames(record, float(seen["time"]), images, shared.spec)
            shared.frames.write(record)
        time.sleep(max(due - time.monotonic(), 0.0))
