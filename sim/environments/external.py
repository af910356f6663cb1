"""Somebody else's Gymnasium environment as a world that rollouts run in (`protocol.EpisodeWorld`).

What is called what in it is said by the section `environment` of an embodiment file. An episode gets an
environment of its own, made anew and reset with the episode's seed, so that nothing of the one before can
reach it. Pictures are taken when somebody looks, not at every step.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import cv2
import gymnasium
import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.environment import RENDER, RENDER_NAMED, Environment, EnvironmentTask
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.types import Command, Observation, RobotState
from ideomotor.sim.disturbance import disturbance
from ideomotor.sim.instructions.judging import checked_instruction
from ideomotor.sim.instructions.sentences import judging_of
from ideomotor.sim.rendering.render import backend

Act = Callable[[Any], np.ndarray]  # observation of the environment -> (A,) command
Expert = Callable[[Any], Act]  # the environment, reset -> how to act in it
# the environment -> where the first camera sees "target" and "place", or one of them: (u, v) in [0, 1]
Points = Callable[[Any], dict[str, tuple[float, float]]]


class ExternalWorld:
    """An episode of a task in a Gymnasium environment, one of its steps at a time.

    Args:
        task: name in the embodiment's section `environment`.
        seed: what `reset` is given.
        embodiment: one with that section.
        instruction: what to say instead of the task's own words. Success is what the environment counts as
            that, and is judged if the words of the task are among those of the instruction.
        axis, strength: of generalisation, which `reset` is given as options where the file names the axis.

    Raises:
        UserError: unknown task, an environment that cannot be made, or one that is not as the file says.
    """

    detouring = False

    def __init__(
        self, task: str, seed: int, embodiment: Embodiment, instruction: str | None = None,
        axis: str = "", strength: int = 0,
    ):  # fmt: skip
        self.embodiment, self.seed = embodiment, seed
        self.where = section(embodiment)
        self.task: EnvironmentTask = self.where.task(task)
        self.instruction = self.task.instruction if instruction is None else checked_instruction(instruction)
        self.judging = judging_of(self.task.instruction, self.instruction)
        self.env = make_environment(embodiment, task)
        self.tick, self._ended = 0, False
        self.success: bool | None = False if self.judging.judged else None  # None: nobody can judge it
        self._disturbance: Iterator[np.ndarray] | None = None
        try:
            varied = {"axis": axis, "strength": strength} if axis in self.where.axes else None
            self._seen, info = self.env.reset(seed=seed, options=varied)
            if varied and instruction is None:  # it may be in other words, which mean the same
                self.instruction = str(info.get("instruction", self.instruction))
            self._state()
        except BaseException:
            self.close()
            raise

    @property
    def time(self) -> float:
        """Of the lockstep clock [s]."""
        return self.tick / self.embodiment.control_hz

    @property
    def max_ticks(self) -> int:
        """Ticks after which an episode has failed."""
        return self.where.steps_of(self.task.name)

    def state(self) -> RobotState:
        """The state; an environment tells neither velocities nor efforts apart from it."""
        state = self._state()
        unknown = np.full_like(state, np.nan)
        return RobotState(self.time, state, unknown, unknown)

    def observe(self) -> Observation:
        """The pictures, at the sizes that the embodiment says, and the state."""
        images = {camera.name: self.render(camera.name) for camera in self.embodiment.cameras}
        return Observation(self.time, self.tick, images, self._state().astype(np.float32), self.instruction)

    def render(self, camera: str) -> np.ndarray:
        """What a camera sees, uint8 (H, W, 3) of the size in the embodiment file.

        Raises:
            UserError: the environment gives something else than a colour picture.
        """
        spec, path = self.embodiment.camera(camera), self.where.images[camera]
        if path.startswith(RENDER_NAMED):
            drawing: Any = self.env.unwrapped
            image: Any = drawing.render(path.removeprefix(RENDER_NAMED))
        else:
            image = self.env.render() if path == RENDER else found(self._seen, path, f"images.{camera}")
        shape = getattr(image, "shape", None)
        if shape is None or len(shape) != 3 or shape[2] != 3 or image.dtype != np.uint8:
            got = type(image).__name__ if shape is None else f"{image.dtype} {shape}"
            raise UserError(f"environment.images.{camera}: {path!r} gives {got}, expected uint8 (H, W, 3)")
        if shape[:2] == (spec.height, spec.width):
            return np.ascontiguousarray(image)
        return cv2.resize(image, (spec.width, spec.height), interpolation=cv2.INTER_AREA)

    def film(self, observation: Observation, height: int, quality: str) -> dict[str, np.ndarray]:
        """What a film shows: what the policy sees."""
        return dict(observation.images)

    def step(self, command: Command) -> None:
        """Moves time on by one step of the environment; once that has ended the episode, time alone."""
        if self._ended:
            self.tick += 1
            return
        position = command.position
        if self._disturbance is not None:
            position = np.clip(position + next(self._disturbance), self._space.low, self._space.high)
        self._seen, _, self._ended, _, info = self.env.step(position.astype(self._space.dtype))
        self.tick += 1
        reached = float(np.asarray(found(info, self.where.success, "success", "info")))
        if self.success is not None:
            self.success = self.success or reached >= self.where.at_least

    def expert(self, noise: float = 0.0, past_commands: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """What the scripted expert does in the present state, (A,), each time anew.

        Args:
            noise: how much of the commands' range disturbs what is carried out, see `disturbance`. What the
                expert wants is not changed: it shows the way back (DART, Laskey et al., arXiv 1703.09327).
            past_commands: make no difference, an expert here goes by what it sees.

        Raises:
            UserError: there is none.
        """
        if not self.where.expert:
            raise UserError(f"expert: {self.embodiment.name} has none, its file names no environment.expert")
        if noise:
            self._disturbance = disturbance(self.embodiment, self._space, noise, self.seed)
        act: Act = named(self.where.expert, "expert")(self.env.unwrapped)
        while True:
            yield np.asarray(act(self._seen), dtype=np.float64)

    def close(self) -> None:
        """Frees the environment."""
        self.env.close()

    # ---- what is known of the task: not more than whether it is done

    def progress(self) -> float:
        """1 once the task has succeeded."""
        return float(bool(self.success))

    def subtask(self) -> str:
        """What is to be done now: all of it."""
        return "hold still" if self.success else self.instruction

    def plan_text(self) -> str:
        """The readable plan that a perfect interpreter would write."""
        return f"now: {self.subtask()}. next: hold still."

    def referred(self) -> dict[str, np.ndarray]:
        """Nobody tells where in the room things are."""
        return {}

    def keypoints(self) -> dict[str, tuple[str, float, float]]:
        """Where the first camera sees them, if the file names somebody who knows."""
        if not self.where.points:
            return {}
        tell: Points = named(self.where.points, "points")
        camera = self.embodiment.cameras[0].name
        return {name: (camera, u, v) for name, (u, v) in tell(self.env.unwrapped).items()}

    def alternative_instruction(self) -> str | None:
        """Another thing to do in this scene: none is known."""
        return None

    @cached_property
    def _space(self) -> gymnasium.spaces.Box:
        space = self.env.action_space
        assert isinstance(space, gymnasium.spaces.Box)  # checked where it was made
        return space

    def _state(self) -> np.ndarray:
        """(D,) float64."""
        values = np.asarray(found(self._seen, self.where.state, "state"), dtype=np.float64).ravel()
        columns = self.where.columns
        if columns and max(columns) >= len(values):
            raise UserError(f"environment.columns: got {max(columns)}, expected below {len(values)}")
        values = values[list(columns)] if columns else values
        if len(values) != len(self.embodiment.state_names):
            names = ", ".join(self.embodiment.state_names)
            raise UserError(f"environment.state: {len(values)} values, expected those of {names}")
        return values


def section(embodiment: Embodiment) -> Environment:
    """The embodiment's environment; UserError where its file has none."""
    if embodiment.environment is None:
        raise UserError(f"environment: {embodiment.name} lives in none, its file has no such section")
    return embodiment.environment


def make_environment(embodiment: Embodiment, task: str) -> gymnasium.Env[Any, Any]:
    """The environment of a task, not reset.

    Raises:
        UserError: it is not installed, not registered, or its actions are not the embodiment's.
    """
    where = section(embodiment)
    options = dict(where.options)
    if where.task_option:
        options[where.task_option] = where.task(task).name
    backend()  # tells mujoco how to draw, before an environment asks it to
    try:
        env = gymnasium.make(where.make, disable_env_checker=True, **options)
    except ModuleNotFoundError as error:
        raise UserError(
            f"environment: {where.make} needs the module {error.name!r}; {where.needs or 'install it'}"
        ) from None
    except (gymnasium.error.Error, TypeError) as error:
        raise UserError(f"environment.make: {where.make!r} with {options}: {error}") from None
    space, names = env.action_space, embodiment.joint_names
    if not isinstance(space, gymnasium.spaces.Box) or space.shape != (len(names),):
        env.close()
        raise UserError(f"environment: actions are {space}, expected a box of {', '.join(names)}")
    if not (np.all(space.low <= embodiment.lower + 1e-6) and np.all(space.high >= embodiment.upper - 1e-6)):
        env.close()
        raise UserError(
            f"environment: actions are {space}, expected the ranges of {embodiment.name}'s joints"
        )
    return env


def check_seeding(embodiment: Embodiment, task: str) -> None:
    """Raises UserError unless a seed alone decides how an episode of the task starts.

    An environment that ignores its seed gives results that nobody can repeat, and one that starts always
    the same is tested on what it was trained on.
    """
    first, again, other = (_beginning(embodiment, task, seed) for seed in (0, 0, 1))
    if first != again:
        raise UserError(f"environment: {task!r} starts differently with the same seed: reset() ignores it")
    if first == other:
        raise UserError(f"environment: {task!r} starts the same with another seed: reset() ignores it")


def _beginning(embodiment: Embodiment, task: str, seed: int) -> bytes:
    """All that the environment tells at its start, or its first picture where that is all."""
    world = ExternalWorld(task, seed, embodiment)
    try:
        start = b"".join(_arrays(world._seen))
        return start or world.render(embodiment.cameras[0].name).tobytes()
    finally:
        world.close()


def _arrays(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _arrays(value[key])
    elif isinstance(value, np.ndarray):
        yield value.tobytes()


def named(function: str, field: str) -> Any:
    """The function that the file names, "MODULE:FUNCTION". UserError where there is no such one."""
    module, name = function.split(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"environment.{field}: {function!r}: {error}") from None


def found(values: Any, path: str, field: str, of: str = "the observation") -> Any:
    """What lies at a path of keys with dots between; an empty one is everything.

    Raises:
        UserError: there is no such key, with those that there are.
    """
    for key in filter(None, path.split(".")):
        if not isinstance(values, dict):
            raise UserError(f"environment.{field}: {key!r} of {of}, which has no keys there")
        if key not in values:
            raise unknown_name(f"environment.{field}: key of {of}", key, map(str, values))
        values = values[key]
    return values
