"""Converts datasets of other layouts into our LeRobot v3.0: LeRobot v2.0, v2.1 and v3.0, robomimic HDF5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import layout, robomimic
from ideomotor.datasets.demonstrations import Demonstration, Progress, Source, write_demonstrations
from ideomotor.datasets.mapping import open_mapped
from ideomotor.datasets.reader import Dataset


def convert(
    source: Path,
    out: Path,
    *,
    embodiment: Embodiment | None = None,
    mapping: Sequence[str] = (),
    fps: float | None = None,
    task: str | None = None,
    state: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Converts a dataset, or what is left of it after an interruption.

    Args:
        embodiment, mapping: of LeRobot datasets: show the data as that robot's, see `mapping`.
        fps, task, state: of HDF5 files, see `robomimic`.

    Returns:
        {"out", "source", "episodes", "frames", "tasks"}

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
        writer = write_demonstrations(out, demonstrations, embodiment=embodiment, progress=progress)
    return {
        "out": str(out),
        "source": demonstrations.name,
        "episodes": writer.episodes,
        "frames": writer.frames,
        "tasks": writer.tasks,
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
    kept = [
        name
        for name, feature in dataset.meta.features.items()
        if feature["dtype"] not in layout.PICTURES and name not in layout.made_up_features()
    ]
    names = {name: layout.component_names(dataset.meta.features[name]) or None for name in kept}

    def read(episode: int) -> Demonstration:
        columns = dataset.columns(episode)
        number = dataset.tasks
        tasks = [number[i] if 0 <= i < len(number) else "" for i in columns["task_index"]]
        found = {name: columns[name] for name in kept if name in columns}
        images = {_plain(camera): _frames(dataset, episode, camera) for camera in dataset.cameras}
        return Demonstration(found, images, [task.strip() or "do the task" for task in tasks])

    try:
        yield Source(
            name=f"LeRobot {dataset.info['codebase_version']} {root.resolve().name} {_key(dataset, mapping)}",
            fps=dataset.fps,
            episodes=range(len(dataset)),
            read=read,
            names={name: found for name, found in names.items() if found},
            robot=dataset.info.get("robot_type"),
        )
    finally:
        dataset.close()


def _frames(dataset: Dataset, episode: int, camera: str) -> Iterator[Any]:
    """Yields the frames of an episode one by one."""
    first = dataset.meta.first_video_frame(episode, camera)
    length = int(dataset.starts[episode + 1] - dataset.starts[episode])
    with dataset.open_frames(camera, dataset.meta.video_path(episode, camera)) as opened:
        yield from opened.iterate(first, length)


def _plain(camera: str) -> str:
    """Returns the name of a camera that has none of its own: `image` of `observation.image`."""
    return camera.removeprefix("observation.")


def _key(dataset: Dataset, mapping: Sequence[str]) -> str:
    """Returns a hash of what the metadata of a source says, so that another is not taken for it."""
    facts = [dataset.info, dataset.tasks, dataset.starts.tolist(), list(mapping)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
