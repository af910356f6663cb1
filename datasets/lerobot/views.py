"""A dataset seen under other names: cameras renamed, vectors put together from components of columns.

GR00T's `modality.json` and the user's `--map` both become a view; everything that reads a dataset then
sees the names of the view only, and the files stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot import stats

SHIFTED = ("min", "max", "mean", *stats.QUANTILES)  # statistics that move with an offset


@dataclass(frozen=True)
class Component:
    """One number of a row, `column[index] * scale + offset`; the index of a scalar column is 0."""

    column: str
    index: int
    scale: float = 1.0  # above 0
    offset: float = 0.0


Vector = tuple[Component, ...]


@dataclass(frozen=True)
class View:
    """What is shown in place of what is on the disk; the empty view shows a dataset as it is."""

    cameras: Mapping[str, str] = field(default_factory=dict)  # {feature shown: feature on the disk}
    vectors: Mapping[str, Vector] = field(default_factory=dict)  # {feature shown: its components}
    task: str = "task_index"  # the column on the disk that numbers the instruction of a row

    def components(self, feature: str, width: int) -> Vector:
        """Returns what a feature of this width is made of."""
        return self.vectors.get(feature) or tuple(Component(feature, i) for i in range(width))

    def sources(self, name: str) -> set[str]:
        """Returns the columns on the disk that a column shown is made of."""
        if name in self.vectors:
            return {item.column for item in self.vectors[name]}
        return {self.task, name} if name == "task_index" else {name}

    def columns(
        self, found: Mapping[str, np.ndarray], names: Collection[str] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Returns the columns shown, made from those on the disk, and why some cannot be made.

        Args:
            names: what is asked for; all by default.
        """
        shown, lost = dict(found), dict[str, str]()
        for feature, vector in self.vectors.items():
            if names is not None and feature not in names:
                continue
            try:
                shown[feature] = compose(vector, found)
            except UserError as error:
                shown.pop(feature, None)
                lost[feature] = str(error)
        if self.task != "task_index" and self.task in found:
            shown["task_index"] = found[self.task]
        return shown, lost

    def stats(self, found: stats.Stats) -> stats.Stats:
        """Returns the statistics of the features shown, as far as those of their sources are known."""
        shown: stats.Stats = dict(found)
        for feature, vector in self.vectors.items():
            parts = [found.get(item.column) for item in vector]
            known = [part for part in parts if part is not None]
            keys = set.intersection(*(set(part) for part in known)) if len(known) == len(parts) else set()
            shown.pop(feature, None)
            if keys:
                shown[feature] = {key: _gathered(vector, found, key) for key in stats.KEYS if key in keys}
        for feature, source in self.cameras.items():
            if source in found:
                shown[feature] = found[source]
        if self.task != "task_index":
            shown.pop("task_index", None)
            shown |= {"task_index": found[self.task]} if self.task in found else {}
        for source in set(self.cameras.values()) - set(self.cameras):
            shown.pop(source, None)
        return shown


def compose(vector: Vector, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns (T, n) float32: the components of a vector side by side.

    Raises:
        UserError: a column or a component of it is missing.
    """
    parts = []
    for item in vector:
        values = found.get(item.column)
        if values is None:
            raise UserError(f"made from column {item.column!r}, which is missing or not an array")
        flat = values.reshape(len(values), -1)
        if flat.dtype.kind not in "fiub" or item.index >= flat.shape[1]:
            raise UserError(f"no number {item.index} in column {item.column!r} {values.shape}")
        parts.append(flat[:, item.index] * item.scale + item.offset)
    return np.stack(parts, axis=1).astype(np.float32)


def _gathered(vector: Vector, found: stats.Stats, key: str) -> np.ndarray:
    if key == "count":
        return found[vector[0].column][key]
    values = [found[item.column][key].reshape(-1) for item in vector]
    if any(item.index >= len(part) for item, part in zip(vector, values, strict=True)):
        return np.full(len(vector), np.nan)  # statistics of another width: `check_finite` says so
    offsets = np.array([item.offset if key in SHIFTED else 0.0 for item in vector])
    picked = np.array([part[item.index] for item, part in zip(vector, values, strict=True)])
    return picked * np.array([item.scale for item in vector]) + offsets
