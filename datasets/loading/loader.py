"""Random training windows: images now and at the plan's older time, and the commands that follow.

Batch k is a pure function of (seed, k, rank, world), so training resumes exactly from a step number.
Without weights each epoch shows every row once, over all ranks together; with weights each dataset has
its share of every step. Commands are at the embodiment's rate: those recorded at it (`action.high_rate`),
or else a smooth curve through the recorded targets. Arrays come from the cache, see `datasets.cache`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.timing import Timing, usual_timing
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.lerobot.metadata import Metadata, check_embodiment
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.cache import Cache, Progress, open_cache
from ideomotor.datasets.loading.person_rows import EVERY_ROW, PersonRows, drawn_rows, stretch_ends
from ideomotor.datasets.loading.sampling import mixed, shuffled
from ideomotor.datasets.loading.window_batch import FrameBatch, WindowBatch, merged
from ideomotor.datasets.loading.window_commands import WindowCommands

RELEASE_EVERY = 1024  # windows, whose part of the mapped columns stays in memory meanwhile


class WindowLoader:
    """Endless batches of windows from one or more datasets, see `WindowBatch`.

    Args:
        datasets: folders or open datasets, of the same embodiment; rows are numbered through all. They may
            differ in frames per second.
        horizon: H, commands in a window [120 Hz ticks].
        timing: of the policy that is trained: how old plans are, how many commands are committed at most
            and how many past ones are given; by default `control.timing.usual_timing`.
        rank, world: which share of each global batch of `world * batch_size` windows.
        step: number of the next batch; with `seed` all the state there is.
        weights: relative number of windows from each dataset; by their rows where none are given.
        every: only every so many frames of an episode start a window or are what a plan is made from:
            frames of one episode are much alike, and what is not used need not be read.
        person: what is made of rows that a person drove, and not a policy.
        plan_images: whether batches have the pictures of the frames that plans are made from.
        cache_budget: bytes that all caches may take, see `open_cache`; `notes` says if it was too small.

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
        timing: Timing | None = None,
        rank: int = 0,
        world: int = 1,
        step: int = 0,
        weights: Sequence[float] = (),
        every: int = 1,
        plan_images: bool = True,
        person: PersonRows = EVERY_ROW,
        cache_root: Path | None = None,
        cache_budget: int | None = None,
        progress: Progress | None = None,
    ):
        if not datasets:
            raise UserError("data: no dataset given")
        if every < 1:
            raise UserError(f"every: got {every}, expected at least 1 frame")
        self.embodiment, self.horizon, self.batch_size, self.seed = embodiment, horizon, batch_size, seed
        self.timing = usual_timing(embodiment) if timing is None else timing
        self.rank, self.world, self.step = rank, world, step
        self.every, self.plan_images = every, plan_images
        self.shares = _shares(weights, len(datasets))
        self.caches = [
            open_datasets_cache(item, embodiment, cache_root, progress, cache_budget) for item in datasets
        ]
        self.notes = [note for cache in self.caches for note in cache.notes]
        self.sizes = [int(cache.starts[-1]) for cache in self.caches]
        self._sources = [
            WindowCommands(cache, embodiment, horizon, self.timing.past_command_ticks)
            for cache in self.caches
        ]
        self._offsets = np.cumsum([0, *self.sizes])
        ages = [int(self.timing.max_plan_age_s * source.rate) for source in self._sources]  # [frames]
        self._drawn = drawn_rows(self.caches, person, every)
        self._draw_sizes = self.sizes if self._drawn is None else [len(rows) for rows in self._drawn]
        self._ends = [stretch_ends(cache) for cache in self.caches] if person.only else None
        self._oldest = ages[0] if len(set(ages)) == 1 else np.array(ages)
        self._unreleased = 0

    @property
    def rows(self) -> int:
        """Number of rows (camera frames) in all datasets together."""
        return int(self._offsets[-1])

    def __iter__(self) -> Iterator[WindowBatch]:
        while True:
            batch = self.batch(self.step)
            self.step += 1
            yield batch

    def batch(self, step: int) -> WindowBatch:
        """Returns batch number `step`, of this rank."""
        rows = self.used(self._draw(step))
        rng = np.random.default_rng([self.seed, step, self.rank])
        oldest = self._oldest if isinstance(self._oldest, int) else self._oldest[self._which(rows)]
        ages = rng.integers(0, oldest + 1, self.batch_size)
        prefixes = rng.integers(0, self.timing.max_prefix_ticks + 1, self.batch_size)
        return self.windows(rows, ages, prefixes)

    def _draw(self, step: int) -> np.ndarray:
        """The rows (B,) that this rank's windows of a step begin at."""
        if self.shares:
            which, rows = mixed(step, self.world * self.batch_size, self._draw_sizes, self.shares, self.seed)
            mine = slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)
            which, rows = which[mine], rows[mine]
        else:
            first, ends = (step * self.world + self.rank) * self.batch_size, np.cumsum(self._draw_sizes)
            rows = shuffled(np.arange(first, first + self.batch_size), int(ends[-1]), self.seed)
            which = np.searchsorted(ends, rows, side="right")
            rows = rows - (ends - self._draw_sizes)[which]
        if self._drawn is not None:
            rows = np.array([self._drawn[n][row] for n, row in zip(which, rows, strict=True)], np.int64)
        return rows + self._offsets[which]

    def windows(self, rows: np.ndarray, ages: np.ndarray, prefix_length: np.ndarray) -> WindowBatch:
        """Returns the windows at these rows, with plans `ages` frames older (not before the start).

        Args:
            rows, ages, prefix_length: (B,) int64, see `WindowBatch`.
        """
        which, parts = self._which(rows), []
        for number in np.unique(which):
            at = which == number
            inside = rows[at] - self._offsets[number]
            parts.append((at, self._windows_of(number, inside, ages[at], prefix_length[at])))
        self._unreleased += len(rows)
        if self._unreleased >= RELEASE_EVERY:
            self._unreleased = 0
            for cache in self.caches:
                cache.maps.release()
        return merged(len(rows), parts)

    def used(self, rows: np.ndarray) -> np.ndarray:
        """Returns the newest rows not after these that are used, see `every`."""
        return rows if self.every == 1 else self._gathered(rows, self._used)

    def row_images(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the images at these rows, {camera: (n, H, W, 3) uint8 RGB}."""
        return self._gathered(rows, self._images)

    def row_instructions(self, rows: np.ndarray) -> list[str]:
        """Returns the instructions at these rows, empty where none were recorded."""
        return self._gathered(rows, self._instructions)

    def row_states(self, rows: np.ndarray) -> np.ndarray:
        """Returns the states at these rows, (n, D) float32 [rad or m]."""
        return self._gathered(rows, lambda number, at: self.caches[number].columns[layout.STATE][at])

    def _used(self, number: int, rows: np.ndarray) -> np.ndarray:
        starts = self.caches[number].starts
        since = rows - starts[np.searchsorted(starts, rows, side="right") - 1]
        return rows - since % self.every + self._offsets[number]

    def _gathered(self, rows: np.ndarray, read: Callable[[int, np.ndarray], Any]) -> Any:
        """What `read` gives for rows of each dataset, by its number and rows in it, put together."""
        which = self._which(rows)
        parts = [(which == n, read(n, rows[which == n] - self._offsets[n])) for n in np.unique(which)]
        return merged(len(rows), parts)

    def _which(self, rows: np.ndarray) -> np.ndarray:
        """Returns the numbers of the datasets that rows lie in."""
        return np.searchsorted(self._offsets, rows, side="right") - 1

    def _windows_of(
        self, number: int, rows: np.ndarray, ages: np.ndarray, prefix_length: np.ndarray
    ) -> WindowBatch:
        source = self._sources[number]
        cache = source.cache
        episodes = np.searchsorted(cache.starts, rows, side="right") - 1
        starts, ends = cache.starts[episodes], cache.starts[episodes + 1]
        plan_rows = np.maximum(rows - ages, starts)
        plan_rows -= (plan_rows - starts) % self.every
        if self.plan_images:
            images = self._images(number, np.concatenate([rows, plan_rows]))
            now = {camera: both[: len(rows)] for camera, both in images.items()}
            older = {camera: both[len(rows) :] for camera, both in images.items()}
        else:
            now, older = self._images(number, rows), {}
        last = ends if self._ends is None else self._ends[number][rows]  # of what is to be learned
        past_commands, actions, action_mask = source.commands(rows, starts, last)
        return WindowBatch(
            now=self._frames(number, rows, now),
            at_plan=self._frames(number, plan_rows, older),
            plan_age=((rows - plan_rows) / source.rate).astype(np.float32),
            instruction=self._instructions(number, rows),
            subtask=self._texts(cache, "subtask", rows),
            past_commands=past_commands,
            prefix_length=prefix_length,
            actions=actions,
            action_mask=action_mask,
        )

    def _frames(self, number: int, rows: np.ndarray, images: dict[str, np.ndarray]) -> FrameBatch:
        cache = self.caches[number]

        def recorded(feature: str, width: int) -> np.ndarray:
            column = cache.columns.get(feature)
            values = np.full((len(rows), width), np.nan, np.float32) if column is None else column[rows]
            return values.reshape(len(rows), width).astype(np.float32, copy=False)

        return FrameBatch(
            index=rows + self._offsets[number],
            images=images,
            state=cache.columns[layout.STATE][rows],
            plan_text=self._texts(cache, "plan_text", rows),
            referred=recorded(layout.REFERRED, 6),
            keypoints=recorded(layout.KEYPOINTS, 6),
            progress=recorded("progress", 1)[:, 0],
        )

    def _images(self, number: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {camera: images[rows] for camera, images in self.caches[number].images.items()}

    def _instructions(self, number: int, rows: np.ndarray) -> list[str]:
        cache = self.caches[number]
        if "task_index" not in cache.columns:
            return [""] * len(rows)
        return cache.vocabulary["task"][cache.columns["task_index"][rows]]

    def _texts(self, cache: Cache, name: str, rows: np.ndarray) -> list[str]:
        if name not in cache.vocabulary:
            return [""] * len(rows)
        return cache.vocabulary[name][cache.columns[name][rows]]


def check_trainable(meta: Metadata, embodiment: Embodiment) -> None:
    """Raises UserError when a dataset cannot be used for training this embodiment."""
    check_embodiment(meta, embodiment)
    for camera in embodiment.cameras:
        if camera.name not in meta.cameras:
            raise UserError(f"{meta.root}: {unknown_name('camera', camera.name, meta.cameras)}")
    name, width = layout.ACTION, len(embodiment.joints)
    if layout.HIGH_RATE in meta.features:
        name, width = layout.HIGH_RATE, int(embodiment.control_hz / meta.rate) * width
    elif embodiment.commands == "deltas" and meta.rate != embodiment.control_hz:
        raise UserError(
            f"{meta.root}: fps: got {meta.rate:g}, expected the {embodiment.control_hz} of {embodiment.name},"
            f" or a column {layout.HIGH_RATE}: deltas of another rate are other movements"
        )
    found = meta.features.get(name, {}).get("shape")
    if found != [width]:
        raise UserError(f"{meta.root}: {name}: shape {found}, expected {[width]}")


def open_datasets_cache(
    dataset: Dataset | Path | str,
    embodiment: Embodiment,
    cache_root: Path | None = None,
    progress: Progress | None = None,
    budget: int | None = None,
) -> Cache:
    """Returns the cache of a dataset with the embodiment's cameras, at the size of the first one."""
    size = {(camera.height, camera.width) for camera in embodiment.cameras}
    if len(size) != 1:
        raise UserError(f"{embodiment.name}: cameras of different sizes {sorted(size)}, expected one size")
    return open_cache(
        dataset,
        *size.pop(),
        cameras=[camera.name for camera in embodiment.cameras],
        cache_root=cache_root,
        budget=budget,
        progress=progress,
        check=lambda meta: check_trainable(meta, embodiment),
    )


def _shares(weights: Sequence[float], datasets: int) -> list[float]:
    """Weights as shares of 1; empty where there are none."""
    if not weights:
        return []
    if len(weights) != datasets or not all(0 < weight < float("inf") for weight in weights):
        raise UserError(
            f"weights: got {list(weights)}, expected a number above 0 for each of {datasets} datasets"
        )
    return [weight / sum(weights) for weight in weights]
