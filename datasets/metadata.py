"""The `meta/` folder of a LeRobot dataset, read and checked: what there is, and where it lies.

Everything here is in the form of v3.0; `old_layouts` gives that form to v2.1 and v2.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import layout, modality, old_layouts
from ideomotor.datasets.places import places_by_rows
from ideomotor.datasets.views import View

PLACE = ("chunk_index", "file_index")


@dataclass(frozen=True)
class Metadata:
    """Tables and dictionaries of `meta/`; `episodes` has one row an episode, without statistics."""

    root: Path
    info: dict[str, Any]
    identity: dict[str, Any] | None  # meta/ideomotor.json, of our own recordings only
    tasks: list[str]  # by task_index
    episodes: pa.Table
    view: View = View()  # `info` has the features shown

    @property
    def fps(self) -> float:
        return self.info["fps"]

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        return self.info["features"]

    @property
    def old(self) -> bool:
        """Whether the files are laid out as in v2.1 and v2.0."""
        return old_layouts.is_old(self.info)

    @property
    def cameras(self) -> list[str]:
        """Camera names: features of pictures without their prefix, and without depth maps."""
        names = [name for name, feature in self.features.items() if is_camera(feature)]
        return [name.removeprefix(layout.IMAGE_PREFIX) for name in names]

    @cached_property
    def starts(self) -> np.ndarray:
        """(E + 1,) int64: the first row of each episode, and the number of rows."""
        ends = self.episodes["dataset_to_index"].to_numpy()
        return np.concatenate([[0], ends]).astype(np.int64)

    def data_path(self, episode: int) -> Path:
        return self._path("data_path", "", self.place(episode, "data"))

    def video_path(self, episode: int, camera: str) -> Path:
        """Returns the file with a camera's frames: a video, or the data file that has the images."""
        if self.is_inline(camera):
            return self.data_path(episode)
        key = self.disk_key(camera)
        place = self.place(episode, f"videos/{key}")
        return self._path("video_path", key, place)

    def place(self, episode: int, prefix: str) -> dict[str, int]:
        """Returns chunk_index and file_index of an episode's "data" or "videos/KEY"."""
        return {name: int(self.numbers(f"{prefix}/{name}")[episode]) for name in PLACE}

    def numbers(self, name: str) -> np.ndarray:
        """Returns a column of the episode table as numbers (E,); the same array every time."""
        if name not in self._numbers:
            self._numbers[name] = self.episodes[name].to_numpy()
        return self._numbers[name]

    def first_in_file(self, episode: int) -> int:
        """Returns the first episode of the data file that an episode lies in."""
        return int(self._file_firsts[episode])

    def video_key(self, camera: str) -> str:
        """Returns the feature of a camera: prefix and name, or the name alone (`observation.image`)."""
        key = layout.IMAGE_PREFIX + camera
        return key if key in self.features else camera

    def disk_key(self, camera: str) -> str:
        """Returns the feature of a camera as the files name it."""
        key = self.video_key(camera)
        return self.view.cameras.get(key, key)

    def is_inline(self, camera: str) -> bool:
        """Whether a camera's images lie in the data files, instead of in videos."""
        return self.features[self.video_key(camera)]["dtype"] == "image"

    def first_video_frame(self, episode: int, camera: str) -> int:
        """Returns the number, in the file of `video_path`, of the first frame of an episode."""
        if self.is_inline(camera):
            return int(self.starts[episode] - self.starts[self.first_in_file(episode)])
        start = self.numbers(f"videos/{self.disk_key(camera)}/from_timestamp")[episode]
        return round(float(start) * self.fps)  # an integer: sums of 1/fps drift

    def _path(self, name: str, key: str, place: dict[str, int]) -> Path:
        known = (name, key, *place.values())
        if known not in self._paths:
            self._paths[known] = self.root / formatted(self.info, name, place | {"video_key": key})
        return self._paths[known]

    @cached_property
    def _paths(self) -> dict[tuple[str | int, ...], Path]:
        return {}

    @cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        if self.old or self.identity is not None or not len(self.episodes):
            return {}
        chunks, files = (self.episodes[f"data/{name}"].to_numpy() for name in PLACE)
        places = places_by_rows(self.root, chunks, files, self.starts)
        return {} if places is None else {f"data/{name}": places[i] for i, name in enumerate(PLACE)}

    @cached_property
    def _file_firsts(self) -> np.ndarray:
        """(E,): of each run of episodes in one data file the first."""
        chunk, file = (self.numbers(f"data/{name}") for name in PLACE)
        changed = np.concatenate([[True], (np.diff(chunk) != 0) | (np.diff(file) != 0)])
        return np.maximum.accumulate(np.where(changed, np.arange(len(chunk)), 0))


def is_camera(feature: dict[str, Any]) -> bool:
    """Whether a feature holds colour pictures; depth maps are left out."""
    info = feature.get("info") or feature.get("video_info") or {}
    depth = isinstance(info, dict) and (info.get("is_depth_map") or info.get("video.is_depth_map"))
    return feature["dtype"] in layout.PICTURES and not depth


def read_metadata(root: Path | str) -> Metadata:
    """Returns a dataset's metadata, of LeRobot v3.0, v2.1 or v2.0, with GR00T's names if it has them.

    Raises:
        UserError: not such a dataset, or a file that is missing or damaged, by name.
    """
    root = Path(root)
    info = layout.read_json(root / layout.INFO)
    check_info(root / layout.INFO, info)
    identity = layout.read_json(root / layout.IDENTITY) if (root / layout.IDENTITY).exists() else None
    if old_layouts.is_old(info):
        tasks, episodes = old_layouts.read_tables(root, info)
    else:
        tasks = read_tasks(root / layout.TASKS) if info["total_episodes"] else []
        episodes = _episode_table(root, info)
    features = {name: height_first(feature) for name, feature in info["features"].items()}
    features, view = modality.apply_modality(root, features)
    return Metadata(root, info | {"features": features}, identity, tasks, episodes, view)


def episode_files(root: Path) -> list[Path]:
    """Returns the files of the episode table, in order."""
    return sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet"))


def check_embodiment(dataset: Metadata, embodiment: Embodiment) -> None:
    """Raises UserError, showing both, when the dataset was not recorded with this embodiment."""
    if dataset.identity is not None and "fingerprint" in dataset.identity:
        found = dataset.identity.get("fingerprint")
        if found != embodiment.fingerprint:
            name = dataset.identity.get("embodiment")
            raise UserError(
                f"{dataset.root}: recorded with robot {name!r} ({found}),"
                f" expected {embodiment.name!r} ({embodiment.fingerprint})"
            )
        return
    if layout.STATE not in dataset.features or layout.ACTION not in dataset.features:
        names = ", ".join(sorted(dataset.features))
        raise UserError(f"{dataset.root}: no {layout.STATE} and {layout.ACTION} among its features ({names})")
    for feature, expected in (
        (layout.STATE, embodiment.state_names),
        (layout.ACTION, embodiment.joint_names),
    ):
        joints = list(expected)
        names = [name.removesuffix(".pos") for name in layout.component_names(dataset.features[feature])]
        if names != joints:
            raise UserError(
                f"{dataset.root}: {feature}: robot {dataset.info.get('robot_type')!r} with joints {names},"
                f" expected {embodiment.name!r} with {joints}"
            )


def read_parquet(path: Path, columns: Sequence[str] | None = None, without: str | None = None) -> pa.Table:
    """Returns a parquet file's table: some columns, or all but those with the prefix `without`.

    Raises:
        UserError: naming the file, when it is missing or damaged.
    """
    with parquet_errors(path):
        file = pq.ParquetFile(path)
        if without is not None:
            columns = [name for name in file.schema_arrow.names if not name.startswith(without)]
        table = file.read(columns=list(columns) if columns is not None else None)
        table.validate(full=True)
        return table


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turns what pyarrow raises on a damaged file into a UserError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not readable as parquet ({reason})") from None


def check_info(path: Path, info: dict[str, Any]) -> None:
    """Raises UserError, naming the field, when an info.json cannot be used."""
    version = info.get("codebase_version")
    if not isinstance(version, str) or not version.startswith(("v3.", "v2.")):
        expected = f"{layout.CODEBASE_VERSION!r}, 'v2.1' or 'v2.0'"
        raise UserError(f"{path}: codebase_version: got {version!r}, expected {expected}")
    kinds: dict[str, Any] = {"total_episodes": int, "total_frames": int, "features": dict, "data_path": str}
    for name, kind in kinds.items():
        if not isinstance(info.get(name), kind):
            raise UserError(f"{path}: {name}: got {info.get(name)!r}, expected {kind.__name__}")
    for name in ("total_episodes", "total_frames"):
        if isinstance(info[name], bool) or info[name] < 0:
            raise UserError(f"{path}: {name}: got {info[name]!r}, expected a number of 0 or more")
    fps = info.get("fps")
    if not isinstance(fps, (int, float)) or not 0 < fps < 10_000:
        raise UserError(f"{path}: fps: got {fps!r}, expected a number of frames per second")
    for name, feature in info["features"].items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not isinstance(feature.get("dtype"), str):
            raise UserError(f"{path}: features.{name}: expected dtype and shape")
        if not all(isinstance(size, int) and 0 < size < 2**31 for size in shape):
            raise UserError(f"{path}: features.{name}: shape: got {shape}, expected numbers above 0")
        if feature["dtype"] in layout.PICTURES and len(shape) != 3:
            raise UserError(f"{path}: features.{name}: shape {shape}, expected height, width and channels")
    example = dict.fromkeys(PLACE, 0) | {"video_key": "camera"}
    formatted(info, "data_path", example)
    if any(feature["dtype"] == "video" for feature in info["features"].values()):
        formatted(info, "video_path", example)


def height_first(feature: dict[str, Any]) -> dict[str, Any]:
    """Returns a feature of pictures with the shape (height, width, channels); some say channels first."""
    shape = feature["shape"]
    if feature["dtype"] in layout.PICTURES and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return feature | {"shape": [*shape[1:], shape[0]], "names": ["height", "width", "channels"]}
    return feature


def read_tasks(path: Path) -> list[str]:
    """Returns instructions by task_index (tasks.parquet)."""
    table = read_parquet(path)
    # pandas stores the index under its name, or as __index_level_0__ when it has none
    texts = [name for name in ("task", "__index_level_0__") if name in table.column_names]
    if not texts or "task_index" not in table.column_names:
        raise UserError(f"{path}: columns {table.column_names}, expected task_index and task")
    if not pa.types.is_integer(table["task_index"].type):
        raise UserError(f"{path}: task_index: {table['task_index'].type}, expected int64")
    numbers, names = table["task_index"].to_pylist(), table[texts[0]].to_pylist()
    tasks = {number: str(name) for number, name in zip(numbers, names, strict=True)}
    if tasks.keys() != set(range(len(numbers))):
        raise UserError(f"{path}: task_index: expected 0 to {len(numbers) - 1}, each once")
    return [tasks[number] for number in range(len(numbers))]


def _episode_table(root: Path, info: dict[str, Any]) -> pa.Table:
    count = info["total_episodes"]
    if not count:
        return pa.table({"dataset_to_index": pa.array([], pa.int64())})
    parts = [read_parquet(path, without="stats/") for path in episode_files(root)]
    try:
        table = pa.concat_tables(parts, promote_options="default").slice(0, count).combine_chunks()
    except pa.ArrowException as error:
        raise UserError(f"{root}/meta/episodes: files with different columns ({error})") from None
    where = f"{root}/meta/episodes"
    keys = [f"videos/{name}" for name, feature in info["features"].items() if feature["dtype"] == "video"]
    whole = ["episode_index", "length", "dataset_from_index", "dataset_to_index"]
    whole += [f"{key}/{name}" for key in ("data", *keys) for name in PLACE]
    for name in [*whole, *(f"{key}/from_timestamp" for key in keys)]:
        if name not in table.column_names or table[name].null_count:
            raise UserError(f"{where}: column {name!r} is missing or has gaps")
        values = table[name].to_numpy()
        if (
            values.dtype.kind not in ("iu" if name in whole else "f")
            or not ((0 <= values) & (values < 2**40)).all()
        ):
            raise UserError(f"{where}: column {name!r} holds what it cannot")
    if len(table) < count:
        raise UserError(f"{where}: {len(table)} episodes, expected {count} (total_episodes)")
    lengths, ends = table["length"].to_numpy(), table["dataset_to_index"].to_numpy()
    if not np.array_equal(np.cumsum(lengths), ends) or ends[-1] != info["total_frames"] or lengths.min() < 1:
        raise UserError(f"{where}: lengths do not add up to {info['total_frames']} frames (total_frames)")
    return table


def formatted(info: dict[str, Any], name: str, values: dict[str, Any]) -> str:
    """Returns the path that a format string of info.json gives, relative to the dataset."""
    old_names = {"episode_chunk": values["chunk_index"], "episode_index": values["file_index"]}
    try:
        text = info[name].format(**values, **old_names)
    except (KeyError, ValueError, AttributeError, IndexError, TypeError):
        raise UserError(f"info.json: {name}: cannot use {info.get(name)!r}") from None
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise UserError(f"info.json: {name}: {text!r} leads out of the dataset")
    return text
