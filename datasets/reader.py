"""Reads LeRobot datasets of all layouts: columns as numpy arrays, frames by integer number."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets import layout, old_layouts, stats
from ideomotor.datasets.metadata import Metadata, parquet_errors, read_metadata, read_parquet
from ideomotor.datasets.stills import ImageColumn
from ideomotor.datasets.video import VideoFile

OPEN_VIDEOS = 16
_Open = OrderedDict[tuple[str, Path], VideoFile | ImageColumn]  # {(camera, file): what reads it}
_inherited: list[_Open] = []  # decoders of the parent process, left alone


class Dataset:
    """One dataset folder, opened lazily: only `meta/` is read until data is asked for.

    Args:
        root: the folder, or its metadata, such as `mapping` makes to show it under other names.

    Raises:
        UserError: here or in a method, naming the file that is missing or damaged.
    """

    def __init__(self, root: Path | str | Metadata):
        self.meta: Metadata = root if isinstance(root, Metadata) else read_metadata(root)
        self.root = self.meta.root
        self._table: tuple[Path, pa.Table] | None = None  # newest data file, without images
        self._videos: _Open = OrderedDict()
        self._process = os.getpid()

    @property
    def info(self) -> dict[str, Any]:
        """info.json."""
        return self.meta.info

    @property
    def episodes(self) -> pa.Table:
        """One row an episode: tasks, length, places in files; success, seed, task_name if recorded."""
        return self.meta.episodes

    @property
    def tasks(self) -> list[str]:
        """Instructions, by task_index."""
        return self.meta.tasks

    @property
    def cameras(self) -> list[str]:
        return self.meta.cameras

    @property
    def fps(self) -> float:
        return self.meta.fps

    @property
    def starts(self) -> np.ndarray:
        """(E + 1,) int64: the first row of each episode, and the number of rows."""
        return self.meta.starts

    @cached_property
    def stats(self) -> stats.Stats:
        """Statistics of the whole dataset."""
        path = self.root / layout.STATS
        if self.meta.old:
            found = old_layouts.read_stats(self.root, self.info)
        else:
            found = stats.parse(layout.read_json(path), str(path))
        found = self.meta.view.stats(found)
        stats.check_finite(found, str(path))
        return found

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.meta.starts) - 1

    def columns(self, episode: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Returns the columns of an episode: (T,), (T, n), or object arrays of T texts.

        Counters that the files lack are made up; columns of images are left to `frames`.
        """
        self._check(episode)
        path = self.meta.data_path(episode)
        if self._table is None or self._table[0] != path:
            self._table = (path, read_parquet(path, self._columns_without_images(path)))
        table = self._table[1]
        start, end = int(self.starts[episode]), int(self.starts[episode + 1])
        offset, length = start - int(self.starts[self.meta.first_in_file(episode)]), end - start
        rows = table.slice(offset, length)
        numbers = None
        if "episode_index" in rows.column_names:
            numbers = to_numpy(rows["episode_index"], f"{path}: episode_index")
            if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
                raise UserError(f"{path}: episode_index: {rows['episode_index'].type}, expected int64")
        if numbers is not None and (numbers != self.meta.numbers("episode_index")[episode]).any():
            raise UserError(
                f"{path}: rows {offset} to {offset + len(rows)} are not those of episode {episode}"
            )
        if len(rows) != length:
            raise UserError(f"{path}: {len(rows)} rows of episode {episode}, expected more")
        if self.meta.old and len(table) != length:
            raise UserError(f"{path}: {len(table)} rows of episode {episode}, expected {length}")
        plain = [field.name for field in rows.schema if not pa.types.is_struct(field.type)]
        found = {name: to_numpy(rows[name], f"{path}: {name}") for name in plain}
        found = self._counters(episode) | self.meta.view.columns(found, str(path))
        for name in names or ():
            if name not in found:
                raise unknown_name(f"{path}: column", name, found)
        return {name: found[name] for name in names or found}

    def _columns_without_images(self, path: Path) -> list[str] | None:
        """Returns the names of the columns to read from a data file; None for all."""
        features, view = self.meta.features, self.meta.view
        images = {view.cameras.get(name, name) for name, f in features.items() if f["dtype"] == "image"}
        if not images:
            return None
        with parquet_errors(path):
            return [name for name in pq.read_schema(path).names if name not in images]

    def _counters(self, episode: int) -> dict[str, np.ndarray]:
        """Returns the columns that can be told from the metadata."""
        start, end = (int(self.starts[episode + i]) for i in (0, 1))
        frames = np.arange(end - start)
        tasks = self.episodes["tasks"][episode].as_py() if "tasks" in self.episodes.column_names else None
        first = tasks[0] if isinstance(tasks, list) and tasks else None
        task = self.tasks.index(first) if first in self.tasks else 0
        return {
            "timestamp": (frames / self.fps).astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(len(frames), episode),
            "index": frames + start,
            "task_index": np.full(len(frames), task),
        }

    def frames(self, episode: int, camera: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns frames of an episode by their number in it, (n, H, W, 3) uint8 RGB."""
        self._check(episode)
        if camera not in self.cameras:
            raise unknown_name("camera", camera, self.cameras)
        length = int(self.starts[episode + 1] - self.starts[episode])
        wanted = np.asarray(indices)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < length:
            raise IndexError(f"frames {wanted.min()} to {wanted.max()} of an episode of {length}")
        first = self.meta.first_video_frame(episode, camera)
        return self._video(camera, self.meta.video_path(episode, camera)).frames(wanted + first)

    def open_frames(
        self, camera: str, path: Path, threads: int = 1, *, strict: bool = False
    ) -> VideoFile | ImageColumn:
        """Opens a file of `meta.video_path`, to be closed after use; for the options see `VideoFile`."""
        if self.meta.is_inline(camera):
            return ImageColumn(path, self.meta.disk_key(camera), self.root)
        return VideoFile(path, self.fps, threads, strict=strict)

    def close(self) -> None:
        """Closes the videos that are open."""
        for video in self._videos.values():
            video.close()
        self._videos.clear()

    def _check(self, episode: int) -> None:
        if not 0 <= episode < len(self):
            raise IndexError(f"episode {episode} of {len(self)}")

    def _video(self, camera: str, path: Path) -> VideoFile | ImageColumn:
        if self._process != os.getpid():  # a forked process must not share decoders, nor close its parent's
            _inherited.append(self._videos)
            self._videos, self._process = OrderedDict(), os.getpid()
        key = (camera, path)
        if key not in self._videos:
            if len(self._videos) >= OPEN_VIDEOS:
                self._videos.popitem(last=False)[1].close()
            self._videos[key] = self.open_frames(camera, path)
        self._videos.move_to_end(key)
        return self._videos[key]


def to_numpy(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """Returns a column as (T,) or (T, n); texts as an object array. UserError when it has gaps."""
    if column.null_count:
        raise UserError(f"{where}: {column.null_count} values are missing")
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    rows = len(array)
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or _is_fixed(array.type):
        if not _is_fixed(array.type):
            widths = set(np.diff(array.offsets.to_numpy()))
            if len(widths) > 1:
                raise UserError(f"{where}: rows of different lengths {sorted(map(int, widths))}")
        array = array.flatten()
        if array.null_count:
            raise UserError(f"{where}: {array.null_count} values are missing")
    values = array.to_numpy(zero_copy_only=False)
    return values if column.type == array.type else values.reshape(rows, -1 if rows else 0)


def _is_fixed(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind)
