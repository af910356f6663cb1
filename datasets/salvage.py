"""Finds the episodes of a damaged LeRobot v3.0 dataset that can be used, and what is wrong with the rest.

Nothing is believed that can be checked: rows are found by their episode_index, lengths are counted, every
frame is decoded. `repair` writes what is found here as a new dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import layout, stats
from ideomotor.datasets.check_columns import Alike, Problem, missing, out_of_step, problem, unusable
from ideomotor.datasets.check_videos import Span, look_at
from ideomotor.datasets.metadata import (
    PLACE,
    episode_files,
    formatted,
    height_first,
    is_camera,
    read_parquet,
    read_tasks,
)
from ideomotor.datasets.reader import to_numpy
from ideomotor.datasets.stats import Stats
from ideomotor.datasets.stills import ImageColumn
from ideomotor.datasets.video import VideoFile

RECOMPUTED = ("timestamp", *layout.COUNTERS)


@dataclass
class Found:
    """An episode that can be used."""

    number: int  # its episode_index
    row: dict[str, Any]  # of the episode table, without statistics
    data: Path
    first: int  # its first row in the data file
    length: int
    tasks: np.ndarray  # (T,) object: the instruction of each row
    stats: Stats
    videos: dict[str, tuple[Path, int]]  # {feature: (file, number of its first frame in it)}


@dataclass
class Salvage:
    """What is left of a dataset, and what was found wrong with it."""

    info: dict[str, Any]
    tasks: list[str]
    episodes: list[Found] = field(default_factory=list[Found])
    said: list[Problem] = field(default_factory=list[Problem])

    def drop(self, number: int, why: str) -> None:
        """Leaves an episode out."""
        self.episodes = [episode for episode in self.episodes if episode.number != number]
        self.said.append(problem(f"episode {number}", f"dropped: {why}"))


def salvage(root: Path, info: dict[str, Any], robot: Embodiment | None) -> Salvage:
    """Returns the episodes that can be used; `info` is a usable info.json, but for its counts."""
    rows, said = _table_rows(root)
    if len(rows) != info["total_episodes"]:
        expected = f"counted {info['total_episodes']} episodes, {len(rows)} are in the episode table"
        said.append(problem(layout.INFO, expected))
    left = Salvage(info, _tasks(root, rows, said), said=said)
    tables = _Tables()
    absent: dict[str, list[int]] = {}
    for row in rows:
        number = row["episode_index"]
        try:
            found, columns = _read(root, left, row, rows, tables)
        except (UserError, KeyError, TypeError) as error:
            kind = "no " if isinstance(error, KeyError) else ""
            left.drop(number, str(error) if isinstance(error, UserError) else f"its row: {kind}{error}")
            continue
        for name in missing(columns, info["features"]):
            if name not in RECOMPUTED:
                absent.setdefault(name, []).append(number)
        values = {name: column for name, column in columns.items() if name not in RECOMPUTED}
        for bad in unusable("", values, info["features"], robot):
            left.drop(number, f"{bad['where'].removeprefix(': ')}: {bad['what']}")
            break
        else:
            left.episodes.append(found)
            numeric = {n: c for n, c in values.items() if n in info["features"] and c.dtype.kind in "fiub"}
            found.stats = {name: stats.vector_stats(column) for name, column in numeric.items()}
            start = row["dataset_from_index"] if is_count(row.get("dataset_from_index")) else 0
            for bad in out_of_step("", columns, start, info["fps"], len(left.tasks)):
                left.said.append(problem(f"episode {number}{bad['where']}", f"recomputed: {bad['what']}"))
    _drop_absent(left, absent, len(rows))
    for key, feature in info["features"].items():
        if is_camera(feature):
            _look_at_frames(root, left, key, feature)
    left.episodes.sort(key=lambda episode: (episode.data, episode.first))
    alike = Alike(info["fps"])
    for episode in list(left.episodes):
        columns = tables.columns(root, episode.data, episode.first, episode.length)
        same = alike.add(episode.number, columns)
        if same is not None:
            left.drop(episode.number, f"a duplicate of episode {same}")
    for number in alike.static():
        if any(episode.number == number for episode in left.episodes):
            left.drop(number, "nothing moves in it")
    return left


class _Tables:
    """The newest data file."""

    def __init__(self) -> None:
        self._newest: tuple[Path, pa.Table] | None = None

    def read(self, path: Path) -> pa.Table:
        if self._newest is None or self._newest[0] != path:
            self._newest = (path, read_parquet(path))
        return self._newest[1]

    def columns(self, root: Path, path: Path, first: int, length: int) -> dict[str, np.ndarray]:
        """Returns the columns of some rows, but for images."""
        rows = self.read(path).slice(first, length)
        plain = [f.name for f in rows.schema if not pa.types.is_struct(f.type) and not _is_bytes(f.type)]
        return {name: to_numpy(rows[name], f"{path.relative_to(root)}: {name}") for name in plain}


def _table_rows(root: Path) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Returns the rows of the episode table that are readable, each episode once."""
    rows: dict[int, dict[str, Any]] = {}
    said: list[Problem] = []
    for path in episode_files(root):
        where = path.relative_to(root).as_posix()
        try:
            found = read_parquet(path, without="stats/").to_pylist()
        except UserError as error:
            said.append(problem(where, f"left out: {str(error).removeprefix(f'{path}: ')}"))
            continue
        for row in found:
            number = row.get("episode_index")
            if not is_count(number) or number in rows:
                said.append(problem(where, f"left out a row with episode_index {number!r}"))
            else:
                rows[number] = row
    return list(rows.values()), said


def _tasks(root: Path, rows: list[dict[str, Any]], said: list[Problem]) -> list[str]:
    """Returns tasks.parquet, or the texts that the episode table names."""
    try:
        return read_tasks(root / layout.TASKS)
    except UserError as error:
        what = str(error).removeprefix(f"{root / layout.TASKS}: ")
        said.append(problem(layout.TASKS, f"made again from the episode table: {what}"))
        return list(dict.fromkeys(text for row in rows for text in _texts(row)))


def _read(
    root: Path, left: Salvage, row: dict[str, Any], rows: list[dict[str, Any]], tables: _Tables
) -> tuple[Found, dict[str, np.ndarray]]:
    """Returns an episode and its columns; UserError or KeyError when it cannot be used."""
    info, number = left.info, row["episode_index"]
    path = root / formatted(info, "data_path", _place(row, "data"))
    table = tables.read(path)
    if "episode_index" in table.column_names:
        numbers = to_numpy(table["episode_index"], "episode_index")
        at = np.flatnonzero(numbers == number) if numbers.ndim == 1 else np.zeros(0, int)
    else:
        at = _counted_rows(row, rows, len(table))
    if not len(at) or at[-1] - at[0] + 1 != len(at):
        raise UserError(f"{len(at)} rows of it in {path.relative_to(root)}, expected some, side by side")
    first, length = int(at[0]), len(at)
    videos, spans = {}, {row.get("length")}
    for key, feature in info["features"].items():
        if feature["dtype"] == "video":
            place = _place(row, f"videos/{key}") | {"video_key": key}
            begin, end = row[f"videos/{key}/from_timestamp"], row.get(f"videos/{key}/to_timestamp")
            if not 0 <= begin < 2**31:
                raise UserError(f"{key}: from {begin} s on")
            videos[key] = (root / formatted(info, "video_path", place), round(begin * info["fps"]))
            if isinstance(end, float) and begin < end < 2**31:
                spans.add(round((end - begin) * info["fps"]))
        elif feature["dtype"] == "image":
            videos[key] = (path, first)
    if length not in spans:
        raise UserError(f"{length} rows, expected {' or '.join(map(str, spans))}")
    if row.get("length") != length:
        left.said.append(problem(f"episode {number}", f"length: was {row.get('length')}, has {length} rows"))
    columns = tables.columns(root, path, first, length)
    tasks = _task(left, row, columns)
    plain = {name: value for name, value in row.items() if not name.startswith("stats/")}
    return Found(number, plain, path, first, length, tasks, {}, videos), columns


def _counted_rows(row: dict[str, Any], rows: list[dict[str, Any]], length: int) -> np.ndarray:
    """Returns the rows of an episode in its data file by the counts of the episode table."""
    place = _place(row, "data")
    same = [r for r in rows if all(r.get(f"data/{name}") == value for name, value in place.items())]
    first = row["dataset_from_index"] - min(r["dataset_from_index"] for r in same)
    if not is_count(first) or not is_count(row["length"]) or first + row["length"] > length:
        raise UserError("its rows cannot be told: no column episode_index, and no usable counts")
    return np.arange(first, first + row["length"])


def _task(left: Salvage, row: dict[str, Any], columns: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the instruction of each row (T,), from the rows or, if there is but one, the episode table."""
    length = len(next(iter(columns.values())))
    numbers = columns.get("task_index", np.full(length, -1))
    if numbers.dtype.kind in "iu" and 0 <= numbers.min() <= numbers.max() < len(left.tasks):
        texts = np.array(left.tasks, object)[numbers]
    elif len(_texts(row)) == 1:
        texts = np.full(length, _texts(row)[0], object)
    else:
        raise UserError("its task is unknown")
    if not all(text.strip() for text in set(texts.tolist())):
        raise UserError("its task is empty")
    return texts


def _drop_absent(left: Salvage, absent: dict[str, list[int]], episodes: int) -> None:
    """Forgets a feature that no episode has; drops the episodes that alone lack one."""
    for name, numbers in absent.items():
        if len(numbers) >= len(left.episodes) and len(numbers) * 2 > episodes:
            del left.info["features"][name]
            left.said.append(problem(layout.INFO, f"feature {name} removed: no column of that name"))
            continue
        for number in numbers:
            left.drop(number, f"{name}: the column is missing")


def _look_at_frames(root: Path, left: Salvage, key: str, feature: dict[str, Any]) -> None:
    """Decodes all frames of a camera; drops the episodes that lack some, and keeps statistics."""
    files: dict[Path, list[Found]] = {}
    for episode in left.episodes:
        files.setdefault(episode.videos[key][0], []).append(episode)
    for path, episodes in files.items():
        spans = [Span(e.number, e.videos[key][1], e.videos[key][1] + e.length) for e in episodes]
        opened: Callable[[], VideoFile | ImageColumn] = partial(ImageColumn, path, key, root)
        if feature["dtype"] == "video":
            opened = partial(VideoFile, path, left.info["fps"], strict=True)
        shape = height_first(feature)["shape"]
        looked = look_at(opened, path, shape, spans, every_frame=True)
        for number, why in looked.bad.items():
            left.drop(number, f"{path.relative_to(root)}: {why.removeprefix(f'episode {number}: ')}")
        for episode in episodes:
            if episode.number in looked.stats:
                episode.stats[key] = looked.stats[episode.number]


def _place(row: dict[str, Any], prefix: str) -> dict[str, int]:
    place = {name: row[f"{prefix}/{name}"] for name in PLACE}
    if not all(is_count(value) for value in place.values()):
        raise UserError(f"{prefix}: in file {place}")
    return place


def _texts(row: dict[str, Any]) -> list[str]:
    tasks = row.get("tasks")
    return [text for text in tasks if isinstance(text, str)] if isinstance(tasks, list) else []


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def by_file(episodes: list[Found]) -> Iterator[tuple[Path, list[Found]]]:
    """Yields (data file, its episodes), in the order of the episodes."""
    files: dict[Path, list[Found]] = {}
    for episode in episodes:
        files.setdefault(episode.data, []).append(episode)
    yield from files.items()
