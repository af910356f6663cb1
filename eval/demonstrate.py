"""Demonstrations of the scripted experts, each a pure function of its `Attempt`, ready for a dataset.

With a policy this is data aggregation (DAgger, Ross et al., AISTATS 2011): the states are those that the
policy gets into, the labels are the expert's. In our own worlds the expert is asked at every frame what it
would do from exactly there (sim/expert_labels.py); in an environment of others it takes over at some tick.
With a teacher, another policy, the labels are its chunks, and the student drives to the end.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Observation
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.episode import Episode
from ideomotor.datasets.lerobot.prepare import PreparedEpisode, prepare
from ideomotor.eval.batched_rollout import GROUP, play_batched
from ideomotor.eval.drivers import Requests
from ideomotor.eval.policy_spec import load_networks, load_policy
from ideomotor.eval.rollout import Frame, answered, episode
from ideomotor.eval.workers import in_order, in_order_grouped
from ideomotor.sim.expert_labels import expert_chunk
from ideomotor.sim.long_horizon.midway import midway_world
from ideomotor.sim.motion import Unreachable
from ideomotor.sim.open_world import open_world
from ideomotor.sim.world import World

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import AnyNetworks
    from ideomotor.vla.policy import EpisodePolicy


@dataclass(frozen=True)
class Attempt:
    """One scene for an expert to solve."""

    task: str
    seed: int
    level: str
    noise: float
    robot: str
    policy: Path | None = None
    midway: bool = False  # one step of a task of several skills instead of all of it
    teacher: Path | None = None  # of the policy


def demonstrations(
    attempts: Sequence[Attempt], batch: int = 1, workers: int = 1, ray: str = ""
) -> Generator[PreparedEpisode | None]:
    """Yields `demonstrate(attempt)` for every attempt, in their order.

    Args:
        attempts: the scenes, all with the same policy or all without.
        batch: with a policy: episodes at once in each process, whose networks run as one batch.
        workers, ray: see `in_order`.
    """
    if not attempts or attempts[0].policy is None or batch == 1:
        return in_order(demonstrate, attempts, workers, ray)
    batched = functools.partial(demonstrate_batched, batch=batch)
    return in_order_grouped(batched, attempts, GROUP * batch, workers, ray)


def demonstrate(attempt: Attempt) -> PreparedEpisode | None:
    """The episode in one scene, encoded; None if the expert did not solve it, or if nothing can be learned.

    A policy's episode with a label at every frame is one whether or not it was solved.
    """
    policy = load_policy(attempt.policy, attempt.robot) if attempt.policy else None
    return answered(_demonstration(attempt, policy), policy)


def demonstrate_batched(attempts: Sequence[Attempt], batch: int) -> list[PreparedEpisode | None]:
    """As `demonstrate`, with the one policy of several attempts, up to `batch` at once."""
    first = attempts[0]
    assert first.policy is not None
    return play_batched(
        lambda number, own: _demonstration(attempts[number], own),
        len(attempts),
        load_policy(first.policy, first.robot),
        batch,
    )


def _demonstration(attempt: Attempt, policy: EpisodePolicy | None) -> Requests[PreparedEpisode | None]:
    frames: list[Frame] = []
    embodiment = load_embodiment(attempt.robot)
    ticks = embodiment.frame_ticks
    try:
        opened = midway_world if attempt.midway else open_world
        world = opened(embodiment, attempt.task, attempt.seed, attempt.level)
    except Unreachable:
        return None  # steps before the one to be shown have put things to where no arm comes
    labelled = policy is not None and (attempt.teacher is not None or isinstance(world, World))
    success = False
    try:
        if policy is not None and attempt.teacher is not None:
            label = teacher_label(attempt.teacher, attempt.robot, world.seed)
            requests = episode(world, policy, label=label, on_frame=frames.append)
        elif policy is None:
            requests = episode(world, None, expert_noise=attempt.noise, on_frame=frames.append)
        else:
            takeover = ticks * _takeover(attempt, world.max_ticks // ticks, labelled)
            label = functools.partial(_label, world) if isinstance(world, World) else None
            requests = episode(world, policy, expert_from=takeover, label=label, on_frame=frames.append)
        result = yield from requests
        success = bool(result.success)
    except Unreachable:
        if policy is None and not attempt.midway:
            raise  # layouts are drawn so that an expert alone can always reach
        # Things were moved to where no arm comes: what a policy did before that can still be learned.
    finally:
        world.close()
    shown = [frame for frame in frames if not frame.detouring]  # an episode begins where the detour ends
    if not shown or not (success or labelled):
        return None
    recorded = _episode(shown, world.instruction, attempt, success)
    if labelled:
        recorded = dataclasses.replace(recorded, expert=_labels(shown, layout.expert_ticks(embodiment)))
    return prepare(recorded, embodiment, embodiment.control_hz // ticks)


def _takeover(attempt: Attempt, frames: int, labelled: bool) -> int:
    """The frame from which the expert drives, drawn by the seed.

    Where every frame has a label, a third of the episodes are the policy's to the end.

    Args:
        frames: that an episode may take.
    """
    chance = np.random.default_rng([attempt.seed, zlib.crc32(attempt.task.encode()), 11])
    if not labelled:
        return int(chance.integers(frames // 2))
    drawn = int(chance.integers(3 * frames // 2))
    return drawn if drawn < frames else frames


def _label(world: World, observation: Observation) -> np.ndarray:
    assert observation.past_commands is not None
    return expert_chunk(world, observation.past_commands, layout.expert_ticks(world.embodiment))


def teacher_label(folder: Path, robot: str, seed: int) -> Callable[[Observation], np.ndarray]:
    """What asks a policy for its commands (L, A) at each frame of an episode that another one drives.

    It plans as often as when it drives, and is given the commands that were sent as if they had been its own.
    """
    ticks, latest = layout.expert_ticks(load_embodiment(robot)), []
    teacher = load_teacher(folder, robot)
    teacher.reset(seed)

    def label(observation: Observation) -> np.ndarray:
        teacher.recall(observation)
        if not latest or observation.tick % teacher.timing.plan_every_ticks == 0:
            latest[:] = [teacher.plan(observation, describe=False)]
        nothing = np.zeros((0, len(teacher.networks.processor.joints)))
        own = teacher.act(observation, latest[0], nothing).actions[:ticks]
        return np.concatenate([own, np.repeat(own[-1:], ticks - len(own), axis=0)]).astype(np.float32)

    return label


def load_teacher(folder: Path, robot: str) -> EpisodePolicy:
    """A teacher for one episode; its networks are loaded once in each process. UserError as `load_policy`."""
    from ideomotor.vla.policy import EpisodePolicy

    return EpisodePolicy(_teacher_networks(folder, robot))


@functools.lru_cache(maxsize=1)
def _teacher_networks(folder: Path, robot: str) -> AnyNetworks:
    networks = load_networks(folder)
    networks.processor.check(load_embodiment(robot))
    networks.timing.check(load_embodiment(robot))
    return networks


def _labels(frames: Sequence[Frame], ticks: int) -> np.ndarray:
    """(T, L * A) float32: what the expert would command from each frame on, or did, where it drove."""
    commands = np.concatenate([frame.commands for frame in frames])
    labels = []
    for number, frame in enumerate(frames):
        if frame.expert is None:
            own = commands[number * len(frame.commands) :][:ticks]
            labels.append(np.concatenate([own, np.repeat(own[-1:], ticks - len(own), axis=0)]).ravel())
        else:
            labels.append(frame.expert.ravel())
    return np.stack(labels).astype(np.float32)


def _episode(frames: Sequence[Frame], instruction: str, attempt: Attempt, success: bool) -> Episode:
    """The rows of an episode. `action` is the command of the frame's own tick, after the safety
    filter: the first of the frame's in `action_high_rate`."""
    commands = np.stack([frame.commands for frame in frames]).astype(np.float32)  # (T, K, A)
    names = ("target", "place")
    return Episode(
        images={
            camera: np.stack([frame.observation.images[camera] for frame in frames])
            for camera in frames[0].observation.images
        },
        state=np.stack([frame.observation.state for frame in frames]),
        action=commands[:, 0],
        action_high_rate=commands.reshape(len(frames), -1),
        subtask=[frame.subtask for frame in frames],
        text=[frame.plan_text for frame in frames],
        referred=np.array(
            [np.concatenate([frame.referred.get(name, np.zeros(3)) for name in names]) for frame in frames],
            dtype=np.float32,
        ),
        keypoints=np.array(
            [[number for name in names for number in _keypoint(frame, name)] for frame in frames],
            dtype=np.float32,
        ),
        progress=np.array([[frame.progress] for frame in frames], dtype=np.float32),
        task=instruction,
        task_name=attempt.task,
        success=success,
        seed=attempt.seed,
    )


def _keypoint(frame: Frame, name: str) -> tuple[float, float, float]:
    """(u, v, visible); zeros where the point is out of the picture or the task has none."""
    if name not in frame.keypoints:
        return 0.0, 0.0, 0.0
    _, u, v = frame.keypoints[name]
    return (u, v, 1.0) if 0 <= u <= 1 and 0 <= v <= 1 else (0.0, 0.0, 0.0)
