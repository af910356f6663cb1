"""`ideomotor record`: demonstrations of the scripted experts, written as a LeRobot v3 dataset.

Episodes enter the dataset in an order that follows from the options alone, so the same command writes
the same bytes with any number of workers, and after any number of interruptions. Only solved episodes
are stored; the place of a failed one is taken by the next seed of its task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ideomotor.control.ctrl_c import loading
from ideomotor.control.interrupts import uninterrupted
from ideomotor.datasets.outputs import check_apart, check_output_folder
from ideomotor.launch.commands.record.arguments import RecordArguments, meant
from ideomotor.launch.commands.record.checks import (
    OPTIONS_FILE,
    check,
    check_solvable,
    recorded_before,
    reproducible,
)
from ideomotor.launch.commands.record.options import ALL, RecordOptions
from ideomotor.launch.console import Output
from ideomotor.launch.environments import robot_of, task_names

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.datasets.lerobot.writer import DatasetWriter


def record_either(arguments: RecordArguments) -> int:
    """The command: of scripted experts, or of a person."""
    options = meant(arguments)
    if isinstance(options, RecordOptions):
        return record(options)
    from ideomotor.launch.commands.record.by_person import record_by_person

    return record_by_person(options)


def record(options: RecordOptions) -> int:
    """Records until every task has its episodes. On Ctrl-C whole episodes stay, for `--resume`."""
    output = Output(options.json)
    options, embodiment = _checked(options)
    with loading():
        from ideomotor.datasets.lerobot.writer import DatasetWriter

    stored = recorded_before(options) if options.resume else set()
    tally = Tally(
        wanted=dict.fromkeys(options.tasks, options.episodes),
        next_seed=dict.fromkeys(options.tasks, options.seed_start),
        failures=dict.fromkeys(options.tasks, 0),
    )
    with (
        DatasetWriter(
            options.out,
            embodiment,
            fps=embodiment.control_hz // embodiment.frame_ticks,
            resume=options.resume,
            template=_template(options, embodiment),
        ) as writer,
        output.progress() as progress,
    ):
        bar = progress.add_task("recording", total=sum(tally.wanted.values()))
        while any(tally.wanted.values()):  # one round is usually enough: the next has seeds after failed ones
            with closing(_recorded(options, tally, stored, writer)) as recorded:
                for task in recorded:
                    progress.update(bar, advance=1, description=f"recording {task}")
            check_solvable(options, tally.wanted, tally.failures)
    _report(output, options, writer, tally.failures)
    return 0


@dataclass(frozen=True)
class Tally:
    """How far each task is: {task: count}, kept up to date while episodes are recorded."""

    wanted: dict[str, int]  # episodes that are missing
    next_seed: dict[str, int]
    failures: dict[str, int]  # scenes that were not solved


def _checked(options: RecordOptions) -> tuple[RecordOptions, Embodiment]:
    """The options with robot and tasks by name. UserError if something cannot be recorded."""
    from ideomotor.control.embodiment import load_embodiment

    check_output_folder("out", options.out)
    check_apart("out", options.out, [one for one in (options.policy, options.teacher) if one])
    options = dataclasses.replace(options, robot=robot_of(options.env, options.robot), env="")
    embodiment = load_embodiment(options.robot)
    if options.tasks == (ALL,):
        options = dataclasses.replace(options, tasks=tuple(task_names(embodiment)))
    check(options, embodiment)
    return options, embodiment


def _template(options: RecordOptions, embodiment: Embodiment) -> dict[str, Any]:
    """info.json of the dataset without episodes; with a policy, rows have the expert's labels beside them."""
    from ideomotor.datasets.lerobot.layout import new_info

    labels = options.policy is not None and embodiment.environment is None
    return new_info(embodiment, embodiment.control_hz // embodiment.frame_ticks, labels)


def _recorded(
    options: RecordOptions, tally: Tally, stored: Collection[tuple[str, int]], writer: DatasetWriter
) -> Generator[str]:
    """Records a scene for each missing episode; yields the task of each that is then in the dataset.

    Args:
        options: of the recording.
        tally: brought up to date.
        stored: (task, seed) of what was recorded before.
        writer: of the dataset.
    """
    with loading():
        from ideomotor.datasets.files import replace_files
        from ideomotor.eval.demonstrate import Attempt, demonstrations

    attempts = [
        Attempt(
            task, tally.next_seed[task] + i, options.randomize, options.noise, options.robot, options.policy,
            options.midway, options.teacher,
        )
        for task in options.tasks
        for i in range(tally.wanted[task])
    ]  # fmt: skip
    new = [attempt for attempt in attempts if (attempt.task, attempt.seed) not in stored]
    with closing(demonstrations(new, options.batch, options.workers, options.ray)) as episodes:
        for attempt in attempts:
            tally.next_seed[attempt.task] += 1
            if (attempt.task, attempt.seed) not in stored:
                episode = next(episodes)
                if episode is None:
                    tally.failures[attempt.task] += 1
                    continue
                with uninterrupted():
                    writer.add_episode(episode)
                    if not (options.out / OPTIONS_FILE).exists():  # new, or killed just before
                        replace_files({options.out / OPTIONS_FILE: reproducible(options)})
            tally.wanted[attempt.task] -= 1
            yield attempt.task


def _report(output: Output, options: RecordOptions, writer: DatasetWriter, failures: dict[str, int]) -> None:
    """The JSON object, and the same in words."""
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
