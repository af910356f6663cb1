"""What a dataset holds, and what is wrong with it. Nothing here changes a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import layout
from ideomotor.datasets.metadata import Metadata, read_metadata
from ideomotor.datasets.reader import Dataset

Problem = dict[str, str]  # {"where", "what"}
LIMIT_TOLERANCE = 1e-4  # [rad or m]: float32 rounds the limits themselves
TIME_TOLERANCE_S = 1e-4  # LeRobot's


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


def validate(root: Path | str) -> list[Problem]:
    """Returns all problems found: damaged or missing files, wrong counts, values that cannot be.

    `where` is a file or an episode and a column; an empty list means that the dataset is whole.
    """
    try:
        dataset = Dataset(root)
    except UserError as error:
        return [_problem(str(root), str(error))]
    problems = [*_check_stats(dataset), *_check_tasks(dataset.meta)]
    embodiment = embodiment_of(dataset.meta, None)
    for episode in range(len(dataset)):
        problems += _check_episode(dataset, episode, embodiment)
    for camera in dataset.cameras:
        problems += _check_videos(dataset, camera)
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
    if name not in embodiment_names() or meta.identity is None:
        return None
    robot = load_embodiment(name)
    return robot if robot.fingerprint == meta.identity.get("fingerprint") else None


def _check_stats(dataset: Dataset) -> Iterator[Problem]:
    try:
        found = dataset.stats
    except UserError as error:
        yield _problem(layout.STATS, str(error))
        return
    missing = [
        name for name, f in dataset.meta.features.items() if f["dtype"] != "string" and name not in found
    ]
    if missing and len(dataset):
        yield _problem(layout.STATS, f"no statistics of {', '.join(missing)}")


def _check_tasks(meta: Metadata) -> Iterator[Problem]:
    for index, task in enumerate(meta.tasks):
        if not task.strip():
            yield _problem(layout.TASKS, f"task {index} is empty")
    if len(meta.tasks) != meta.info.get("total_tasks", len(meta.tasks)):
        yield _problem(layout.TASKS, f"{len(meta.tasks)} tasks, expected {meta.info['total_tasks']}")


def _check_episode(dataset: Dataset, episode: int, embodiment: Embodiment | None) -> Iterator[Problem]:
    try:
        columns = dataset.columns(episode)
    except UserError as error:
        yield _problem(str(dataset.meta.data_path(episode)), str(error))
        return
    where, start = f"episode {episode}", int(dataset.starts[episode])
    length = int(dataset.starts[episode + 1]) - start
    for name, feature in dataset.meta.features.items():
        if feature["dtype"] not in layout.PICTURES and name not in columns:
            yield _problem(f"{where}: {name}", "the column is missing")
    for name, values in columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            yield _problem(f"{where}: {name}", f"not finite at frame {row}")
    frames = np.arange(length)
    expected = {"frame_index": frames, "index": frames + start}
    for name, numbers in expected.items():
        if name in columns and not np.array_equal(columns[name], numbers):
            yield _problem(f"{where}: {name}", f"expected {numbers[0]} to {numbers[-1]} in steps of 1")
    if "timestamp" in columns:
        late = np.abs(columns["timestamp"] - frames / dataset.fps)
        if not late.max() <= TIME_TOLERANCE_S + 1e-6 * length:  # float32 seconds lose digits
            yield _problem(f"{where}: timestamp", f"{late.max():.4f} s from frame_index / {dataset.fps}")
    if "task_index" in columns and not np.isin(columns["task_index"], np.arange(len(dataset.tasks))).all():
        yield _problem(f"{where}: task_index", f"outside of the {len(dataset.tasks)} tasks")
    if embodiment is not None:
        yield from _check_limits(where, columns, embodiment)


def _check_limits(where: str, columns: dict[str, np.ndarray], embodiment: Embodiment) -> Iterator[Problem]:
    joints = len(embodiment.joints)
    for name in (layout.ACTION, layout.HIGH_RATE):
        if name not in columns or columns[name].ndim != 2 or columns[name].shape[1] % joints:
            continue
        commands = columns[name].reshape(len(columns[name]), -1, joints)  # (T, K, A)
        outside = (commands < embodiment.lower - LIMIT_TOLERANCE) | (
            commands > embodiment.upper + LIMIT_TOLERANCE
        )
        for joint in np.flatnonzero(outside.any(axis=(0, 1))):
            frame, tick = np.argwhere(outside[..., joint])[0]
            spec = embodiment.joints[joint]
            value = f"{commands[frame, tick, joint]:.4f} {spec.unit} at frame {frame}"
            yield _problem(f"{where}: {name}", f"{spec.name} {value}, limits {spec.lower} to {spec.upper}")


def _check_videos(dataset: Dataset, camera: str) -> Iterator[Problem]:
    """Checks each file once: that it opens, has enough frames, and decodes at every episode's end."""
    ends: dict[Path, list[int]] = {}  # number of the frame after each episode
    for episode in range(len(dataset)):
        length = int(dataset.starts[episode + 1] - dataset.starts[episode])
        end = dataset.meta.first_video_frame(episode, camera) + length
        ends.setdefault(dataset.meta.video_path(episode, camera), []).append(end)
    for path, numbers in ends.items():
        try:
            with dataset.open_frames(camera, path) as video:
                if video.frame_count < max(numbers):
                    yield _problem(str(path), f"{video.frame_count} frames, expected {max(numbers)}")
                video.frames([number - 1 for number in numbers])
                shape = [video.height, video.width]
                expected = dataset.meta.features[dataset.meta.video_key(camera)]["shape"][:2]
                if shape != expected:
                    yield _problem(str(path), f"frames of {shape}, expected {expected}")
        except UserError as error:
            yield _problem(str(path), str(error))


def _problem(where: str, what: str) -> Problem:
    return {"where": where, "what": what.removeprefix(f"{where}: ")}
