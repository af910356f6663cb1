"""Whether the statistics of a dataset are those of its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.datasets.checking.check_columns import Problem, problem
from ideomotor.datasets.lerobot import layout, stats
from ideomotor.datasets.lerobot.info_file import is_camera
from ideomotor.datasets.lerobot.metadata import episode_files
from ideomotor.datasets.lerobot.parquet_files import read_parquet
from ideomotor.datasets.lerobot.stats import FeatureStats, Stats

IMAGE_TOLERANCE = 0.05  # of a mean in [0, 1]: pictures were measured before they were encoded
ROUNDINGS = 1000  # of float32 in a sum of thousands of numbers: a spread below 1 % of their size is then lost
Colours = Callable[[bool], tuple[list[np.ndarray], list[int]]]  # few? -> (seen, lengths), see `mean_range`


def column_stats(columns: dict[str, np.ndarray], features: dict[str, Any]) -> Stats:
    """Returns the statistics of an episode's finite numbers and vectors.

    Not of counters, which LeRobot leaves as they were when it merges datasets, nor of matrices, of which
    it takes statistics along one axis.
    """
    plain = {name for name, f in features.items() if len(f["shape"]) == 1} - {*layout.COUNTERS}
    numeric = {n: values for n, values in columns.items() if n in plain and values.dtype.kind in "fiub"}
    return {name: stats.vector_stats(c) for name, c in numeric.items() if np.isfinite(c).all()}


def differences(stored: FeatureStats, data: FeatureStats) -> Iterator[tuple[str, bool]]:
    """Yields which of min, max, mean, std and count are not those of the data, and quantiles out of order;
    each with whether it harms nothing."""
    low, high = (np.asarray(data[key], np.float64).ravel() for key in ("min", "max"))
    size = np.maximum(np.abs(low), np.abs(high))
    tolerance = 1e-3 * (high - low) + 1e-5 * size + 1e-6
    for key in ("count", "min", "max", "mean", "std"):
        if key not in stored:
            yield f"{key} is missing", False
            continue
        found, wanted = _flat(stored[key]), _flat(data[key])
        if found is None or wanted is None or found.shape != wanted.shape:
            yield f"{key} is {_short(stored[key])}, expected {data[key].size} numbers", False
            continue
        wrong = ~(np.abs(found - wanted) <= (0 if key == "count" else tolerance))
        lost = wrong & _cancelled(found, wanted, size) if key == "std" else wrong & False
        at = np.flatnonzero(wrong & ~lost) if (wrong & ~lost).any() else np.flatnonzero(lost)
        if at.size and (not lost[at[0]] or abs(found[at[0]] - wanted[at[0]]) > 1e-3 * size[at[0]]):
            i = at[0]
            yield (
                f"{key} is {found[i]:.6g}, the data's is {wanted[i]:.6g}"
                + (f" (element {i})" if found.size > 1 else "")
                + (": computed in float32 from values far from 0" if lost[i] else ""),
                bool(lost[i]),
            )
    quantiles = [_flat(stored[name]) for name in stats.QUANTILES if name in stored]
    if any(q is None or q.shape != low.shape for q in quantiles):
        yield f"quantiles: expected {low.size} numbers each", False
    elif quantiles:
        rungs = np.stack([low - tolerance, *[q for q in quantiles if q is not None], high + tolerance])
        if not (np.diff(rungs, axis=0) >= -1e-6 - 1e-5 * size).all():
            yield "quantiles are not in order between min and max", False


def _cancelled(std: np.ndarray, wanted: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whether a spread may differ by what float32 loses of E[x²] - E[x]², after the roundings of a sum."""
    return np.abs(std**2 - wanted**2) <= ROUNDINGS * np.finfo(np.float32).eps * size**2


def image_differences(stored: FeatureStats, colours: Colours) -> Iterator[str]:
    """Yields what cannot be statistics of images in [0, 1], or of those with about these mean colours."""
    values = {key: _flat(value) for key, value in stored.items() if key != "count"}
    for key, value in values.items():
        if value is None or value.size not in (1, 3, 4) or not ((0 <= value) & (value <= 1)).all():
            yield f"{key} is {_short(stored[key])}, expected a number from 0 to 1 for each channel"
            return
    found = values.get("mean")
    if found is None:
        yield "mean is missing"
        return
    for few in (True, False):  # what looks wrong in a few frames is looked at again in many
        low, high, mean = mean_range(*colours(few))
        if mean.shape != found.shape or ((low <= found) & (found <= high)).all():
            return
    yield f"mean is {_short(found)}, that of some frames is {_short(mean)}"


def mean_range(seen: list[np.ndarray], lengths: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (lowest, highest, best) that the mean of all frames can be, each (3,).

    Statistics weigh an episode by its frames, or by those of them that LeRobot samples. To either mean belong
    four of its standard errors, as the frames of each episode differ.

    Args:
        seen: mean colours (n, 3) of evenly spaced frames of each episode.
        lengths: their numbers of frames.
    """
    if not seen:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    means = np.stack([_trapezoid(colours) for colours in seen])  # (E, 3)
    spread = np.stack([c.std(axis=0, ddof=1) / len(c) ** 0.5 if len(c) > 1 else 0 * c[0] for c in seen])
    low, high = [], []
    best = means.mean(axis=0)
    for counts in (lengths, [len(stats.sampled_frames(length)) for length in lengths]):
        share = np.array(counts)[:, None] / sum(counts)
        best = (share * means).sum(axis=0)
        error = np.sqrt(((share * spread) ** 2).sum(axis=0))
        low.append(best - 4 * error - IMAGE_TOLERANCE)
        high.append(best + 4 * error + IMAGE_TOLERANCE)
    return np.min(low, axis=0), np.max(high, axis=0), best


def _trapezoid(colours: np.ndarray) -> np.ndarray:
    """The mean over an episode of frames from its first to its last, which stand for half a step each."""
    weights = np.ones(len(colours))
    weights[[0, -1]] = 0.5
    return (colours * weights[:, None]).sum(axis=0) / weights.sum()


def check_total(
    stored: Stats, total: Stats, colours: dict[str, Colours], features: dict[str, Any], file: str
) -> Iterator[tuple[Problem, bool]]:
    """Compares stored statistics with those of all columns, and with the colours of some frames; yields each
    problem with whether it harms nothing.

    Args:
        file: where they are stored.
    """
    wanted = [name for name, feature in features.items() if is_camera(feature) or layout.is_numeric(feature)]
    absent = [name for name in wanted if name not in stored]
    if absent:
        yield problem(file, f"no statistics of {', '.join(absent)}"), False
    for name, found in stored.items():
        if name in total:
            for what, harmless in differences(found, total[name]):
                yield problem(f"{file}: {name}", what), harmless
        elif name in features and is_camera(features[name]) and name in colours:
            for what in image_differences(found, colours[name]):
                yield problem(f"{file}: {name}", what), False


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
            yield path, stats.parse(parts, str(path))[0]


def _flat(value: Any) -> np.ndarray | None:
    try:
        array = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        return None
    return array if np.isfinite(array).all() else None


def _short(value: Any) -> str:
    flat = _flat(value)
    return str(value)[:40] if flat is None else ", ".join(f"{x:.4g}" for x in flat[:3])
