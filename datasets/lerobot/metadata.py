"""The `meta/` folder of a LeRobot dataset, read and checked: what there is, and where it lies.

Everything here is in the form of v3.0; `old_layouts` gives that form to v2.1 and v2.0.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import groot_modality, layout, old_layouts
from ideomotor.datasets.lerobot.file_index_repair import file_indices_by_rows
from ideomotor.datasets.lerobot.info_file import FILE_INDICES, check_info, formatted, height_first, is_camera
from ideomotor.datasets.lerobot.lost_tasks import lost_tasks
from ideomotor.datasets.lerobot.parquet_files import read_parquet
from ideomotor.datasets.lerobot.views import View


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
        """Frames a second, as the files have them."""
        return self.info["fps"]

    @property
    def rate(self) -> float:
        """Rows a second in truth: `fps`, unless whoever mapped the data knew better."""
        return self.info.get("rate", self.fps)

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        return self.info["features"]

    @property
    def old(self) -> bool:
        """Whether the files are laid out as in v2.1 and v2.0."""
        return old_layouts.is_old(self.info)

    @property
    def tasks_file(self) -> str:
        """The file of the instructions, relative to the dataset."""
        return old_layouts.TASKS if self.old else layout.TASKS

    @property
    def stats_file(self) -> str:
        """The file of the statistics, relative to the dataset."""
        lines = self.old and (self.root / old_layouts.EPISODES_STATS).exists()
        return old_layouts.EPISODES_STATS if lines else layout.STATS

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
        return self._path("data_path", "", self.file_indices(episode, "data"))

    def video_path(self, episode: int, camera: str) -> Path:
        """Returns the file with a camera's frames: a video, or the data file that has the images."""
        if self.is_inline(camera):
            return self.data_path(episode)
        key = self.disk_key(camera)
        file_indices = self.file_indices(episode, f"videos/{key}")
        return self._path("video_path", key, file_indices)

    def file_indices(self, episode: int, prefix: str) -> dict[str, int]:
        """Returns chunk_index and file_index of an episode's "data" or "videos/KEY"."""
        return {name: int(self.numbers(f"{prefix}/{name}")[episode]) for name in FILE_INDICES}

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

    def _path(self, name: str, key: str, file_indices: dict[str, int]) -> Path:
        known = (name, key, *file_indices.values())
        if known not in self._paths:
            self._paths[known] = self.root / formatted(self.info, name, file_indices | {"video_key": key})
        return self._paths[known]

    @cached_property
    def _paths(self) -> dict[tuple[str | int, ...], Path]:
        return {}

    @cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        if self.old or self.identity is not None or not len(self.episodes):
            return {}
        chunks, files = (self.episodes[f"data/{name}"].to_numpy() for name in FILE_INDICES)
        indices = file_indices_by_rows(self.root, chunks, files, self.starts)
        return {} if indices is None else {f"data/{name}": indices[i] for i, name in enumerate(FILE_INDICES)}

    @cached_property
    def _file_firsts(self) -> np.ndarray:
        """(E,): of each run of episodes in one data file the first."""
        chunk, file = (self.numbers(f"data/{name}") for name in FILE_INDICES)
        changed = np.concatenate([[True], (np.diff(chunk) != 0) | (np.diff(file) != 0)])
        return np.maximum.accumulate(np.where(changed, np.arange(len(chunk)), 0))


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
    features, view = groot_modality.apply_modality(root, features)
    meta = Metadata(root, info | {"features": features}, identity, tasks or [], episodes, view)
    return meta if tasks is not None else dataclasses.replace(meta, tasks=_told_by_episodes(meta))


def _told_by_episodes(meta: Metadata) -> list[str]:
    """Returns the instructions of a dataset whose file of them is lost."""
    named = "tasks" in meta.episodes.column_names
    texts = meta.episodes["tasks"].to_pylist() if named else [[]] * len(meta.episodes)
    texts = [[text for text in found or () if isinstance(text, str)] for found in texts]
    files = [meta.data_path(episode) for episode in range(len(texts))]
    return lost_tasks(meta.root / meta.tasks_file, texts, files, meta.view.task)


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


def read_tasks(path: Path) -> list[str] | None:
    """Returns instructions by task_index (tasks.parquet); None where the file is lost."""
    if not path.exists():
        return None
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
    if not parts:
        first = layout.EPISODES.format(chunk_index=0, file_index=0)
        raise UserError(f"{root / first}: no such file, expected a table of {count} episodes")
    try:
        table = pa.concat_tables(parts, promote_options="default").slice(0, count).combine_chunks()
    except pa.ArrowException as error:
        raise UserError(f"{root}/meta/episodes: files with different columns ({error})") from None
    where = f"{root}/meta/episodes"
    keys = [f"videos/{name}" for name, feature in info["features"].items() if feature["dtype"] == "video"]
    whole = ["episode_index", "length", "dataset_from_index", "dataset_to_index"]
    whole += [f"{key}/{name}" for key in ("data", *keys) for name in FILE_INDICES]
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
