"""What a dataset holds, and what is wrong with it. Nothing here changes a dataset; see repair.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.audit_log import NAME, check_audit_log
from ideomotor.datasets.checking.check_columns import Alike, Problem, missing, out_of_step, problem, unusable
from ideomotor.datasets.checking.check_stats import (
    Colours,
    check_total,
    column_stats,
    differences,
    stored_episode_stats,
)
from ideomotor.datasets.checking.check_videos import frame_colours, look_at, spans_by_file
from ideomotor.datasets.lerobot import layout, stats
from ideomotor.datasets.lerobot.metadata import Metadata, check_embodiment, read_metadata
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.stats import Stats

MORE_EPISODES, MORE_FRAMES = 64, 32  # of each, looked at where a few frames do not fit the statistics


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


@dataclass
class Findings:
    """What looking at a dataset gave; `where` is a file or an episode and a column."""

    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])  # what looks wrong and harms nothing

    def add(self, found: Problem, harmless: bool = False) -> None:
        """Takes something found; what is known already shows once."""
        known = self.warnings if harmless else self.problems
        if found not in known:
            known.append(found)


def validate(
    root: Path | str, robot: Embodiment | None = None, *, every_frame: bool = False
) -> list[Problem]:
    """Returns the problems that `examine` finds; an empty list means that the dataset is whole."""
    return examine(root, robot, every_frame=every_frame).problems


def examine(root: Path | str, robot: Embodiment | None = None, *, every_frame: bool = False) -> Findings:
    """Returns all that is found: damaged or missing files, wrong counts, values that cannot be.

    Args:
        robot: whose joint limits the actions must respect; by default the one it was recorded with, if
            that is one of ours.
        every_frame: decode all frames of all videos; otherwise four of each episode.

    Raises:
        UserError: the robot given has other joints than the dataset.
    """
    findings = Findings()
    try:
        dataset = Dataset(root)
    except UserError as error:
        findings.add(problem(str(root), str(error)))
        return findings
    robot = embodiment_of(dataset.meta, robot)
    total, rest = _check_episodes(dataset, robot, findings)
    _check_tasks(dataset.meta, bool(rest), findings)
    colours = _check_pictures(dataset, every_frame, findings)
    _check_stats(dataset, total, rest, colours, findings)
    for text in check_audit_log(Path(root)):
        findings.add(problem(NAME, text))
    dataset.close()
    return findings


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
    dataset: Dataset, robot: Embodiment | None, findings: Findings
) -> tuple[Stats | None, list[Stats]]:
    """Returns the statistics of all columns (None if some are not readable), and those of the rows that the
    episode table has beyond the last episode: of a recording that is being written."""
    total: Stats | None = {}
    features = dataset.meta.features
    # Columns whose statistics say nothing: of counters, which lerobot leaves as they were when it merges; of
    # matrices, which it takes over the last axis alone; and of what has other problems.
    wrong = {*layout.COUNTERS, *(name for name, feature in features.items() if len(feature["shape"]) > 1)}
    alike, stored = Alike(dataset.fps), stored_episode_stats(dataset.root)
    for episode in range(len(dataset)):
        try:
            path, row = next(stored, (dataset.root, dict[str, Any]()))
            row = dataset.meta.view.stats(row)
        except UserError as error:
            findings.add(problem(f"{dataset.root}/meta/episodes", str(error)))
            path, row = dataset.root, {}
        try:
            columns, left_out = dataset.read_columns(episode)
        except UserError as error:
            findings.add(problem(str(dataset.meta.data_path(episode)), str(error)))
            total = None
            continue
        bad = _check_columns(dataset, episode, columns, left_out, robot, findings)
        wrong |= bad
        same = alike.add(episode, columns)
        if same is not None:
            findings.add(problem(f"episode {episode}", f"a duplicate of episode {same}"))
        found = column_stats(columns, features)
        for name in sorted((found.keys() & row.keys()) - wrong):
            for what, harmless in differences(row[name], found[name]):
                findings.add(problem(f"{path}: episode {episode}", f"{name}: {what}"), harmless)
        total = None if total is None else stats.aggregate([total, found])
    for episode in alike.static():
        findings.add(problem(f"episode {episode}", "nothing moves in it"))
    total = total and {name: found for name, found in total.items() if name not in wrong}
    try:
        return total, [row for _, row in stored]
    except UserError:
        return total, []


def _check_columns(
    dataset: Dataset,
    episode: int,
    columns: dict[str, np.ndarray],
    left_out: dict[str, str],
    robot: Embodiment | None,
    findings: Findings,
) -> set[str]:
    """Looks at the columns of an episode, and returns those that something is wrong with."""
    where, features = f"episode {episode}", dataset.meta.features
    found = [problem(f"{where}: {name}", why) for name, why in left_out.items()
             if name in features and layout.is_array(features[name])]  # fmt: skip
    found += [
        problem(f"{where}: {name}", "the column is missing")
        for name in missing(columns, features)
        if name not in left_out
    ]
    found += unusable(where, columns, features, robot)
    found += out_of_step(where, columns, int(dataset.starts[episode]), dataset.fps, len(dataset.tasks))
    for item in found:
        findings.add(item)
    return {item["where"].removeprefix(f"{where}: ") for item in found} | {*left_out}


def _check_pictures(dataset: Dataset, every_frame: bool, findings: Findings) -> dict[str, Colours]:
    """Looks at all cameras, and returns {feature: its mean colours}."""
    colours: dict[str, Colours] = {}
    for camera in dataset.cameras:
        if why := dataset.not_colour.get(camera):
            findings.add(problem(f"camera {camera}", f"{why}; mark it with is_depth_map"), harmless=True)
            continue
        key = dataset.meta.video_key(camera)
        seen: dict[int, np.ndarray] = {}
        for path, spans in spans_by_file(dataset.meta, camera).items():
            opened = partial(dataset.open_frames, camera, path, strict=True)
            shape = dataset.meta.features[key]["shape"]
            looked = look_at(opened, path, shape, spans, every_frame=every_frame)
            for what in looked.problems:
                findings.add(problem(str(path), what))
            seen |= looked.colours
        if seen:
            colours[key] = partial(_colours, dataset, camera, seen)
    return colours


def _colours(
    dataset: Dataset, camera: str, seen: dict[int, np.ndarray], few: bool
) -> tuple[list[np.ndarray], list[int]]:
    """Returns the colours seen, those of the longest episodes in more frames unless a few will do."""
    lengths = {episode: int(dataset.starts[episode + 1] - dataset.starts[episode]) for episode in seen}
    found = dict(seen)
    if not few:
        longest = sorted(seen, key=lambda episode: -lengths[episode])[:MORE_EPISODES]
        for path, spans in spans_by_file(dataset.meta, camera).items():
            wanted = [span for span in spans if span.episode in longest]
            if wanted:
                with dataset.open_frames(camera, path) as opened:
                    for span in wanted:
                        count = len(stats.sampled_frames(lengths[span.episode]))
                        more = max(MORE_FRAMES, MORE_EPISODES * MORE_FRAMES // len(longest))
                        found[span.episode] = frame_colours(opened, span, min(count, more))
    return [found[episode] for episode in seen], [lengths[episode] for episode in seen]


def _check_stats(
    dataset: Dataset,
    total: Stats | None,
    rest: list[Stats],
    colours: dict[str, Colours],
    findings: Findings,
) -> None:
    if not len(dataset):
        return
    file = dataset.meta.stats_file
    try:
        stored, unusable = dataset.stats, dataset.unusable_stats
    except UserError as error:
        findings.add(problem(file, str(error).removeprefix(f"{dataset.root / file}: ")))
        return
    unmeasured = {*unusable, *(dataset.meta.video_key(camera) for camera in dataset.not_colour)}
    features = {name: f for name, f in dataset.meta.features.items() if name not in unmeasured}
    for name, why in unusable.items():
        if name in dataset.meta.features:
            findings.add(problem(f"{file}: {name}", why))
    found = list(check_total(stored, total or {}, colours, features, file))
    if found and rest and total is not None:  # renamed a moment before info.json: see writer.py
        one_more = {name: s for name, s in rest[0].items() if name in total}
        if not list(check_total(stored, stats.aggregate([total, one_more]), colours, features, file)):
            return
    for item, harmless in found:
        findings.add(item, harmless)


def _check_tasks(meta: Metadata, unfinished: bool, findings: Findings) -> None:
    if len(meta.starts) > 1 and not (meta.root / meta.tasks_file).exists():
        findings.add(problem(meta.tasks_file, "no such file; its texts are those of the episode table"))
    for index, task in enumerate(meta.tasks):
        if not task.strip():
            findings.add(problem(meta.tasks_file, f"task {index} is empty"))
    total = meta.info.get("total_tasks", len(meta.tasks))
    if len(meta.tasks) != total and not (unfinished and len(meta.tasks) == total + 1):
        findings.add(problem(meta.tasks_file, f"{len(meta.tasks)} tasks, expected {total}"))
