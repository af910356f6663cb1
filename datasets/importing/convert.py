"""Converts datasets of other layouts into our LeRobot v3.0: LeRobot v2.0, v2.1 and v3.0, robomimic HDF5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.importing import robomimic
from ideomotor.datasets.importing.demonstrations import (
    DamagedEpisode,
    Demonstration,
    LeftOut,
    Progress,
    Source,
    write_demonstrations,
)
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.info_file import is_camera
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.mapping.mapping import open_mapped


def convert(
    source: Path,
    out: Path,
    *,
    embodiment: Embodiment | None = None,
    mapping: Sequence[str] = (),
    fps: float | None = None,
    task: str | None = None,
    state: Sequence[str] = (),
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Converts a dataset, or what is left of it after an interruption.

    Args:
        embodiment, mapping: of LeRobot datasets: show the data as that robot's, see `mapping`.
        fps, task, state: of HDF5 files, see `robomimic`.
        skip_damaged: leave out episodes that cannot be used, instead of stopping there.

    Returns:
        {"out", "source", "episodes", "frames", "tasks", "left_out": [{"what", "why"}]}

    Raises:
        UserError: a source that is unknown or damaged, or an output folder that cannot be used.
    """
    if not source.exists():
        raise UserError(f"source: no file or folder {str(source)!r}")
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise UserError(f"out: {str(out)!r} is in the source, expected another folder")
    if source.suffix.lower() in robomimic.SUFFIXES:
        if embodiment is not None or mapping:
            raise UserError(
                f"{source}: --robot and --map are for LeRobot datasets; convert first, map in training"
            )
        opened = robomimic.open_robomimic(source, fps=fps, task=task, state=state)
    elif source.is_dir():
        for name, value in (("fps", fps), ("task", task), ("state", state)):
            if value:
                raise UserError(f"{name}: got {value!r}, which is for HDF5 files; a dataset has its own")
        opened = _open_lerobot(source, embodiment, mapping)
    else:
        suffixes = " or ".join(robomimic.SUFFIXES)
        raise UserError(f"source: got {str(source)!r}, expected a LeRobot folder or a file with {suffixes}")
    with opened as demonstrations:
        try:
            written = write_demonstrations(
                out, demonstrations, embodiment=embodiment, progress=progress, skip_damaged=skip_damaged
            )
        except DamagedEpisode as error:
            raise UserError(f"{error}; --skip-damaged leaves such an episode out") from None
    return {
        "out": str(out),
        "source": demonstrations.name,
        "episodes": written.episodes,
        "frames": written.frames,
        "tasks": written.tasks,
        "left_out": written.left_out,
    }


@contextmanager
def _open_lerobot(root: Path, embodiment: Embodiment | None, mapping: Sequence[str]) -> Iterator[Source]:
    """Opens a dataset as a source of demonstrations."""
    if embodiment is not None:
        [dataset] = open_mapped([root], embodiment, mapping)
    elif mapping:
        raise UserError("map: is for the names of a robot, say which with --robot")
    else:
        dataset = Dataset(root)
    try:
        yield source_of(dataset, _key(dataset, mapping), embodiment)
    finally:
        dataset.close()


def source_of(dataset: Dataset, key: str, embodiment: Embodiment | None = None) -> Source:
    """Returns a dataset as a source of demonstrations.

    Args:
        key: tells it from others of its name.
        embodiment: whose cameras must be among the pictures.

    Raises:
        UserError: no camera is left of its pictures.
    """
    cameras, left_out = _cameras(dataset, embodiment)
    kept, why_not = _columns(dataset)
    names = {name: layout.component_names(dataset.meta.features[name]) or None for name in kept}

    def read(episode: int) -> Demonstration:
        columns = dataset.columns(episode, [*kept, "task_index"])
        number = dataset.tasks
        tasks = [number[i] if 0 <= i < len(number) else "" for i in columns["task_index"]]
        images = {_plain(camera): _frames(dataset, episode, camera) for camera in cameras}
        found = {name: columns[name] for name in kept}
        return Demonstration(found, images, [task.strip() or "do the task" for task in tasks])

    return Source(
        name=f"LeRobot {dataset.info['codebase_version']} {dataset.root.resolve().name} {key}",
        fps=dataset.fps,
        episodes=range(len(dataset)),
        read=read,
        names={name: found for name, found in names.items() if found},
        robot=dataset.info.get("robot_type"),
        left_out=[*left_out, *why_not],
        label=lambda episode: f"{dataset.root}: episode {dataset.meta.numbers('episode_index')[episode]}",
    )


def _cameras(dataset: Dataset, embodiment: Embodiment | None) -> tuple[list[str], list[LeftOut]]:
    """Returns the cameras that 8-bit colour can hold, and what is left out or narrowed."""
    said = [
        {"what": name, "why": "a depth map, not colour"}
        for name, feature in dataset.meta.features.items()
        if feature["dtype"] in layout.PICTURES and not is_camera(feature)
    ]
    said += [{"what": camera, "why": why} for camera, why in dataset.not_colour.items()]
    cameras = [camera for camera in dataset.cameras if camera not in dataset.not_colour]
    needed = [camera.name for camera in embodiment.cameras] if embodiment else []
    for camera, why in dataset.not_colour.items():
        if camera in needed:
            raise UserError(f"{dataset.root}: camera {camera}: {why}")
    if said and not cameras:
        reasons = "; ".join(f"{item['what']}: {item['why']}" for item in said)
        raise UserError(f"{dataset.root}: no camera is left ({reasons})")
    for camera in cameras:
        try:
            with dataset.open_frames(camera, dataset.meta.video_path(0, camera)) as opened:
                if opened.narrowed:
                    said.append({"what": camera, "why": f"narrowed: {opened.narrowed}"})
        except UserError:
            pass  # said when it is converted
    return cameras, said


def _columns(dataset: Dataset) -> tuple[list[str], list[LeftOut]]:
    """Returns the features that are columns of the same kind and finite in all episodes, and why others are
    not; states and actions are never left out."""
    made_up = layout.made_up_features()
    features = {
        name: feature
        for name, feature in dataset.meta.features.items()
        if feature["dtype"] not in layout.PICTURES and name not in made_up
    }
    why_not: dict[str, str] = {}
    narrowed: dict[str, str] = {}
    forms: dict[str, str] = {}
    for episode in range(len(dataset)):
        try:
            columns, left_out = dataset.read_columns(episode)
        except UserError:
            continue  # said when it is converted
        for name in features:
            values = columns.get(name)
            why = _why_not(values, left_out.get(name, "the column is missing"), forms.setdefault(name, ""))
            if values is not None and not why:
                forms[name] = _form(values)
                if lost := _lost(values):
                    narrowed[name] = lost
            if why and name not in (layout.STATE, layout.ACTION):
                why_not.setdefault(name, why if episode == 0 else f"episode {episode}: {why}")
        for name in columns.keys() | left_out.keys():
            if name not in dataset.meta.features and name not in made_up:
                why_not.setdefault(name, "not among the features of info.json")
    kept = [name for name in features if name not in why_not]
    said = [{"what": name, "why": why} for name, why in why_not.items()]
    return kept, [*said, *({"what": n, "why": f"narrowed: {narrowed[n]}"} for n in kept if n in narrowed)]


def _why_not(values: np.ndarray | None, reason: str, form: str) -> str:
    """Returns why a column cannot be written; "" where it can. `form` is that of before, or ""."""
    if values is None:
        return reason
    if values.dtype == object and values.ndim > 1:
        return "lists of texts"
    if form and _form(values) != form:
        return f"{values.dtype} of shape {values.shape[1:]}, before of another"
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return f"not finite at frame {int(np.argwhere(~np.isfinite(values))[0, 0])}"
    return ""


def _form(values: np.ndarray) -> str:
    return f"{values.dtype.kind} {values.shape[1:]}"


def _lost(values: np.ndarray) -> str:
    """Returns what a column of doubles loses as float32, if that is more than rounding."""
    if values.dtype != np.float64 or not values.size:
        return ""
    error, spread = np.abs(values - values.astype(np.float32)).max(), np.ptp(values)
    return f"float64 becomes float32, off by up to {error:.3g}" if error > 1e-5 * spread else ""


def _frames(dataset: Dataset, episode: int, camera: str) -> Iterator[Any]:
    """Yields the frames of an episode one by one."""
    first = dataset.meta.first_video_frame(episode, camera)
    length = int(dataset.starts[episode + 1] - dataset.starts[episode])
    with dataset.open_frames(camera, dataset.meta.video_path(episode, camera), strict=True) as opened:
        yield from opened.iterate(first, length)


def _plain(camera: str) -> str:
    """Returns the name of a camera that has none of its own: `image` of `observation.image`."""
    return camera.removeprefix("observation.")


def _key(dataset: Dataset, mapping: Sequence[str]) -> str:
    """Returns a hash of what the metadata of a source says, so that another is not taken for it."""
    facts = [dataset.info, dataset.tasks, dataset.starts.tolist(), list(mapping)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
