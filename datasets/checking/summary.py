"""What a dataset holds, in figures: its size, its episodes and cameras, and the statistics of its values."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.checking import checks
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.metadata import Metadata, read_metadata
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.stats import Stats, vector_stats
from ideomotor.datasets.viewing.page import component_names

STATISTICS = ("min", "q01", "mean", "std", "q99", "max")
CHANNELS = ["red", "green", "blue"]


def summary(root: Path | str) -> dict[str, Any]:
    """Returns what `checks.info` does, and seconds, episode_seconds, cameras, episodes_of_task and bytes.

    Raises:
        UserError: not a dataset, or its metadata is damaged.
    """
    meta = read_metadata(root)
    lengths = np.diff(meta.starts) / meta.fps  # [s]
    return checks.info(root) | {
        "seconds": float(lengths.sum()),
        "episode_seconds": {
            "min": float(lengths.min()),
            "median": float(np.median(lengths)),
            "max": float(lengths.max()),
        }
        if len(lengths)
        else None,
        "cameras": [_camera(meta, name) for name in meta.cameras],
        "episodes_of_task": _episodes_of_task(meta),
        "bytes": sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file()),
    }


def statistics(root: Path | str, only: str | None = None, *, exact: bool = False) -> dict[str, Any]:
    """Returns {feature: {"names", "count", and a list for each of STATISTICS}} of the dataset's statistics.

    Pictures have one value a channel, in [0, 1]. A statistic that the dataset lacks is None. Those that are
    not usable, or cannot be computed, have "why_not" alone.

    Args:
        only: one feature; by default all that have statistics.
        exact: compute those of columns from all rows, as far as these are finite. The stored quantiles are
            means of the episodes'.

    Raises:
        UserError: not a dataset, no such feature, or statistics that are damaged.
    """
    dataset = Dataset(root)
    if not len(dataset):
        raise UserError(f"{root}: no episodes, so there are no statistics")
    stored, why_not = dataset.stats, dataset.unusable_stats
    names = [name for name in dataset.meta.features if name in stored or name in why_not]
    if only is not None and only not in names:
        raise unknown_name("feature", only, names)
    names = names if only is None else [only]
    if exact:
        computed, unreadable = _computed(dataset, names)
        stored = {name: part for name, part in stored.items() if name not in unreadable} | computed
        why_not = {name: why for name, why in why_not.items() if name not in computed} | unreadable
    found = {}
    for name in names:
        if name not in stored:
            found[name] = {"why_not": why_not[name]}
            continue
        values = {key: _flat(stored[name].get(key)) for key in STATISTICS}
        feature = dataset.meta.features[name]
        colours = feature["dtype"] in layout.PICTURES and feature["shape"][2] == len(CHANNELS)
        labels = CHANNELS if colours else component_names(feature)
        widths = {len(value) for value in values.values() if value is not None}
        if len(widths) != 1:
            raise UserError(f"{root}: statistics of {name}: of {sorted(widths)} values, expected one length")
        if widths != {len(labels)}:  # lerobot takes those of a matrix over its last axis alone
            labels = [str(number) for number in range(*widths)]
        found[name] = {"names": labels, "count": int(stored[name]["count"].sum()), **values}
    return found


def is_counter(feature: str) -> bool:
    """Whether a feature numbers rows, so that its statistics say nothing about the robot."""
    return feature in layout.COUNTERS or feature in ("timestamp", "next.done")


def _computed(dataset: Dataset, names: list[str]) -> tuple[Stats, dict[str, str]]:
    """Returns the statistics of those that are columns of numbers, over their finite rows, and why some have
    none; a few bytes of memory for each value."""
    features = dataset.meta.features
    wanted = [name for name in names if layout.is_numeric(features[name])]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    why_not: dict[str, str] = {}
    for episode in range(len(dataset)):
        columns, left_out = dataset.read_columns(episode, wanted)
        for name in wanted:
            values = columns.get(name)
            if values is None or values.dtype.kind not in "fiub":
                why_not.setdefault(name, f"episode {episode}: {left_out.get(name, 'no such column')}")
                continue
            rows = values.reshape(len(values), -1)
            parts[name].append(rows[np.isfinite(rows).all(axis=1)])
    for name, found in parts.items():
        if len({part.shape[1] for part in found}) > 1:
            why_not.setdefault(name, "rows of different lengths")
        elif not sum(map(len, found)):
            why_not.setdefault(name, "no row of it is finite")
    whole = {name: found for name, found in parts.items() if name not in why_not}
    return {name: vector_stats(np.concatenate(found)) for name, found in whole.items()}, why_not


def _flat(value: np.ndarray | None) -> list[float] | None:
    return None if value is None else [float(number) for number in np.ravel(value)]


def _camera(meta: Metadata, name: str) -> dict[str, Any]:
    feature = meta.features[meta.video_key(name)]
    height, width = feature["shape"][:2]
    info = feature.get("info") or feature.get("video_info") or {}
    codec = info.get("video.codec") if isinstance(info, dict) else None
    stored = "images in the data files" if feature["dtype"] == "image" else f"{codec or 'unknown'} video"
    return {"name": name, "height": height, "width": width, "stored": stored}


def _episodes_of_task(meta: Metadata) -> dict[str, int]:
    """Returns the number of episodes in which each instruction is given; {} where it is not recorded."""
    if "tasks" not in meta.episodes.column_names:
        return {}
    counts = Counter(task for tasks in meta.episodes["tasks"].to_pylist() for task in set(tasks or []))
    return {task: counts[task] for task in meta.tasks}
