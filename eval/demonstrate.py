"""Demonstrations of the scripted experts, each a pure function of its `Attempt`, ready for a dataset."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot.episode import Episode
from ideomotor.datasets.lerobot.prepare import PreparedEpisode, prepare
from ideomotor.eval.batched_rollout import GROUP, play_batched
from ideomotor.eval.drivers import Requests
from ideomotor.eval.policy_spec import load_policy
from ideomotor.eval.rollout import Frame, answered, episode
from ideomotor.eval.workers import in_order, in_order_grouped
from ideomotor.sim.motion import Unreachable
from ideomotor.sim.open_world import open_world

if TYPE_CHECKING:
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
    """The expert's episode in one scene, encoded, or None if it did not solve it (or before it began).

    With a policy this is data aggregation (DAgger, Ross et al., AISTATS 2011): the states are those that
    the policy gets into, the commands are the expert's.
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
    world = open_world(embodiment, attempt.task, attempt.seed, attempt.level)
    try:
        if policy is None:
            requests = episode(world, None, expert_noise=attempt.noise, on_frame=frames.append)
        else:
            chance = np.random.default_rng([attempt.seed, zlib.crc32(attempt.task.encode()), 11])
            takeover = ticks * int(chance.integers(world.max_ticks // (2 * ticks)))
            requests = episode(world, policy, expert_from=takeover, on_frame=frames.append)
        result = yield from requests
    except Unreachable:
        if policy is None:
            raise  # layouts are drawn so that an expert alone can always reach
        return None  # the policy moved things to where no arm comes
    finally:
        world.close()
    shown = [frame for frame in frames if not frame.detouring]  # an episode begins where the detour ends
    if not result.success or not shown:
        return None
    return prepare(_episode(shown, world.instruction, attempt), embodiment, embodiment.control_hz // ticks)


def _episode(frames: Sequence[Frame], instruction: str, attempt: Attempt) -> Episode:
    """The rows of a solved episode. `action` is the command of the frame's own tick, after the safety
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
        success=True,
        seed=attempt.seed,
    )


def _keypoint(frame: Frame, name: str) -> tuple[float, float, float]:
    """(u, v, visible); zeros where the point is out of the picture or the task has none."""
    if name not in frame.keypoints:
        return 0.0, 0.0, 0.0
    _, u, v = frame.keypoints[name]
    return (u, v, 1.0) if 0 <= u <= 1 and 0 <= v <= 1 else (0.0, 0.0, 0.0)
