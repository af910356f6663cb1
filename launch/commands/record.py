"""`ideomotor record`: demonstrations of the scripted experts, written as a LeRobot v3 dataset.

Episodes enter the dataset in an order that follows from the options alone, so the same command writes
the same bytes with any number of workers, and after any number of interruptions. Only solved episodes
are stored; the place of a failed one is taken by the next seed of its task.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.interrupts import uninterrupted
from ideomotor.datasets.outputs import check_apart, check_output_folder
from ideomotor.launch.commands.record_checks import (
    OPTIONS_FILE,
    check,
    check_solvable,
    recorded_before,
    reproducible,
)
from ideomotor.launch.console import Output
from ideomotor.launch.environments import robot_of, task_names

if TYPE_CHECKING:
    from ideomotor.datasets.lerobot.episode import Episode
    from ideomotor.datasets.lerobot.prepare import PreparedEpisode
    from ideomotor.eval.drivers import Requests
    from ideomotor.eval.rollout import Frame
    from ideomotor.vla.policy import IdeomotorPolicy

ALL = "all"  # tasks there are


@dataclass(frozen=True)
class RecordOptions:
    """Records demonstrations of the scripted experts to a LeRobot v3 dataset."""

    tasks: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TASK...")]
    """tasks to record, of `ideomotor tasks`; `all` of them"""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the dataset"""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """solved episodes of each task"""

    randomize: Literal["none", "light", "full"] = "light"
    """how much of the scene's look and physics varies with the seed"""

    noise: Annotated[float, tyro.conf.arg(metavar="P")] = 0.0
    """probability that a demonstration starts from a wrong pose, so that it shows a recovery; with --env: how
    much disturbs them at most, as a share of the largest command"""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """a policy that drives until a random moment; the expert's way on from there is the demonstration"""

    seed_start: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """first seed of each task"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    env: Annotated[str, tyro.conf.arg(metavar="NAME|FILE|MODULE:ID")] = ""
    """tasks of a Gymnasium environment that an embodiment file maps, such as metaworld (docs/metaworld.md)"""

    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """processes to record with; does not change what is recorded"""

    batch: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """with --policy: episodes at once in each process, whose networks run as one batch: faster, and the same
    but for the rounding of float32"""

    ray: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """record on a Ray cluster (HOST:PORT, ray://HOST:PORT or auto; extra `ray`) instead, the same bytes"""

    resume: bool = False
    """continue an interrupted recording made with the same options"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write a summary as JSON; - is standard output"""


@dataclass(frozen=True)
class Attempt:
    """One scene for an expert to solve."""

    task: str
    seed: int
    level: str
    noise: float
    robot: str
    policy: Path | None = None


def record(options: RecordOptions) -> int:
    """Records until every task has its episodes. On Ctrl-C whole episodes stay, for `--resume`."""
    from ideomotor.control.embodiment import load_embodiment

    output = Output(options.json)
    check_output_folder("out", options.out)
    check_apart("out", options.out, [options.policy] if options.policy else [])
    options = dataclasses.replace(options, robot=robot_of(options.env, options.robot), env="")
    embodiment = load_embodiment(options.robot)
    if options.tasks == (ALL,):
        options = dataclasses.replace(options, tasks=tuple(task_names(embodiment)))
    check(options, embodiment)

    with loading():
        from ideomotor.datasets.files import replace_files
        from ideomotor.datasets.lerobot.writer import DatasetWriter

    stored = recorded_before(options) if options.resume else set()
    wanted = dict.fromkeys(options.tasks, options.episodes)
    next_seed = dict.fromkeys(options.tasks, options.seed_start)
    failures = dict.fromkeys(options.tasks, 0)
    with (
        DatasetWriter(
            options.out,
            embodiment,
            fps=embodiment.control_hz // embodiment.frame_ticks,
            resume=options.resume,
        ) as writer,
        output.progress() as progress,
    ):
        bar = progress.add_task("recording", total=sum(wanted.values()))
        while any(wanted.values()):  # one round is usually enough: the next has the seeds after failed ones
            attempts = [
                Attempt(
                    task,
                    next_seed[task] + i,
                    options.randomize,
                    options.noise,
                    options.robot,
                    options.policy,
                )
                for task in options.tasks
                for i in range(wanted[task])
            ]
            new = [attempt for attempt in attempts if (attempt.task, attempt.seed) not in stored]
            with closing(_demonstrated(new, options)) as episodes:
                for attempt in attempts:
                    next_seed[attempt.task] += 1
                    if (attempt.task, attempt.seed) not in stored:
                        episode = next(episodes)
                        if episode is None:
                            failures[attempt.task] += 1
                            continue
                        with uninterrupted():
                            writer.add_episode(episode)
                            if not (options.out / OPTIONS_FILE).exists():  # new, or killed just before
                                replace_files({options.out / OPTIONS_FILE: reproducible(options)})
                    wanted[attempt.task] -= 1
                    progress.update(bar, advance=1, description=f"recording {attempt.task}")
            check_solvable(options, wanted, failures)

    output.result(
        {
            "out": str(options.out),
            "episodes": writer.episodes,
            "frames": writer.frames,
            "tasks": list(options.tasks),
            "failed": failures,
        }
    )
    output.text.print(f"{writer.episodes} episodes, {writer.frames} frames in {options.out}", markup=False)
    for task, failed in failures.items():
        if failed:
            output.text.print(
                f"{task}: the expert left {failed} scenes unsolved; the next seeds took their place"
            )
    return 0


def _demonstrated(attempts: Sequence[Attempt], options: RecordOptions) -> Generator[PreparedEpisode | None]:
    from ideomotor.eval.batched_rollout import GROUP
    from ideomotor.eval.workers import in_order, in_order_grouped

    if options.policy is None or options.batch == 1:
        return in_order(demonstrate, attempts, options.workers, options.ray)
    batched = functools.partial(demonstrate_batched, batch=options.batch)
    return in_order_grouped(batched, attempts, GROUP * options.batch, options.workers, options.ray)


def demonstrate(attempt: Attempt) -> PreparedEpisode | None:
    """The expert's episode in one scene, encoded, or None if it did not solve it (or before it began).

    With a policy this is data aggregation (DAgger, Ross et al., AISTATS 2011): the states are those that
    the policy gets into, the commands are the expert's.
    """
    from ideomotor.eval.policy_spec import load_policy
    from ideomotor.eval.rollout import answered

    policy = load_policy(attempt.policy, attempt.robot) if attempt.policy else None
    return answered(_demonstration(attempt, policy), policy)


def demonstrate_batched(attempts: Sequence[Attempt], batch: int) -> list[PreparedEpisode | None]:
    """As `demonstrate`, with the one policy of several attempts, up to `batch` at once."""
    from ideomotor.eval.batched_rollout import play_batched
    from ideomotor.eval.policy_spec import load_policy

    first = attempts[0]
    assert first.policy is not None
    return play_batched(
        lambda number, own: _demonstration(attempts[number], own),
        len(attempts),
        load_policy(first.policy, first.robot),
        batch,
    )


def _demonstration(attempt: Attempt, policy: IdeomotorPolicy | None) -> Requests[PreparedEpisode | None]:
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.datasets.lerobot.prepare import prepare
    from ideomotor.eval.rollout import episode
    from ideomotor.sim.motion import Unreachable
    from ideomotor.sim.open_world import open_world

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
    from ideomotor.datasets.lerobot.episode import Episode

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
