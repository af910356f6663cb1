"""Whether the statistics of a dataset are those of its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.datasets import layout, stats
from ideomotor.datasets.check_columns import Problem, problem
from ideomotor.datasets.metadata import episode_files, is_camera, read_parquet
from ideomotor.datasets.stats import FeatureStats, Stats

IMAGE_TOLERANCE = 0.05  # of a mean in [0, 1]: ours is over a few decoded frames


def column_stats(columns: dict[str, np.ndarray], features: dict[str, Any]) -> Stats:
    """Returns the statistics of an episode's finite numbers and vectors.

    Not of counters, which LeRobot leaves as they were when it merges datasets, nor of matrices, of which
    it takes statistics along one axis.
    """
    plain = {name for name, f in features.items() if len(f["shape"]) == 1} - {*layout.COUNTERS}
    numeric = {n: values for n, values in columns.items() if n in plain and values.dtype.kind in "fiub"}
    return {name: stats.vector_stats(c) for name, c in numeric.items() if np.isfinite(c).all()}


def differences(stored: FeatureStats, data: FeatureStats) -> Iterator[str]:
    """Yields which of min, max, mean, std and count are not those of the data, and quantiles out of order."""
    low, high = (np.asarray(data[key], np.float64).ravel() for key in ("min", "max"))
    size = np.maximum(np.abs(low), np.abs(high))
    tolerance = 1e-3 * (high - low) + 1e-5 * size + 1e-6
    for key in ("count", "min", "max", "mean", "std"):
        if key not in stored:
            yield f"{key} is missing"
            continue
        found, wanted = _flat(stored[key]), _flat(data[key])
        if found is None or wanted is None or found.shape != wanted.shape:
            yield f"{key} is {_short(stored[key])}, expected {data[key].size} numbers"
            continue
        near = tolerance + 1e-3 * size if key == "std" else tolerance  # lost in E[x²] - E[x]² of float32
        wrong = np.flatnonzero(~(np.abs(found - wanted) <= (0 if key == "count" else near)))
        if wrong.size:
            i = wrong[0]
            yield f"{key} is {found[i]:.6g}, the data's is {wanted[i]:.6g}" + (
                f" (element {i})" if found.size > 1 else ""
            )
    quantiles = [_flat(stored[name]) for name in stats.QUANTILES if name in stored]
    if any(q is None or q.shape != low.shape for q in quantiles):
        yield f"quantiles: expected {low.size} numbers each"
    elif quantiles:
        ladder = np.stack([low - tolerance, *[q for q in quantiles if q is not None], high + tolerance])
        if not (np.diff(ladder, axis=0) >= -1e-6 - 1e-5 * size).all():
            yield "quantiles are not in order between min and max"


def image_differences(stored: FeatureStats, mean: np.ndarray | None) -> Iterator[str]:
    """Yields what cannot be statistics of images in [0, 1], or of those with about this mean (3,)."""
    values = {key: _flat(value) for key, value in stored.items() if key != "count"}
    for key, value in values.items():
        if value is None or value.size not in (1, 3) or not ((0 <= value) & (value <= 1)).all():
            yield f"{key} is {_short(stored[key])}, expected 3 numbers from 0 to 1"
            return
    found = values.get("mean")
    if found is None:
        yield "mean is missing"
    elif mean is not None and found.shape == mean.shape and np.abs(found - mean).max() > IMAGE_TOLERANCE:
        yield f"mean is {_short(found)}, that of some frames is {_short(mean)}"


def check_total(
    stored: Stats, total: Stats, image_means: dict[str, np.ndarray], features: dict[str, Any]
) -> Iterator[Problem]:
    """Compares `stats.json` with the statistics of all columns, and with the mean of decoded frames (3,)."""
    kinds = {name: feature["dtype"] for name, feature in features.items()}
    wanted = [
        n for n, f in features.items() if is_camera(f) or f["dtype"] not in ("string", "image", "video")
    ]
    missing = [name for name in wanted if name not in stored]
    if missing:
        yield problem(layout.STATS, f"no statistics of {', '.join(missing)}")
    for name, found in stored.items():
        if name in total:
            said = differences(found, total[name])
        elif kinds.get(name) in ("video", "image"):
            said = image_differences(found, image_means.get(name))
        else:
            continue
        for what in said:
            yield problem(f"{layout.STATS}: {name}", what)


def stored_episode_stats(root: Path) -> Iterator[tuple[Path, Stats]]:
    """Yields (file, statistics) of each row of the episode table, in order; {} where it has none.

    Raises:
        UserError: a file of it is damaged.
    """
    for path in episode_files(root):
        table = read_parquet(path)
        columns = {
            name: table[name].to_pylist()
            for name in table.column_names
            if name.startswith("stats/") and name.count("/") == 2
        }
        for row in range(len(table)):
            parts: dict[str, dict[str, Any]] = {}
            for name, values in columns.items():
                if values[row] is not None:
                    _, feature, key = name.split("/")
                    parts.setdefault(feature, {})[key] = values[row]
            yield path, stats.parse(parts, str(path))


def _flat(value: Any) -> np.ndarray | None:
    try:
        array = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        return None
    return array if np.isfinite(array).all() else None


def _short(value: Any) -> str:
    flat = _flat(value)
    return str(value)[:40] if flat is None else ", ".join(f"{x:.4g}" for x in flat[:3])
