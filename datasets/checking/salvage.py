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

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.check_columns import Alike, Problem, out_of_step, problem
from ideomotor.datasets.checking.check_videos import Span, look_at
from ideomotor.datasets.checking.salvage_columns import RECOMPUTED, Tables, column_faults
from ideomotor.datasets.lerobot import layout, stats
from ideomotor.datasets.lerobot.image_columns import ImageColumn
from ideomotor.datasets.lerobot.info_file import FILE_INDICES, formatted, height_first, is_camera
from ideomotor.datasets.lerobot.lost_tasks import lost_tasks
from ideomotor.datasets.lerobot.metadata import episode_files, read_tasks
from ideomotor.datasets.lerobot.parquet_files import read_parquet
from ideomotor.datasets.lerobot.plain_columns import to_numpy
from ideomotor.datasets.lerobot.stats import Stats
from ideomotor.datasets.lerobot.video import NotColour, VideoFile
from ideomotor.datasets.loading.cached_columns import EXTRAS, NEEDED

REQUIRED = (layout.STATE, layout.ACTION)  # an episode is nothing without them


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
    columns_out: set[str] = field(default_factory=set[str])  # of the data files, not to be copied

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
    left = Salvage(info, _tasks(root, info, rows, said), said=said)
    tables = Tables(root)
    faults: dict[str, dict[int, str]] = {}
    for row in rows:
        number = row["episode_index"]
        try:
            found, columns, unreadable = _read(root, left, row, rows, tables)
        except (UserError, KeyError, TypeError) as error:
            kind = "no " if isinstance(error, KeyError) else ""
            left.drop(number, str(error) if isinstance(error, UserError) else f"its row: {kind}{error}")
            continue
        left.episodes.append(found)
        wrong = column_faults(columns, unreadable, info["features"], robot)
        for name, why in wrong.items():
            faults.setdefault(name, {})[number] = why
        for name, values in columns.items():
            if name in info["features"] and values.dtype.kind in "fiub" and name not in {*wrong, *RECOMPUTED}:
                found.stats[name] = stats.vector_stats(values)
        start = row["dataset_from_index"] if is_count(row.get("dataset_from_index")) else 0
        for bad in out_of_step("", columns, start, info["fps"], len(left.tasks)):
            left.said.append(problem(f"episode {number}{bad['where']}", f"recomputed: {bad['what']}"))
    _drop_faulty(left, faults, len(rows))
    for key, feature in info["features"].items():
        if is_camera(feature):
            _look_at_frames(root, left, key, feature)
    left.episodes.sort(key=lambda episode: (episode.data, episode.first))
    alike = Alike(info["fps"])
    for episode in list(left.episodes):
        columns, _ = tables.columns(episode.data, episode.first, episode.length)
        same = alike.add(episode.number, {n: c for n, c in columns.items() if n not in left.columns_out})
        if same is not None:
            left.drop(episode.number, f"a duplicate of episode {same}")
    for number in alike.static():
        if any(episode.number == number for episode in left.episodes):
            left.drop(number, "nothing moves in it")
    return left


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


def _tasks(root: Path, info: dict[str, Any], rows: list[dict[str, Any]], said: list[Problem]) -> list[str]:
    """Returns tasks.parquet, or the texts that the episode table names as far as their numbers are known."""
    path = root / layout.TASKS
    try:
        if (tasks := read_tasks(path)) is not None:
            return tasks
        what = "no such file"
    except UserError as error:
        what = str(error).removeprefix(f"{path}: ")
    said.append(problem(layout.TASKS, f"made again from the episode table: {what}"))
    try:
        files = [root / formatted(info, "data_path", _file_indices(row, "data")) for row in rows]
        return lost_tasks(path, [_texts(row) for row in rows], files, "task_index")
    except (UserError, KeyError):
        return []


def _read(
    root: Path, left: Salvage, row: dict[str, Any], rows: list[dict[str, Any]], tables: Tables
) -> tuple[Found, dict[str, np.ndarray], dict[str, str]]:
    """Returns an episode, its columns, and {column: why it is not an array}.

    Raises:
        UserError, KeyError: it cannot be used.
    """
    info, number = left.info, row["episode_index"]
    path = root / formatted(info, "data_path", _file_indices(row, "data"))
    file = tables.open(path)
    if "episode_index" in file.schema.names:
        numbers = to_numpy(file.column("episode_index"), "episode_index")
        at = np.flatnonzero(numbers == number) if numbers.ndim == 1 else np.zeros(0, int)
    else:
        at = _counted_rows(row, rows, file.rows)
    if not len(at) or at[-1] - at[0] + 1 != len(at):
        raise UserError(f"{len(at)} rows of it in {path.relative_to(root)}, expected some, side by side")
    first, length = int(at[0]), len(at)
    videos, spans = {}, {row.get("length")}
    for key, feature in info["features"].items():
        if feature["dtype"] == "video":
            file_indices = _file_indices(row, f"videos/{key}") | {"video_key": key}
            begin, end = row[f"videos/{key}/from_timestamp"], row.get(f"videos/{key}/to_timestamp")
            if not 0 <= begin < 2**31:
                raise UserError(f"{key}: from {begin} s on")
            videos[key] = (root / formatted(info, "video_path", file_indices), round(begin * info["fps"]))
            if isinstance(end, float) and begin < end < 2**31:
                spans.add(round((end - begin) * info["fps"]))
        elif feature["dtype"] == "image":
            videos[key] = (path, first)
    if length not in spans:
        raise UserError(f"{length} rows, expected {' or '.join(map(str, spans))}")
    if row.get("length") != length:
        left.said.append(problem(f"episode {number}", f"length: was {row.get('length')}, has {length} rows"))
    columns, unreadable = tables.columns(path, first, length)
    tasks = _task(left, row, columns, length)
    plain = {name: value for name, value in row.items() if not name.startswith("stats/")}
    return Found(number, plain, path, first, length, tasks, {}, videos), columns, unreadable


def _counted_rows(row: dict[str, Any], rows: list[dict[str, Any]], length: int) -> np.ndarray:
    """Returns the rows of an episode in its data file by the counts of the episode table."""
    file_indices = _file_indices(row, "data")
    same = [r for r in rows if all(r.get(f"data/{name}") == value for name, value in file_indices.items())]
    first = row["dataset_from_index"] - min(r["dataset_from_index"] for r in same)
    if not is_count(first) or not is_count(row["length"]) or first + row["length"] > length:
        raise UserError("its rows cannot be found: no column episode_index, and no usable counts")
    return np.arange(first, first + row["length"])


def _task(left: Salvage, row: dict[str, Any], columns: dict[str, np.ndarray], length: int) -> np.ndarray:
    """Returns the instruction of each row (T,), from the rows or, if there is but one, the episode table."""
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


def _drop_faulty(left: Salvage, faults: dict[str, dict[int, str]], episodes: int) -> None:
    """Leaves out a column that training does without, or that hardly an episode has whole; drops the episodes
    that alone lack one that is needed."""
    for name, found in faults.items():
        used = name in NEEDED or name in EXTRAS
        most = len(found) >= len(left.episodes) and len(found) * 2 > episodes
        if name in REQUIRED or (used and not most):
            for number, why in found.items():
                if any(episode.number == number for episode in left.episodes):
                    left.drop(number, why)
            continue
        del left.info["features"][name]
        left.columns_out.add(name)
        number, why = next(iter(found.items()))
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = f"column {name} left out: {why.removeprefix(f'{name}: ')} (episode {number}{others})"
        left.said.append(problem(layout.INFO, what))
        for episode in left.episodes:
            episode.stats.pop(name, None)


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
        if why := _not_colour(opened):
            left.said.append(problem(key, f"left as it is: {why.replace(f'{root}/', '')}"))
            return
        shape = height_first(feature)["shape"]
        looked = look_at(opened, path, shape, spans, every_frame=True)
        for number, why in looked.bad.items():
            left.drop(number, f"{path.relative_to(root)}: {why.removeprefix(f'episode {number}: ')}")
        for episode in episodes:
            if episode.number in looked.stats:
                episode.stats[key] = looked.stats[episode.number]


def _not_colour(opened: Callable[[], VideoFile | ImageColumn]) -> str:
    """Returns why pictures are not colour: depth maps, say, that nothing marks as such; "" where they are."""
    try:
        with opened() as frames:
            _ = frames.height
    except NotColour as error:
        return str(error)
    except UserError:
        pass  # damaged
    return ""


def _file_indices(row: dict[str, Any], prefix: str) -> dict[str, int]:
    file_indices = {name: row[f"{prefix}/{name}"] for name in FILE_INDICES}
    if not all(is_count(value) for value in file_indices.values()):
        raise UserError(f"{prefix}: in file {file_indices}")
    return file_indices


def _texts(row: dict[str, Any]) -> list[str]:
    tasks = row.get("tasks")
    return [text for text in tasks if isinstance(text, str)] if isinstance(tasks, list) else []


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def by_file(episodes: list[Found]) -> Iterator[tuple[Path, list[Found]]]:
    """Yields (data file, its episodes), in the order of the episodes."""
    files: dict[Path, list[Found]] = {}
    for episode in episodes:
        files.setdefault(episode.data, []).append(episode)
    yield from files.items()
