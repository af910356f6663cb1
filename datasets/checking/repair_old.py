"""Repairs a dataset of LeRobot v2.1 or v2.0: what can be used of it becomes a new one of v3.0.

There, an episode is files of its own. Those that are on the disk are taken, whatever meta/ counts; each is
converted, videos encoded anew, and the result is then repaired as one of v3.0 (duplicates, limits, times).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.check_columns import Problem, problem
from ideomotor.datasets.importing.convert import source_of
from ideomotor.datasets.importing.demonstrations import NUMBER, write_demonstrations
from ideomotor.datasets.lerobot import groot_modality, old_layouts
from ideomotor.datasets.lerobot.info_file import formatted, height_first
from ideomotor.datasets.lerobot.lost_tasks import lost_tasks
from ideomotor.datasets.lerobot.metadata import Metadata, read_metadata
from ideomotor.datasets.lerobot.parquet_files import DataFile
from ideomotor.datasets.lerobot.reader import Dataset

CONVERTED = ".converted"  # suffix of the folder in between
_NUMBER = re.compile(r"(\d+)\.parquet$")


def repair_old(
    root: Path, out: Path, info: dict[str, Any], repair: Callable[[Path, Path], list[Problem]]
) -> list[Problem]:
    """Writes what can be used of a dataset to a new folder, and returns what was done to it.

    Args:
        info: a usable info.json, but for its counts.
        repair: repairs a dataset of v3.0 into a new folder.

    Raises:
        UserError: nothing in it can be used, or no room. Nothing is left behind then.
    """
    said: list[Problem] = []
    dataset = Dataset(_salvaged(root, info, said))
    between = out.with_name(out.name + CONVERTED)
    try:
        shutil.rmtree(between, ignore_errors=True)
        written = write_demonstrations(between, source_of(dataset, "salvaged"), skip_damaged=True)
        for item in written.left_out:
            where, why = item["what"].removeprefix(f"{root}: "), item["why"]
            episode = where.startswith("episode ")
            why = why.removeprefix(f"{item['what']}: ").replace(f"{root}/", "")
            said.append(problem(where, f"{'dropped' if episode else 'left out'}: {why}"))
        done = repair(between, out)
        table = read_metadata(between).episodes
        numbers = dataset.meta.numbers("episode_index")[table[NUMBER].to_numpy()]
        return said + [{key: _renumbered(text, numbers) for key, text in step.items()} for step in done]
    finally:
        dataset.close()
        shutil.rmtree(between, ignore_errors=True)


def _renumbered(text: str, numbers: np.ndarray) -> str:
    """Returns a message with the numbers that episodes had before they were converted."""
    return re.sub(r"\bepisode (\d+)", lambda found: f"episode {numbers[int(found[1])]}", text)


def _salvaged(root: Path, info: dict[str, Any], said: list[Problem]) -> Metadata:
    """Returns metadata of the episodes whose data files are readable."""
    listed = _listed(root, said)
    numbers = {int(match[1]) for path in root.rglob("*.parquet") if (match := _NUMBER.search(path.name))}
    chunk = info.get("chunks_size")
    if not isinstance(chunk, int) or chunk < 1:
        chunk = old_layouts.EPISODES_PER_CHUNK
    rows: list[dict[str, Any]] = []
    files: list[Path] = []
    for number in sorted(numbers | listed.keys()):
        file_indices = {"chunk_index": number // chunk, "file_index": number, "video_key": ""}
        path = root / formatted(info, "data_path", file_indices)
        try:
            length = DataFile(path).rows
            if not length:
                raise UserError("no rows in it")
        except UserError as error:
            why = str(error).replace(f"{root}/", "")
            said.append(problem(f"episode {number}", f"dropped: {why}"))
            continue
        row = listed.get(number, {"tasks": []})
        if row.get("length") != length:
            said.append(problem(f"episode {number}", f"length: was {row.get('length')}, has {length} rows"))
        rows.append({"episode_index": number, "tasks": row["tasks"], "length": length})
        files.append(path)
    if not rows:
        why = f" ({said[-1]['where']}: {said[-1]['what']})" if said else ""
        raise UserError(f"{root}: no episode of it can be used{why}")
    counts = {"total_episodes": len(rows), "total_frames": sum(row["length"] for row in rows)}
    info = info | counts | {"chunks_size": chunk}
    table = old_layouts.episode_table(rows, info)
    features = {name: height_first(feature) for name, feature in info["features"].items()}
    features, view = groot_modality.apply_modality(root, features)
    tasks = _tasks(root, rows, files, view.task, said)
    return Metadata(root, info | {"features": features}, None, tasks, table, view)


def _listed(root: Path, said: list[Problem]) -> dict[int, dict[str, Any]]:
    """Returns {number: row} of episodes.jsonl, as far as its lines can be used."""
    found: dict[int, dict[str, Any]] = {}
    path = root / old_layouts.EPISODES
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        said.append(problem(old_layouts.EPISODES, f"left out: {error.strerror or error}"))
        return found
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = old_layouts.parse_episode(line, f"line {number}")
            if row["episode_index"] in found:
                raise UserError(f"line {number}: episode {row['episode_index']} is listed twice")
            found[row["episode_index"]] = row
        except UserError as error:
            said.append(problem(old_layouts.EPISODES, f"left out: {error}"))
    return found


def _tasks(
    root: Path, rows: list[dict[str, Any]], files: list[Path], column: str, said: list[Problem]
) -> list[str]:
    path = root / old_layouts.TASKS
    try:
        if (tasks := old_layouts.read_tasks(path)) is not None:
            return tasks
        what = "no such file"
    except UserError as error:
        what = str(error).removeprefix(f"{path}: ")
    said.append(problem(old_layouts.TASKS, f"made again from {old_layouts.EPISODES}: {what}"))
    return lost_tasks(path, [row["tasks"] for row in rows], files, column)
