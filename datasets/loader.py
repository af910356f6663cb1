"""Random training windows: images now and at the plan's older time, and the commands that follow.

Batch k is a pure function of (seed, k, rank, world), so training resumes exactly from a step number,
and each epoch shows every row once, over all ranks together. Nothing is decoded here: arrays come from
the memory-mapped cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets import layout
from ideomotor.datasets.cache import Cache, Progress, open_cache
from ideomotor.datasets.metadata import check_embodiment
from ideomotor.datasets.reader import Dataset
from ideomotor.datasets.sampling import shuffled

PREVIOUS_TICKS = 8
Batch = dict[str, Any]


class WindowLoader:
    """Endless batches of windows from one or more datasets; see `batch` for what is in one.

    Args:
        datasets: folders or open datasets, of the same embodiment; rows are numbered through all.
        horizon: H, commands in a window [120 Hz ticks].
        plan_age_max_s: the plan's image is drawn from the last so many seconds.
        delay_max_ticks: `delay` is drawn from 0 to this.
        rank, world: which share of each global batch of `world * batch_size` windows.
        step: number of the next batch; with `seed` all the state there is.

    Raises:
        UserError: a dataset that is damaged, of another embodiment, or lacks a camera or column.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset | Path | str],
        embodiment: Embodiment,
        horizon: int,
        batch_size: int,
        seed: int = 0,
        *,
        plan_age_max_s: float = 0.3,
        delay_max_ticks: int = 30,
        rank: int = 0,
        world: int = 1,
        step: int = 0,
        cache_root: Path | None = None,
        progress: Progress | None = None,
    ):
        if not datasets:
            raise UserError("data: no dataset given")
        self.embodiment, self.horizon, self.batch_size, self.seed = embodiment, horizon, batch_size, seed
        self.delay_max_ticks, self.rank, self.world, self.step = delay_max_ticks, rank, world, step
        opened = [item if isinstance(item, Dataset) else Dataset(item) for item in datasets]
        self.fps = opened[0].fps
        self.plan_age_max = int(plan_age_max_s * self.fps)  # [frames]
        for dataset in opened:
            check_trainable(dataset, embodiment, self.fps)
        self.caches = [open_datasets_cache(dataset, embodiment, cache_root, progress) for dataset in opened]
        self.ticks = int(embodiment.control_hz / self.fps)  # a frame
        joints = len(embodiment.joints)
        self._commands = [cache.columns[layout.HIGH_RATE].reshape(-1, joints) for cache in self.caches]
        self._offsets = np.cumsum([0, *(int(cache.starts[-1]) for cache in self.caches)])

    @property
    def rows(self) -> int:
        """Number of rows (camera frames) in all datasets together."""
        return int(self._offsets[-1])

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self.batch(self.step)
            self.step += 1
            yield batch

    def batch(self, step: int) -> Batch:
        """Returns batch number `step`, of this rank. B windows, H ticks, P = 8, A joints:

        index, plan_index: (B,) int64 rows, now and of the older frame that the plan is made from
        images, plan_images: {camera: (B, H, W, 3) uint8 RGB} at those rows
        plan_age: (B,) float32 [s]; delay: (B,) int64 [ticks]
        state, plan_state: (B, D) float32 [rad or m]
        actions: (B, H, A) float32, the commands from this tick on; the last repeats after the end
        action_mask: (B, H) bool, false after the end
        previous: (B, P, A) float32, the commands before this tick; the first state before the start
        instruction, subtask, text: B texts, at `index`; plan_text: the text at `plan_index`
        referred (B, 6), keypoints (B, 6), progress (B, 1): float32 at `index`;
        plan_keypoints, plan_progress: the same at `plan_index`
        """
        first = (step * self.world + self.rank) * self.batch_size
        rows = shuffled(np.arange(first, first + self.batch_size), self.rows, self.seed)
        rng = np.random.default_rng([self.seed, step, self.rank])
        ages = rng.integers(0, self.plan_age_max + 1, self.batch_size)
        delays = rng.integers(0, self.delay_max_ticks + 1, self.batch_size)
        return self.windows(rows, ages, delays)

    def windows(self, rows: np.ndarray, ages: np.ndarray, delays: np.ndarray) -> Batch:
        """Returns the windows at these rows, with plans `ages` frames older (not before the start)."""
        which = np.searchsorted(self._offsets, rows, side="right") - 1
        parts = []
        for number in np.unique(which):
            inside = which == number
            parts.append(
                (inside, self._windows_of(number, rows[inside] - self._offsets[number], ages[inside]))
            )
        if len(parts) == 1:
            batch = parts[0][1]
        else:
            batch = {
                name: _merge(len(rows), [(at, part[name]) for at, part in parts]) for name in parts[0][1]
            }
        return batch | {"index": rows, "delay": delays}

    def row_images(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the images at these rows, {camera: (n, H, W, 3) uint8 RGB}."""
        which = np.searchsorted(self._offsets, rows, side="right") - 1
        parts = [(which == n, self._images(n, rows[which == n] - self._offsets[n])) for n in np.unique(which)]
        return _merge(len(rows), parts)

    def _windows_of(self, number: int, rows: np.ndarray, ages: np.ndarray) -> Batch:
        cache, commands = self.caches[number], self._commands[number]
        episodes = np.searchsorted(cache.starts, rows, side="right") - 1
        starts, ends = cache.starts[episodes], cache.starts[episodes + 1]
        plan_rows = np.maximum(rows - ages, starts)
        ticks = rows[:, None] * self.ticks + np.arange(self.horizon)  # (B, H)
        before = rows[:, None] * self.ticks - np.arange(PREVIOUS_TICKS, 0, -1)  # (B, P)
        first, last = starts[:, None] * self.ticks, ends[:, None] * self.ticks - 1
        previous = commands[np.maximum(before, first)]
        early = before < first
        previous[early] = np.broadcast_to(
            cache.columns[layout.STATE][starts][:, None], previous.shape
        )[early]  # fmt: skip
        columns, vocabulary = cache.columns, cache.vocabulary
        batch: Batch = {
            "plan_index": plan_rows + self._offsets[number],
            "plan_age": ((rows - plan_rows) / self.fps).astype(np.float32),
            "images": self._images(number, rows),
            "plan_images": self._images(number, plan_rows),
            "state": columns[layout.STATE][rows],
            "plan_state": columns[layout.STATE][plan_rows],
            "actions": commands[np.minimum(ticks, last)],
            "action_mask": ticks <= last,
            "previous": previous,
            "instruction": vocabulary["task"][columns["task_index"][rows]].tolist(),
            "subtask": self._texts(cache, "subtask", rows),
            "text": self._texts(cache, "plan_text", rows),
            "plan_text": self._texts(cache, "plan_text", plan_rows),
        }
        for name, feature, width in (
            ("referred", layout.REFERRED, 6),
            ("keypoints", layout.KEYPOINTS, 6),
            ("progress", "progress", 1),
        ):
            column = columns.get(feature)
            for prefix, at in (("", rows), ("plan_", plan_rows)):
                values = np.zeros((len(at), width), np.float32) if column is None else column[at]
                batch[prefix + name] = values.reshape(len(at), width)
        return batch

    def _images(self, number: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {camera: images[rows] for camera, images in self.caches[number].images.items()}

    def _texts(self, cache: Cache, name: str, rows: np.ndarray) -> list[str]:
        if name not in cache.vocabulary:
            return [""] * len(rows)
        return cache.vocabulary[name][cache.columns[name][rows]].tolist()


def check_trainable(dataset: Dataset, embodiment: Embodiment, fps: float) -> None:
    """Raises UserError when a dataset cannot be used for training this embodiment."""
    check_embodiment(dataset.meta, embodiment)
    if dataset.fps != fps:
        raise UserError(
            f"{dataset.root}: {dataset.fps} frames per second, expected {fps} as the first dataset"
        )
    for camera in embodiment.cameras:
        if camera.name not in dataset.cameras:
            raise UserError(f"{dataset.root}: {unknown_name('camera', camera.name, dataset.cameras)}")
    width = int(embodiment.control_hz / fps) * len(embodiment.joints)
    found = dataset.meta.features.get(layout.HIGH_RATE, {}).get("shape")
    if found != [width]:
        raise UserError(f"{dataset.root}: {layout.HIGH_RATE}: shape {found}, expected {[width]}")


def open_datasets_cache(
    dataset: Dataset, embodiment: Embodiment, cache_root: Path | None, progress: Progress | None
) -> Cache:
    """Returns the cache of a dataset with the embodiment's cameras, at the size of the first one."""
    size = {(camera.height, camera.width) for camera in embodiment.cameras}
    if len(size) != 1:
        raise UserError(f"{embodiment.name}: cameras of different sizes {sorted(size)}, expected one size")
    height, width = size.pop()
    names = [camera.name for camera in embodiment.cameras]
    return open_cache(dataset, height, width, cameras=names, cache_root=cache_root, progress=progress)


def _merge(size: int, parts: list[tuple[np.ndarray, Any]]) -> Any:
    """Puts together what windows of several datasets have, in the order of the batch."""
    example = parts[0][1]
    if isinstance(example, dict):
        return {name: _merge(size, [(at, part[name]) for at, part in parts]) for name in example}
    merged = np.empty((size, *np.shape(example)[1:]), object if isinstance(example, list) else example.dtype)
    for at, part in parts:
        merged[at] = part
    return merged.tolist() if isinstance(example, list) else merged
