"""Writes demonstrations of anybody's robot as a LeRobot v3.0 dataset: what conversion and own scripts use.

A source is a list of episodes and a function that reads one. Frames are read, encoded and forgotten one
by one, so an episode may be longer than memory. A run that was interrupted, by whatever, goes on after
the last complete episode when it is started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout, stats, video
from ideomotor.datasets.lerobot.metadata import read_metadata
from ideomotor.datasets.lerobot.prepare import PreparedEpisode
from ideomotor.datasets.lerobot.writer import DatasetWriter

Progress = Callable[[int, int], None]  # (episodes done, episodes in all)
Features = dict[str, dict[str, Any]]
LeftOut = dict[str, str]  # {"what": a column, camera or episode, "why": also of what is only narrowed}
NUMBER = "source_episode"  # column of the episode table: which episode of the source it was
_DTYPES = {"f": "float32", "i": "int64", "u": "int64", "b": "bool", "O": "string", "U": "string"}


@dataclass(frozen=True)
class EncodedVideo:
    """The pictures of one camera in one episode, as they are: nothing is encoded again."""

    data: bytes  # an mp4 of T frames that begins with a key frame
    sample: np.ndarray  # (n, h, w, 3) uint8 RGB, those of `stats.sampled_frames(T)`, perhaps every nth pixel
    height: int
    width: int
    info: Mapping[str, Any]  # codec and the like, as the feature says


@dataclass(frozen=True)
class Demonstration:
    """One episode of T frames."""

    columns: Mapping[str, np.ndarray]  # {feature: (T,) or (T, n)}, such as observation.state and action
    images: Mapping[str, Iterable[np.ndarray] | EncodedVideo]  # {camera: T images (H, W, 3) uint8 RGB}
    task: str | Sequence[str]  # the instruction, or that of each row
    facts: Mapping[str, Any] = field(default_factory=dict)  # more columns of the episode table


@dataclass(frozen=True)
class Written:
    """A dataset that was written."""

    episodes: int
    frames: int
    tasks: list[str]
    left_out: list[LeftOut]


@dataclass(frozen=True)
class Source:
    """Demonstrations that lie somewhere else."""

    name: str  # what they are; to go on with a dataset, it must be of the same name
    fps: float  # frames per second
    episodes: Sequence[Any]
    read: Callable[[Any], Demonstration]
    names: Mapping[str, list[str]] = field(default_factory=dict)  # {feature: names of its components}
    robot: str | None = None  # robot_type of info.json
    left_out: Sequence[LeftOut] = ()  # what of it a dataset cannot hold, or holds with less in it
    label: Callable[[Any], str] | None = None  # how messages call an episode; by its number by default
    identity: Mapping[str, Any] = field(default_factory=dict)  # more of meta/ideomotor.json


class DamagedEpisode(UserError):
    """An episode that cannot be read, or does not fit the others."""


def write_demonstrations(
    out: Path | str,
    source: Source,
    *,
    embodiment: Embodiment | None = None,
    progress: Progress | None = None,
    skip_damaged: bool = False,
) -> Written:
    """Writes all episodes that are not in the folder yet.

    Args:
        embodiment: the robot whose joints `observation.state` and `action` hold, in its order and units;
            the dataset is then one of this robot.
        skip_damaged: leave out episodes that cannot be read or do not fit, instead of stopping there.

    Raises:
        DamagedEpisode: an episode that cannot be read, does not fit the first one, or is not finite.
        UserError: a folder with something else in it; a full disk. Complete episodes stay.
    """
    if not 0 < source.fps < 10_000:
        raise UserError(f"{source.name}: fps: got {source.fps}, expected a number of frames per second")
    if not source.episodes:
        raise UserError(f"{source.name}: no episodes in it")
    fps = int(source.fps) if source.fps == int(source.fps) else source.fps
    skipped: list[LeftOut] = []
    features = _features(source, fps, skip_damaged)
    robot, identity = source.robot, dict(source.identity)
    if embodiment is not None:
        robot, identity = embodiment.name, layout.identity_of(embodiment)
        _check_joints(features, embodiment)
    template = layout.empty_info(robot, fps, features)
    identity = identity | {"source": source.name}
    total = len(source.episodes)
    with DatasetWriter(
        out, embodiment, fps=fps, resume=True, template=template, identity=identity
    ) as writer:  # fmt: skip
        for number in range(_next_episode(writer), total):
            if progress is not None:
                progress(number, total)
            try:
                prepared = _read(source, number, features, fps)
            except DamagedEpisode as error:
                if not skip_damaged:
                    raise
                skipped.append({"what": _label(source, number), "why": str(error)})
                continue
            writer.add_episode(prepared)
        if progress is not None:
            progress(total, total)
        if not writer.episodes:
            raise UserError(f"{source.name}: no episode of it can be used ({skipped[0]['why']})")
    return Written(writer.episodes, writer.frames, writer.tasks, [*source.left_out, *skipped])


def _next_episode(writer: DatasetWriter) -> int:
    """Returns the number, in the source, of the episode that is to be written next."""
    if not writer.episodes:
        return 0
    table = read_metadata(writer.root).episodes
    return int(table[NUMBER][-1].as_py()) + 1 if NUMBER in table.column_names else writer.episodes


def _label(source: Source, number: int) -> str:
    return f"episode {number}" if source.label is None else source.label(source.episodes[number])


def _read(source: Source, number: int, features: Features, fps: float) -> PreparedEpisode:
    """Returns an episode, checked, measured and encoded."""
    where = _label(source, number)
    try:
        prepared = _prepared(source.read(source.episodes[number]), features, fps, where)
    except UserError as error:
        raise DamagedEpisode(str(error) if where in str(error) else f"{where}: {error}") from None
    return replace(prepared, facts={NUMBER: number, **prepared.facts})


def _features(source: Source, fps: float, skip_damaged: bool) -> Features:
    """Returns the features that all episodes must have, from the first that can be read."""
    first = ""
    for number, episode in enumerate(source.episodes):
        where = _label(source, number)
        try:
            return _features_of(source.read(episode), source, fps, where)
        except UserError as error:
            why = str(error) if where in str(error) else f"{where}: {error}"
            if not skip_damaged:
                raise DamagedEpisode(why) from None
            first = first or why
    raise UserError(f"{source.name}: no episode of it can be used ({first})")


def _features_of(first: Demonstration, source: Source, fps: float, where: str) -> Features:
    """Returns the features of an episode."""
    features: Features = {}
    for camera, images in first.images.items():
        if isinstance(images, EncodedVideo):
            feature = layout.video_feature(images.height, images.width, fps)
            features[layout.IMAGE_PREFIX + camera] = feature | {"info": dict(images.info)}
            continue
        image = next(iter(images), None)
        if image is None:
            raise UserError(f"{where}: images.{camera}: no images")
        height, width = (size // 2 * 2 for size in image.shape[:2])
        features[layout.IMAGE_PREFIX + camera] = layout.video_feature(height, width, fps)
    for name, values in first.columns.items():
        kind = _DTYPES.get(values.dtype.kind)
        if kind is None or "/" in name or (kind == "string" and values.ndim > 1):
            raise UserError(f"{where}: {name}: {values.dtype} {values.shape}, expected numbers or texts")
        width = int(np.prod(values.shape[1:]))
        names = source.names.get(name)
        if names is not None and len(names) != width:
            raise UserError(f"{where}: {name}: {len(names)} names, expected {width}")
        features[name] = {"dtype": kind, "shape": [width], "names": names}
    return features | layout.made_up_features()


def _check_joints(features: Features, embodiment: Embodiment) -> None:
    for name, names in ((layout.STATE, embodiment.state_names), (layout.ACTION, embodiment.joint_names)):
        found = features.get(name, {}).get("shape")
        if found != [len(names)]:
            raise UserError(f"{name}: shape {found}, expected the {len(names)} joints of {embodiment.name}")
        features[name]["names"] = list(names)


def _prepared(found: Demonstration, features: Features, fps: float, where: str) -> PreparedEpisode:
    """Checks, measures and encodes one episode."""
    length = len(next(iter(found.columns.values()), ()))
    if not length:
        raise UserError(f"{where}: no rows")
    tasks = [found.task] * length if isinstance(found.task, str) else [str(task) for task in found.task]
    if len(tasks) != length or not all(task.strip() for task in tasks):
        raise UserError(f"{where}: task: got {len(tasks)} texts, expected {length} that are not empty")
    made_up = layout.made_up_features()
    pictures = [name for name, feature in features.items() if feature["dtype"] == "video"]
    expected = [name for name in features if name not in pictures and name not in made_up]
    for kind, got, wanted in (
        ("columns", sorted(found.columns), sorted(expected)),
        ("images", sorted(found.images), sorted(name.removeprefix(layout.IMAGE_PREFIX) for name in pictures)),
    ):
        if got != wanted:
            raise UserError(f"{where}: {kind}: got {got}, expected {wanted} as in the first episode")
    columns = {
        name: _column(found.columns[name], features[name], length, f"{where}: {name}") for name in expected
    }
    frames = np.arange(length)
    columns |= {"timestamp": (frames / fps).astype(np.float32), "frame_index": frames}
    measured = {name: stats.vector_stats(c) for name, c in columns.items() if isinstance(c, np.ndarray)}
    videos = {}
    for name in pictures:
        camera = name.removeprefix(layout.IMAGE_PREFIX)
        images = found.images[camera]
        if isinstance(images, EncodedVideo):
            videos[name] = images.data
            measured[name] = stats.sample_stats(images.sample)
            continue
        tap = _Tap(images, features[name]["shape"], length, f"{where}: images.{camera}")
        videos[name] = video.encode(tap, fps)
        measured[name] = stats.sample_stats(np.stack(tap.sample))
    return PreparedEpisode(
        index=None,
        task=tasks[0],
        length=length,
        columns=columns,
        videos=videos,
        stats=measured,
        facts=dict(found.facts),
        row_tasks=tasks,
    )


def _column(values: np.ndarray, feature: dict[str, Any], length: int, where: str) -> Any:
    """Returns a column in its type: (T,), (T, n), or a list of texts."""
    width = feature["shape"][0]
    shape = (length,) if width == 1 else (length, width)
    if len(values) != length or values.size != length * width:
        raise UserError(f"{where}: shape {values.shape}, expected {shape}")
    if _DTYPES.get(values.dtype.kind) != feature["dtype"]:
        raise UserError(f"{where}: {values.dtype}, expected {feature['dtype']} as in the first episode")
    if feature["dtype"] == "string":
        return [str(text) for text in values]
    typed = values.reshape(shape).astype(feature["dtype"])
    if typed.dtype.kind == "f" and not np.isfinite(typed).all():
        raise UserError(f"{where}: not finite at frame {int(np.argwhere(~np.isfinite(typed))[0, 0])}")
    return typed


class _Tap:
    """Passes images on, checked and cut to even sides, and keeps a small sample for statistics."""

    def __init__(self, images: Iterable[np.ndarray], shape: list[int], length: int, where: str):
        self.sample: list[np.ndarray] = []
        self._images, self._shape, self._length, self._where = images, tuple(shape), length, where

    def __iter__(self) -> Iterator[np.ndarray]:
        height, width = self._shape[:2]
        step = max(1, max(height, width) // 150) if max(height, width) >= 300 else 1
        sampled = set(stats.sampled_frames(self._length).tolist())
        count = 0
        for image in self._images:
            if (
                image.dtype != np.uint8
                or image[:height, :width].shape != self._shape
                or count == self._length
            ):
                got = f"{image.dtype} {image.shape}" if count < self._length else f"more than {count} images"
                raise UserError(f"{self._where}: got {got}, expected {self._length} of uint8 {self._shape}")
            image = image[:height, :width]
            if count in sampled:
                self.sample.append(image[::step, ::step].copy())
            count += 1
            yield image
        if count != self._length:
            raise UserError(f"{self._where}: {count} images, expected {self._length}, one for each row")
