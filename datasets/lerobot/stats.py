"""Statistics of episodes and datasets, in LeRobot's form.

A feature's statistics are min, max, mean, std, count and five quantiles, each an array; images have
shape (3, 1, 1) with values in [0, 1]. Aggregating weighs by count: mean and std are then exact, the
quantiles are the mean of the episodes' quantiles, as in LeRobot (datasets/compute_stats.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
KEYS = ("min", "max", "mean", "std", "count", *QUANTILES)
FeatureStats = dict[str, np.ndarray]
Stats = dict[str, FeatureStats]


def vector_stats(values: np.ndarray) -> FeatureStats:
    """Returns the statistics of (T, n) or (T,) values; each has shape (n,), or (1,)."""
    values = values.reshape(len(values), -1)
    wide = values.astype(np.float64)
    mean = wide.mean(axis=0)
    stats = {"min": values.min(axis=0), "max": values.max(axis=0), "mean": mean}
    stats["std"] = np.sqrt(np.mean((wide - mean) ** 2, axis=0))
    stats["count"] = np.array([len(values)])
    quantiles = np.quantile(wide, list(QUANTILES.values()), axis=0, method="inverted_cdf")
    return stats | dict(zip(QUANTILES, quantiles, strict=True))


def image_stats(images: np.ndarray) -> FeatureStats:
    """Returns per-channel statistics of (T, H, W, 3) uint8 images over LeRobot's sample of frames."""
    return sample_stats(images[sampled_frames(len(images))])


def sample_stats(sample: np.ndarray) -> FeatureStats:
    """Returns per-channel statistics of the (n, H, W, 3) uint8 images that stand for an episode."""
    step = _step(sample.shape[1:3])
    sample = sample[:, ::step, ::step]
    counts = np.stack([np.bincount(sample[..., c].ravel(), minlength=256) for c in range(3)])  # (3, 256)
    levels = np.arange(256) / 255.0
    total = counts[0].sum()
    mean = counts @ levels / total  # (3,)
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
    cumulative = counts.cumsum(axis=1)
    stats = {"min": levels[(counts > 0).argmax(axis=1)], "mean": mean, "std": np.sqrt(variance)}
    stats["max"] = levels[255 - (counts[:, ::-1] > 0).argmax(axis=1)]
    for name, quantile in QUANTILES.items():
        stats[name] = levels[(cumulative >= quantile * total).argmax(axis=1)]
    shaped = {name: value.reshape(3, 1, 1) for name, value in stats.items()}
    return {name: shaped[name] if name != "count" else np.array([len(sample)]) for name in KEYS}


def thinned(image: np.ndarray) -> np.ndarray:
    """Returns those pixels of an image (H, W, 3) that statistics are taken over, with memory of their own."""
    step = _step(image.shape[:2])
    return image[::step, ::step].copy() if step > 1 else image


def _step(size: tuple[int, ...]) -> int:
    return max(1, max(size) // 150) if max(size) >= 300 else 1


def sampled_frames(length: int) -> np.ndarray:
    """Returns the frames that image statistics are taken over: all up to 100, about T^0.75 above."""
    count = max(min(length, 100), min(int(length**0.75), 10_000))
    return np.round(np.linspace(0, length - 1, count)).astype(int)


def aggregate(parts: Iterable[Stats]) -> Stats:
    """Returns the statistics of several episodes or datasets together, feature by feature."""
    total: Stats = {}
    for part in parts:
        for name, stats in part.items():
            total[name] = _merge(total[name], stats) if name in total else dict(stats)
    return total


def check_finite(stats: Stats, where: str) -> None:
    """Raises UserError when a statistic is missing or not finite."""
    for feature, why in usable(stats)[1].items():
        raise UserError(f"{where}: {feature}: {why}")


def usable(stats: Stats) -> tuple[Stats, dict[str, str]]:
    """Returns the statistics that are whole and finite, and {feature: what is wrong} of the others."""
    bad: dict[str, str] = {}
    for feature, values in stats.items():
        for key in ("min", "max", "mean", "std", "count"):
            if key not in values or not np.isfinite(np.asarray(values[key], np.float64)).all():
                bad.setdefault(feature, f"{key} is missing or not finite")
    return {name: values for name, values in stats.items() if name not in bad}, bad


def to_lists(stats: Stats) -> dict[str, dict[str, list[Any]]]:
    """Returns statistics as nested lists for JSON and parquet."""
    return {name: {key: value.tolist() for key, value in part.items()} for name, part in stats.items()}


def from_lists(stats: Mapping[str, Mapping[str, Any]]) -> Stats:
    """Inverse of `to_lists`."""
    return {name: {key: np.asarray(value) for key, value in part.items()} for name, part in stats.items()}


def parse(value: Any, where: str) -> tuple[Stats, dict[str, str]]:
    """Returns what a file holds as statistics, and {feature: what is wrong} where it is something else.

    Raises:
        UserError: it is not an object of features.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where}: got {type(value).__name__}, expected statistics of features")
    found: Stats = {}
    bad: dict[str, str] = {}
    for name, part in value.items():
        try:
            arrays = from_lists({name: part})[name]
        except (AttributeError, TypeError, ValueError) as error:
            bad[name] = f"expected statistics ({error})"
            continue
        if all(array.dtype.kind in "iufb" for array in arrays.values()):
            found[name] = arrays
        else:
            bad[name] = "expected statistics, and numbers in them"
    return found, bad


def _merge(a: FeatureStats, b: FeatureStats) -> FeatureStats:
    """Combines two by the parallel algorithm of Chan, Golub and LeVeque (1979)."""
    count = a["count"] + b["count"]
    weight = b["count"] / count  # share of b
    delta = b["mean"] - a["mean"]
    variance = (1 - weight) * a["std"] ** 2 + weight * b["std"] ** 2 + weight * (1 - weight) * delta**2
    merged = {
        "min": np.minimum(a["min"], b["min"]),
        "max": np.maximum(a["max"], b["max"]),
        "mean": a["mean"] + delta * weight,
        "std": np.sqrt(variance),
        "count": count,
    }
    for name in QUANTILES:
        if name in a and name in b:
            merged[name] = (1 - weight) * a[name] + weight * b[name]
    return merged
