"""What `ideomotor record` checks: its options, what is recorded already, and whether scenes get solved."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from ideomotor.control.errors import UserError
from ideomotor.launch.environments import NO_LEVEL, checked_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from ideomotor.control.embodiment import Embodiment
    from ideomotor.launch.commands.record.options import RecordOptions

MAX_FAILURES = 20  # give up when a task has failed this often, and more often than it was solved
OPTIONS_FILE = "record.json"  # what the episodes of a dataset folder were recorded with


def check(options: RecordOptions, embodiment: Embodiment) -> None:
    """Raises UserError, naming the option, when something cannot be recorded."""
    checked_tasks(embodiment, options.tasks)
    if not options.tasks or len(set(options.tasks)) != len(options.tasks):
        raise UserError(
            f"tasks: got {' '.join(options.tasks) or 'none'}, expected each task once, at least one"
        )
    for name, value, least in (
        ("episodes", options.episodes, 1),
        ("workers", options.workers, 1),
        ("batch", options.batch, 1),
        ("seed-start", options.seed_start, 0),
    ):
        if value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    if options.policy is not None:
        from ideomotor.eval.policy_spec import load_policy

        load_policy(options.policy, options.robot)  # a bad one is refused here, before any process starts
    if options.midway:
        from ideomotor.sim.long_horizon import GOAL_TASKS

        if unfit := [task for task in options.tasks if task not in GOAL_TASKS]:
            raise UserError(
                f"midway: got {unfit[0]!r}, expected tasks of several skills: {', '.join(GOAL_TASKS)}"
            )
    if options.teacher is not None:
        _check_teacher(options.teacher, options, embodiment)
    if not 0 <= options.noise <= 1:
        raise UserError(f"noise: got {options.noise}, expected a probability from 0 to 1")
    if embodiment.environment is not None:
        from ideomotor.sim.environments.external import check_seeding

        for task in options.tasks:
            check_seeding(embodiment, task)


def _check_teacher(teacher: Path, options: RecordOptions, embodiment: Embodiment) -> None:
    if options.policy is None:
        raise UserError("teacher: missing --policy, expected the student that drives")
    if embodiment.environment is not None:
        raise UserError(f"teacher: labels are of our own worlds, expected no --env, got {options.robot}")
    from ideomotor.eval.demonstrate import load_teacher

    try:
        load_teacher(teacher, options.robot)
    except UserError as error:
        raise UserError(f"teacher: {str(error).removeprefix('policy: ')}") from None


def reproducible(options: RecordOptions) -> bytes:
    """Returns the options that decide what is recorded, as JSON; `episodes` may grow when it goes on."""
    folders = {name: str(getattr(options, name) or "") for name in ("policy", "teacher")}
    fields = dataclasses.asdict(options) | folders
    names = ["tasks", "randomize", "noise", "policy", "seed_start", "robot"]
    names += [name for name in ("midway", "teacher") if fields[name]]  # datasets of before have neither
    return (json.dumps({name: fields[name] for name in names}, indent=2) + "\n").encode()


def recorded_before(options: RecordOptions) -> set[tuple[str, int]]:
    """Returns the (task, seed) pairs in the dataset.

    Raises:
        UserError: it was recorded with options that would have made another one.
    """
    from ideomotor.datasets.lerobot.layout import INFO, read_json
    from ideomotor.datasets.lerobot.reader import Dataset

    if not (options.out / INFO).exists():
        return set()
    if (options.out / OPTIONS_FILE).exists():
        before, now = read_json(options.out / OPTIONS_FILE), json.loads(reproducible(options))
        for name in (*now, *(before.keys() - now)):
            if before.get(name) != now.get(name):
                raise UserError(
                    f"{name}: got {now.get(name)!r}, but {options.out} was recorded with {before.get(name)!r}"
                )
    episodes = Dataset(options.out).episodes
    if not {"task_name", "seed"} <= set(episodes.column_names):
        if len(episodes):
            raise UserError(
                f"out: {options.out} was not recorded by `ideomotor record`, so it cannot be resumed"
            )
        return set()
    return set(zip(episodes["task_name"].to_pylist(), episodes["seed"].to_pylist(), strict=True))


def check_solvable(options: RecordOptions, wanted: dict[str, int], failures: dict[str, int]) -> None:
    """Gives up when a task has failed often, and more often than it was solved.

    Args:
        wanted: {task: episodes that are missing}.
        failures: {task: scenes that were not solved}.

    Raises:
        UserError: naming the option that makes scenes harder, if one does.
    """
    for task, failed in failures.items():
        solved = options.episodes - wanted[task]
        if wanted[task] and failed > max(MAX_FAILURES, solved):
            found = f"the expert of {task!r} solved {solved} of {solved + failed} scenes"
            raise UserError(_blamed(options, found))


def _blamed(options: RecordOptions, found: str) -> str:
    if options.policy is not None:
        return (
            f"policy: {found} from where {options.policy} had driven; expected one that leaves them solvable"
        )
    if options.noise > 0:
        return f"noise: got {options.noise:g}, with which {found}; expected less"
    if options.randomize not in ("none", NO_LEVEL):
        return f"randomize: got {options.randomize!r}, with which {found}; expected a milder level"
    return f"tasks: {found}, and no option makes them harder; expected tasks that it can do"
