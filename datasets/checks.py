"""What a dataset holds, and what is wrong with it. Nothing here changes a dataset; see repair.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import layout, stats
from ideomotor.datasets.check_columns import Alike, Problem, missing, out_of_step, problem, unusable
from ideomotor.datasets.check_stats import check_total, column_stats, differences, stored_episode_stats
from ideomotor.datasets.check_videos import look_at, means_of, spans_by_file
from ideomotor.datasets.metadata import Metadata, check_embodiment, read_metadata
from ideomotor.datasets.reader import Dataset
from ideomotor.datasets.stats import Stats


def info(root: Path | str) -> dict[str, Any]:
    """Returns format, robot, episodes, frames, fps, features and tasks (instructions) of a dataset.

    Raises:
        UserError: not a dataset, or its metadata is damaged.
    """
    meta = read_metadata(root)
    return {
        "format": f"LeRobot {meta.info['codebase_version']}",
        "robot": meta.info.get("robot_type"),
        "episodes": meta.info["total_episodes"],
        "frames": meta.info["total_frames"],
        "fps": meta.fps,
        "features": meta.features,
        "tasks": meta.tasks,
    }


def validate(
    root: Path | str, robot: Embodiment | None = None, *, every_frame: bool = False
) -> list[Problem]:
    """Returns all problems found: damaged or missing files, wrong counts, values that cannot be.

    `where` is a file or an episode and a column; an empty list means that the dataset is whole.

    Args:
        robot: whose joint limits the actions must respect; by default the one it was recorded with, if
            that is one of ours.
        every_frame: decode all frames of all videos; otherwise four of each episode.

    Raises:
        UserError: the robot given has other joints than the dataset.
    """
    try:
        dataset = Dataset(root)
    except UserError as error:
        return [problem(str(root), str(error))]
    robot = embodiment_of(dataset.meta, robot)
    problems, total, rest = _check_episodes(dataset, robot)
    problems += _check_tasks(dataset.meta, unfinished=bool(rest))
    means: dict[str, np.ndarray] = {}
    for camera in dataset.cameras:
        key = dataset.meta.video_key(camera)
        files = {
            path: look_at(
                partial(dataset.open_frames, camera, path, strict=True),
                path,
                dataset.meta.features[key]["shape"],
                spans,
                every_frame=every_frame,
            )
            for path, spans in spans_by_file(dataset.meta, camera).items()
        }
        problems += [problem(str(path), what) for path, found in files.items() for what in found.problems]
        mean = means_of(files)
        if mean is not None:
            means[key] = mean
    problems += _check_stats(dataset, total, rest, means)
    dataset.close()
    return list({(p["where"], p["what"]): p for p in problems}.values())  # a bad file shows once


def embodiment_of(meta: Metadata, robot: Embodiment | None) -> Embodiment | None:
    """Returns the robot whose limits hold: the one given, or that of the dataset if it is one of ours.

    Raises:
        UserError: the robot given has other joints than the dataset's actions.
    """
    if robot is not None:
        shape = meta.features.get(layout.ACTION, {}).get("shape")
        if shape != [len(robot.joints)]:
            expected = f"expected {len(robot.joints)} joints of robot {robot.name!r}"
            raise UserError(f"{meta.root}: {layout.ACTION}: shape {shape}, {expected}")
        return robot
    name = meta.info.get("robot_type")
    if name not in embodiment_names():
        return None
    robot = load_embodiment(name)
    try:
        check_embodiment(meta, robot)
    except UserError:
        return None  # of that name, but with other joints or limits
    return robot


def _check_episodes(
    dataset: Dataset, robot: Embodiment | None
) -> tuple[list[Problem], Stats | None, list[Stats]]:
    """Returns problems, the statistics of all columns (None if some are not readable), and those of the
    rows that the episode table has beyond the last episode: of a recording that is being written."""
    problems: list[Problem] = []
    total: Stats | None = {}
    # Columns whose statistics say nothing: of counters, which lerobot leaves as they were when it merges; of
    # matrices, which it takes over the last axis alone; and of what has other problems.
    wrong = {*layout.COUNTERS, *(n for n, f in dataset.meta.features.items() if len(f["shape"]) > 1)}
    alike, stored = Alike(dataset.fps), stored_episode_stats(dataset.root)
    for episode in range(len(dataset)):
        try:
            columns = dataset.columns(episode)
        except UserError as error:
            problems.append(problem(str(dataset.meta.data_path(episode)), str(error)))
            columns = None
        try:
            path, row = next(stored, (dataset.root, dict[str, Any]()))
            row = dataset.meta.view.stats(row)
        except UserError as error:
            problems.append(problem(f"{dataset.root}/meta/episodes", str(error)))
            path, row = dataset.root, {}
        if columns is None:
            total = None
            continue
        where = f"episode {episode}"
        features = dataset.meta.features
        absent = missing(columns, features)
        problems += [problem(f"{where}: {name}", "the column is missing") for name in absent]
        start = int(dataset.starts[episode])
        values = [*unusable(where, columns, features, robot)]
        values += out_of_step(where, columns, start, dataset.fps, len(dataset.tasks))
        problems += values
        wrong |= {value["where"].removeprefix(f"{where}: ") for value in values} | {*absent}
        same = alike.add(episode, columns)
        if same is not None:
            problems.append(problem(where, f"a duplicate of episode {same}"))
        found = column_stats(columns, features)
        for name in sorted((found.keys() & row.keys()) - wrong):
            at = f"{path}: episode {episode}"
            problems += [problem(at, f"{name}: {what}") for what in differences(row[name], found[name])]
        total = None if total is None else stats.aggregate([total, found])
    problems += [problem(f"episode {episode}", "nothing moves in it") for episode in alike.static()]
    total = total and {name: found for name, found in total.items() if name not in wrong}
    try:
        return problems, total, [row for _, row in stored]
    except UserError:
        return problems, total, []


def _check_stats(
    dataset: Dataset, total: Stats | None, rest: list[Stats], means: dict[str, np.ndarray]
) -> Iterator[Problem]:
    if not len(dataset):
        return
    try:
        stored = dataset.stats
    except UserError as error:
        yield problem(layout.STATS, str(error))
        return
    features = dataset.meta.features
    problems = list(check_total(stored, total or {}, means, features))
    if problems and rest and total is not None:  # renamed a moment before info.json: see writer.py
        one_more = {name: s for name, s in rest[0].items() if name in total}
        if not list(check_total(stored, stats.aggregate([total, one_more]), means, features)):
            return
    yield from problems


def _check_tasks(meta: Metadata, unfinished: bool) -> Iterator[Problem]:
    for index, task in enumerate(meta.tasks):
        if not task.strip():
            yield problem(layout.TASKS, f"task {index} is empty")
    total = meta.info.get("total_tasks", len(meta.tasks))
    if len(meta.tasks) != total and not (unfinished and len(meta.tasks) == total + 1):
        yield problem(layout.TASKS, f"{len(meta.tasks)} tasks, expected {total}")
