"""Reads the metadata of LeRobot v2.1 and v2.0, and gives it the form that v3.0 has.

There, each episode has a data file and a video for each camera of its own, `meta/` holds JSON lines
instead of parquet, and statistics are of each episode (v2.1) or of the whole (v2.0). Here they become
the tables of v3.0: `chunk_index` is the old `episode_chunk`, and `file_index` the episode's number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import layout, stats

EPISODES = "meta/episodes.jsonl"
TASKS = "meta/tasks.jsonl"
EPISODES_STATS = "meta/episodes_stats.jsonl"
EPISODES_PER_CHUNK = 1000


def is_old(info: dict[str, Any]) -> bool:
    """Whether an info.json is of v2.0 or v2.1."""
    return str(info.get("codebase_version")).startswith("v2.")


def read_tables(root: Path, info: dict[str, Any]) -> tuple[list[str] | None, pa.Table]:
    """Returns the instructions, None where their file is lost, and the episode table.

    Raises:
        UserError: a file that is missing, damaged or contradicts info.json, with the line.
    """
    path = root / EPISODES
    count = info["total_episodes"]
    if not count:
        return [], pa.table({"dataset_to_index": pa.array([], pa.int64())})
    rows = [_episode(row, f"{path}: line {i + 1}") for i, row in enumerate(read_jsonl(path))]
    rows = sorted(rows, key=lambda row: row["episode_index"])[:count]  # more: of an unfinished recording
    numbers, lengths = ([row[name] for row in rows] for name in ("episode_index", "length"))
    if len(rows) < count:
        raise UserError(f"{path}: {len(rows)} episodes, expected {count} (total_episodes)")
    if len(set(numbers)) < count:
        raise UserError(f"{path}: episode_index: an episode is listed twice")
    if sum(lengths) != info["total_frames"]:
        raise UserError(f"{path}: {sum(lengths)} frames, expected {info['total_frames']} (total_frames)")
    return read_tasks(root / TASKS), episode_table(rows, info)


def episode_table(rows: list[dict[str, Any]], info: dict[str, Any]) -> pa.Table:
    """Returns the episode table of v3.0 for rows {episode_index, tasks, length} in order."""
    numbers, lengths = ([row[name] for row in rows] for name in ("episode_index", "length"))
    ends = np.cumsum(lengths)
    chunk = info.get("chunks_size", EPISODES_PER_CHUNK)
    if not isinstance(chunk, int) or chunk < 1:
        raise UserError(f"{layout.INFO}: chunks_size: got {chunk!r}, expected a number of episodes")
    file_indices = {"chunk_index": [number // chunk for number in numbers], "file_index": numbers}
    keys = [f"videos/{name}" for name, feature in info["features"].items() if feature["dtype"] == "video"]
    tasks = pa.array([row["tasks"] for row in rows], pa.list_(pa.string()))
    table: dict[str, Any] = {"episode_index": numbers, "tasks": tasks}
    table |= {"length": lengths, "dataset_from_index": ends - lengths, "dataset_to_index": ends}
    for key in ("data", *keys):
        table |= {f"{key}/{name}": values for name, values in file_indices.items()}
    for key in keys:
        table[f"{key}/from_timestamp"] = [0.0] * len(rows)
    return pa.table(table)


def read_stats(root: Path, info: dict[str, Any]) -> tuple[stats.Stats, dict[str, str]]:
    """Returns the statistics of the whole dataset, and {feature: what is wrong} of those that have none.

    Raises:
        UserError: a file that is missing or damaged.
    """
    path = root / EPISODES_STATS
    if not path.exists():  # v2.0, which keeps no counts
        whole, bad = stats.parse(layout.read_json(root / layout.STATS), str(root / layout.STATS))
        count = np.array([info["total_frames"]])
        return {name: {"count": count} | values for name, values in whole.items()}, bad
    total: stats.Stats = {}
    bad = {}
    for i, row in enumerate(read_jsonl(path)):
        found, wrong = stats.parse(row.get("stats"), f"{path}: line {i + 1}")
        found, lacking = stats.usable(found)
        for name, why in (wrong | lacking).items():
            bad.setdefault(name, f"line {i + 1}: {why}")
        for name, part in found.items():
            try:
                before = {name: total[name]} if name in total else {}
                total |= stats.aggregate([before, {name: part}])
            except (ValueError, TypeError) as error:
                bad.setdefault(name, f"line {i + 1}: of another shape than before ({error})")
    return {name: values for name, values in total.items() if name not in bad}, bad


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Returns the objects of a file of JSON lines; UserError with the line when one is not readable."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    rows = []
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: line {i + 1}: not readable as JSON ({error})") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {i + 1}: got {type(row).__name__}, expected a JSON object")
        rows.append(row)
    return rows


def parse_episode(line: str, where: str) -> dict[str, Any]:
    """Returns a row of episodes.jsonl {episode_index, length, tasks}; UserError when it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not readable as JSON ({error})") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: got {type(row).__name__}, expected a JSON object")
    return _episode(row, where)


def _episode(row: dict[str, Any], where: str) -> dict[str, Any]:
    for name, least in (("episode_index", 0), ("length", 1)):
        value = row.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
            raise UserError(f"{where}: {name}: got {value!r}, expected a number of {least} or more")
    tasks = row.get("tasks") or []
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise UserError(f"{where}: tasks: got {tasks!r}, expected a list of texts")
    return {"episode_index": row["episode_index"], "length": row["length"], "tasks": tasks}


def read_tasks(path: Path) -> list[str] | None:
    """Returns instructions by task_index; None where the file is lost."""
    if not path.exists():
        return None
    tasks: dict[int, str] = {}
    for i, row in enumerate(read_jsonl(path)):
        number, task = row.get("task_index"), row.get("task")
        if not isinstance(number, int) or number in tasks or not isinstance(task, str):
            raise UserError(f"{path}: line {i + 1}: got {row!r}, expected another task_index and a task")
        tasks[number] = task
    if sorted(tasks) != list(range(len(tasks))):
        raise UserError(f"{path}: task_index: expected 0 to {len(tasks) - 1}, each once")
    return [tasks[number] for number in range(len(tasks))]
