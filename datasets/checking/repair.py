"""Writes a repaired copy of a damaged LeRobot dataset: `ideomotor data validate DIR --fix OUT`.

Of v3.0, that is; for older layouts see repair_old.py. Episodes and columns that cannot be used are left
out; counts, counters, times and statistics are computed again. No picture is encoded again: video files are
copied, and the frames of dropped episodes stay in them unused. The copy is written beside OUT, checked, and
renamed when it is whole.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.checking.check_columns import Problem, problem
from ideomotor.datasets.checking.checks import embodiment_of, validate
from ideomotor.datasets.checking.repair_old import repair_old
from ideomotor.datasets.checking.salvage import Found, Salvage, by_file, is_count, salvage
from ideomotor.datasets.lerobot import layout, old_layouts, stats
from ideomotor.datasets.lerobot.file_group import parquet_bytes
from ideomotor.datasets.lerobot.info_file import FILE_INDICES, check_info
from ideomotor.datasets.lerobot.metadata import Metadata
from ideomotor.datasets.lerobot.parquet_files import parquet_errors, read_parquet

UNFINISHED = ".unfinished"  # suffix of the folder that becomes OUT


def repair(root: Path | str, out: Path | str, robot: Embodiment | None = None) -> list[Problem]:
    """Writes what can be used of a dataset to a new folder, and returns what was done to it.

    Args:
        robot: as in `validate`.

    Raises:
        UserError: no LeRobot dataset, nothing in it can be used, OUT is not a new folder, or there is no
            room for it. Nothing is left behind then.
    """
    root, out = Path(root), Path(out)
    info = _usable_info(root)
    check_target(root, out)
    if old_layouts.is_old(info):
        return repair_old(root, out, info, lambda between, out: repair(between, out, robot))
    meta = Metadata(root, info, _identity(root), [], pa.table({}))
    left = salvage(root, info, embodiment_of(meta, robot))
    if not left.episodes:
        why = f" ({left.said[0]['where']}: {left.said[0]['what']})" if left.said else ""
        raise UserError(f"{root}: no episode of it can be used{why}")
    temporary = out.with_name(out.name + UNFINISHED)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        lock = files.lock_folder(temporary)
        try:
            _write(root, temporary, left)
            problems = validate(temporary, robot)
            if problems:
                what = f"{problems[0]['where']}: {problems[0]['what']}".replace(str(temporary), str(out))
                raise UserError(f"{root}: cannot be repaired, the copy would still have {what}")
            os.rename(temporary, out)
            files.sync_folder(out.parent)
        finally:
            os.close(lock)
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise files.cannot_write(out, error) from None
    return left.said


def check_target(root: Path, out: Path) -> None:
    """Raises UserError when a repaired copy cannot go there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"fix: {out} exists already, expected a new folder")
    inside, around = out.resolve(), root.resolve()
    if inside == around or around in inside.parents or inside in around.parents:
        raise UserError(f"fix: {out} and {root} lie in one another, expected a folder of its own")


def _usable_info(root: Path) -> dict[str, Any]:
    info = layout.read_json(root / layout.INFO)
    counts = dict.fromkeys(("total_episodes", "total_frames", "total_tasks"), 0)
    check_info(root / layout.INFO, info | counts)
    counted = info.get("total_episodes")
    return info | counts | {"total_episodes": counted if is_count(counted) else 0}


def _identity(root: Path) -> dict[str, Any] | None:
    try:
        return layout.read_json(root / layout.IDENTITY)
    except UserError:
        return None


def _write(root: Path, out: Path, left: Salvage) -> None:
    """Writes the copy, all of it synced."""
    tasks = [task for task in dict.fromkeys(left.tasks) if task.strip()]
    tasks = list(dict.fromkeys([*tasks, *(text for e in left.episodes for text in e.tasks.tolist())]))
    starts = np.cumsum([0, *(episode.length for episode in left.episodes)])
    numbers = {episode.number: i for i, episode in enumerate(left.episodes)}
    for path, episodes in by_file(left.episodes):
        with parquet_errors(path):
            names = pq.read_schema(path).names
        for name in {name for name in names if names.count(name) > 1} - left.columns_out:
            left.columns_out.add(name)
            left.said.append(problem("data", f"column {name} left out: several columns of this name"))
        kept = [name for name in names if name not in left.columns_out]
        table, groups = read_parquet(path, kept).select(kept), []
        for episode in episodes:
            rows = table.slice(episode.first, episode.length)
            index = numbers[episode.number]
            counters = _counters(episode, index, int(starts[index]), tasks, left.info["fps"])
            for name, values in counters.items():
                rows = _with_column(rows, name, values)
                if name in left.info["features"]:
                    episode.stats[name] = stats.vector_stats(values)
            groups.append(rows)
        _put(out / path.relative_to(root), parquet_bytes(groups))
    videos = {path for e in left.episodes for path, _ in e.videos.values() if path != e.data}
    for path in sorted(videos):
        _copy(path, out / path.relative_to(root))
    total: stats.Stats = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    file_indices = (0, 0)
    for episode, start in zip(left.episodes, starts[:-1].tolist(), strict=True):
        file_indices = max(file_indices, _table_indices(episode))  # never back to an earlier file
        row = _row(episode, numbers[episode.number], start, left.info["fps"])
        row |= {
            f"meta/episodes/{name}": value for name, value in zip(FILE_INDICES, file_indices, strict=True)
        }
        name = layout.EPISODES.format(**dict(zip(FILE_INDICES, file_indices, strict=True)))
        tables.setdefault(name, []).append(row)
        total = stats.aggregate([total, episode.stats])
    for name, rows in tables.items():
        _put(out / name, parquet_bytes([pa.Table.from_pylist(rows)]))
    for path in [*root.iterdir(), *(root / "meta").glob("*.json")]:
        if path.is_file() and not path.name.endswith(files.TEMPORARY):
            _copy(path, out / path.relative_to(root))
    _put(out / layout.TASKS, parquet_bytes([layout.tasks_table(tasks)]))
    _put(out / layout.STATS, layout.to_json(stats.to_lists(total)))
    counts = {"total_episodes": len(left.episodes), "total_frames": int(starts[-1])}
    counts |= {"total_tasks": len(tasks)}
    splits = {"splits": {"train": f"0:{len(left.episodes)}"}}
    _put(out / layout.INFO, layout.to_json(left.info | counts | splits))


def _counters(episode: Found, index: int, start: int, tasks: list[str], fps: float) -> dict[str, np.ndarray]:
    frames = np.arange(episode.length)
    return {
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(episode.length, index),
        "index": frames + start,
        "task_index": np.array([tasks.index(text) for text in episode.tasks]),
    }


def _with_column(rows: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    if name not in rows.column_names:
        return rows.append_column(name, pa.array(values))
    at = rows.column_names.index(name)
    plain = pa.float32() if values.dtype.kind == "f" else pa.int64()
    return rows.set_column(at, pa.field(name, plain), pa.array(values, plain))


def _row(episode: Found, index: int, start: int, fps: float) -> dict[str, Any]:
    row = episode.row | {"episode_index": index, "length": episode.length}
    row["tasks"] = list(dict.fromkeys(episode.tasks.tolist()))
    row |= {"dataset_from_index": start, "dataset_to_index": start + episode.length}
    for key, (path, first) in episode.videos.items():
        if path != episode.data:
            row[f"videos/{key}/from_timestamp"] = first / fps
            row[f"videos/{key}/to_timestamp"] = (first + episode.length) / fps
    for feature, values in stats.to_lists(episode.stats).items():
        row |= {f"stats/{feature}/{name}": value for name, value in values.items()}
    return row


def _table_indices(episode: Found) -> tuple[int, int]:
    """Returns where the row goes: the file it was in, or that of the same number as its data."""
    row = episode.row
    names = [f"meta/episodes/{name}" for name in FILE_INDICES]
    if not all(is_count(row.get(name)) for name in names):
        names = [f"data/{name}" for name in FILE_INDICES]
    chunk, file = (row[name] for name in names)
    return chunk, file


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with open(target, "rb") as file:
        os.fsync(file.fileno())


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_synced(path, data)
