"""One episode of one task: the scene in motion, what the robot senses, and whether it did what was asked.

A `World` is deterministic to the bit: the same arguments and the same commands give the same states and
images (on one rendering backend). It knows the truth; a policy only ever sees `observe()`.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Command, Observation, RobotState
from ideomotor.sim.episode import Episode, another_goal, phrase, plan_text, refer
from ideomotor.sim.instructions.judging import Judging, checked_instruction
from ideomotor.sim.instructions.meaning import Meaning, judging, understand
from ideomotor.sim.layout import rearranged
from ideomotor.sim.motion import Arm
from ideomotor.sim.paths import FADE_S
from ideomotor.sim.projection import project
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.rendering.render import Renderer, make_renderer
from ideomotor.sim.scene_model import build_model, fingers_of, reset, stand
from ideomotor.sim.scene_truth import SceneTruth
from ideomotor.sim.task import Goal, Subtask, Task

SUBSTEPS = 4  # physics steps to a command


class World(SceneTruth):
    """An episode of a task in simulation, one tick of 120 Hz at a time.

    Args:
        episode: the task, the scene and what to do in it; `open_world.task_world` draws one.
        instruction: what to do instead of the episode's own goal, in any words. Success is judged if they
            mean one goal of the scene (`instructions/meaning.py`); `judging` says what by, or why not.
        embodiment: the SO-101 by default.
        quality: of pictures: fast or high.

    Raises:
        UserError: the instruction is empty.
    """

    def __init__(
        self,
        episode: Episode,
        instruction: str | None = None,
        embodiment: Embodiment | None = None,
        quality: str = "fast",
    ):
        self.task, self.seed = episode.task, episode.seed
        self.scene = self._first_scene = episode.scene
        self.embodiment = embodiment or load_embodiment("so101")
        self._phrasing, self._quality = episode.phrasing, quality
        meaning = Meaning(episode.goal)
        self.instruction = episode.instruction
        if instruction is not None:
            self.instruction = checked_instruction(instruction)
            meaning = understand(self.task, self.scene, instruction)
        self._goal = meaning.goal
        self.judging: Judging = judging(self.task, meaning)
        self.model = build_model(self.scene, self.embodiment)
        self.data = mujoco.MjData(self.model)
        self._arm: Arm | None = None
        self._forked = False
        self._renderers: dict[tuple[int, int, str], Renderer] = {}
        self._joints = len(self.embodiment.joints)
        self._fingers = fingers_of(self.model)
        robot = self.embodiment
        home = np.clip(robot.home_position + episode.home_offset, robot.lower + 0.01, robot.upper - 0.01)
        reset(self.model, self.data, self.scene, home)
        self.tick = self._substep = 0
        self._start_qpos = self.data.qpos.copy()
        self.subtasks: tuple[Subtask, ...] = self.task.subtasks(self.scene, self._goal) if self._goal else ()
        self._begin_task()

    def _begin_task(self) -> None:
        self.start_positions = {thing.name: self.position(thing.name) for thing in self.scene.things}
        self._done = self._held = 0
        self.success: bool | None = None if self._goal is None else False  # None: nobody can judge it
        self._judge()

    # ---- what the robot senses and does

    @property
    def time(self) -> float:
        """Of the lockstep clock [s]."""
        return self.tick / self.embodiment.control_hz

    @property
    def max_ticks(self) -> int:
        """Ticks after which an episode has failed."""
        return round(self.task.max_seconds * self.embodiment.control_hz)

    def state(self) -> RobotState:
        """Joint positions, velocities and servo torques."""
        n, data = self._joints, self.data
        measured = (data.qpos[:n].copy(), data.qvel[:n].copy(), data.actuator_force[:n].copy())
        return RobotState(self.time, *measured)

    def observe(self) -> Observation:
        """Renders every camera of the embodiment and reads the joints."""
        cameras = self.embodiment.cameras
        images = {camera.name: self.render(camera.name, camera.height, camera.width) for camera in cameras}
        state = self.data.qpos[: self._joints].astype(np.float32)
        return Observation(self.time, self.tick, images, state, self.instruction)

    def render(self, camera: str, height: int, width: int, quality: str = "") -> np.ndarray:
        """A picture, uint8 (height, width, 3), of a camera by its name; `quality` is the world's if empty."""
        how = (height, width, quality or self._quality)
        if how not in self._renderers:
            self._renderers[how] = make_renderer(self.model, *how)
        return self._renderers[how].render(self.data, camera)

    def film(self, observation: Observation, height: int, quality: str) -> dict[str, np.ndarray]:
        """What a film shows at present: every camera as a square, {camera: uint8 (height, height, 3)}."""
        names = (camera.name for camera in self.embodiment.cameras)
        return {name: self.render(name, height, height, quality) for name in names}

    def step(self, command: Command) -> None:
        """Moves time on by one tick, the servos following `command`."""
        self.data.ctrl[: self._joints] = command.position
        self.advance(SUBSTEPS)

    def advance(self, substeps: int) -> None:
        """Moves time on by physics steps, four to a tick, with `data.ctrl` as it is.

        Raises:
            RuntimeError: the simulation became unstable, and MuJoCo has put everything back to its start.
        """
        while substeps > 0:
            steps = min(substeps, SUBSTEPS - self._substep)
            before = self.data.time
            mujoco.mj_step(self.model, self.data, steps)
            # mj_step leaves positions of derived quantities (bodies, sites) one step behind: bring them up.
            mujoco.mj_kinematics(self.model, self.data)
            if self.data.time <= before:  # MuJoCo has begun anew by itself
                raise RuntimeError(
                    f"{self.task.name}, seed {self.seed}: unstable after {self.time:.2f} s of simulation"
                )
            substeps -= steps
            self._substep = (self._substep + steps) % SUBSTEPS
            if self._substep == 0:
                self.tick += 1
                if not self._forked:
                    self._judge()

    def show(self, positions: np.ndarray) -> None:
        """Puts everything to where it is in another process's copy of this world, (nq,), a tick later.

        Velocities are those that this takes; what has been done is judged as ever.
        """
        seconds = 1 / self.embodiment.control_hz
        mujoco.mj_differentiatePos(self.model, self.data.qvel, seconds, self.data.qpos, positions)
        self.data.qpos[:] = positions
        mujoco.mj_forward(self.model, self.data)
        self.tick += 1
        self._judge()

    def put_back(self, arrangement: int = 0) -> None:
        """Puts everything but the arm back to where the episode began, for another attempt; time goes on.

        Args:
            arrangement: not 0: what can be grasped comes to other spots, drawn from this number and the seed.
        """
        joints = self._joints
        self.data.qpos[joints:] = self._start_qpos[joints:]
        self.data.qvel[joints:] = 0.0
        self.scene = self._first_scene
        if arrangement:
            draw = np.random.default_rng([self.seed, zlib.crc32(self.task.name.encode()), arrangement])
            stays = self._goal.target if self._goal and self._goal.spot else ""  # it goes from where it was
            self.scene = replace(self.scene, things=rearranged(draw, self.scene.things, stays))
            stand(self.model, self.data, self.scene)
        mujoco.mj_forward(self.model, self.data)
        self._begin_task()

    def turn_to(self, task: Task, goal: Goal, phrasing: str) -> None:
        """From here on something else is to be done, and time begins anew.

        Args:
            task: that judges it and has its expert.
            goal: about things of the scene.
            phrasing: template of the instruction.
        """
        self.task, self._goal, self._phrasing = task, goal, phrasing
        self.instruction = phrase(goal, phrasing)
        self.judging = judging(task, Meaning(goal))
        self.subtasks = task.subtasks(self.scene, goal)
        self.tick, self._start_qpos = 0, self.data.qpos.copy()
        self._begin_task()

    def fork(self) -> World:
        """A world in the same state that goes on by itself, to try something out; nothing is judged in it."""
        fork = copy.copy(self)
        fork._forked = True
        fork.data = mujoco.MjData(self.model)
        mujoco.mj_copyData(fork.data, self.model, self.data)
        fork._renderers, fork._arm = {}, None
        return fork

    def close(self) -> None:
        """Frees the renderers."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    # ---- the truth, for experts, judges and labels

    @property
    def goal(self) -> Goal:
        """What success is judged by. UserError where the instruction is not judged."""
        if self._goal is None:
            raise UserError(f"instruction: {self.instruction!r} is {self.judging.sentence()}")
        return self._goal

    def _judge(self) -> None:
        while self._done < len(self.subtasks) and self.subtasks[self._done].done(self):
            self._done += 1
        if self._goal is None:
            return
        self._held = self._held + 1 if self.task.success(self, self._goal) else 0
        if self._held >= max(1, round(self.task.hold_seconds * self.embodiment.control_hz)):
            self.success = True

    def progress(self) -> float:
        """Share of the subtasks done, 1 once the task has succeeded."""
        return 1.0 if self.success else self._done / (len(self.subtasks) + 1)

    @property
    def done(self) -> int:
        """How many subtasks are done; what was done once stays done."""
        return self._done

    def subtask(self) -> str:
        """What is to be done now; the instruction, where it is not judged."""
        if self._goal is None:
            return self.instruction
        return self.subtasks[self._done].text if self._done < len(self.subtasks) else "hold still"

    def next_subtask(self) -> str:
        """What comes after that."""
        return self.subtasks[self._done + 1].text if self._done + 1 < len(self.subtasks) else "hold still"

    def plan_text(self) -> str:
        """The readable plan that a perfect interpreter would write."""
        return plan_text(self.scene, self.subtask(), self.next_subtask())

    def referred(self) -> dict[str, np.ndarray]:
        """Positions (3,) [m] of the thing to handle ("target") and of where it goes ("place"), if known."""
        if self._goal is None:
            return {}
        goal = self.current_goal()
        return refer(goal, {name: self.position(name) for name in (goal.target, goal.place) if name})

    def current_goal(self) -> Goal:
        """The part of a long goal that is under way; the goal itself otherwise."""
        return self.subtasks[min(self._done, len(self.subtasks) - 1)].goal

    def keypoints(self) -> dict[str, tuple[str, float, float]]:
        """Where the front camera sees what is referred to: {name: ("front", u, v)}."""
        return {
            name: ("front", *project(self.model, self.data, "front", position))
            for name, position in self.referred().items()
        }

    def expert(self, noise: float = 0.0, past_commands: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """The scripted expert's joint targets, (A,) one a tick, until it has nothing left to do.

        Args:
            noise: probability of a detour at the start, so that demonstrations show recoveries.
            past_commands: (P, A) [rad] of the ticks before, where it takes over an arm that moves.

        Raises:
            UserError: the instruction is not judged.
        """
        goal = self.goal
        generator = np.random.default_rng([self.seed, zlib.crc32(self.task.name.encode()), 7])
        self._arm = Arm(self.embodiment, self.data.ctrl[: self._joints], generator, noise, past_commands)
        yield from self.task.expert(self, self._arm, goal)
        yield from self._arm.wait(FADE_S)  # nothing to do is no reason to stop dead

    @property
    def detouring(self) -> bool:
        """Whether the expert goes to a wrong pose on purpose, which nobody should imitate."""
        return self._arm is not None and self._arm.detouring

    def alternative_instruction(self) -> str | None:
        """The same phrasing naming another present object, or None if there is none."""
        other = another_goal(self.task, self.scene, self.goal, self.seed)
        return other and phrase(other, self._phrasing)
