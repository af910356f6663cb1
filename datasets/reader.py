"""Reads LeRobot v3.0 datasets: columns as numpy arrays, frames by integer number."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets import layout, stats
from ideomotor.datasets.metadata import Metadata, read_metadata, read_parquet
from ideomotor.datasets.video import VideoFile

OPEN_VIDEOS = 16


class Dataset:
    """One dataset folder, opened lazily: only `meta/` is read until data is asked for.

    Raises:
        UserError: here or in a method, naming the file that is missing or damaged.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.meta: Metadata = read_metadata(self.root)
        self._table: tuple[Path, pa.Table] | None = None  # newest data file
        self._videos: OrderedDict[Path, VideoFile] = OrderedDict()
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
        """Statistics of the whole dataset (stats.json)."""
        path = self.root / layout.STATS
        found = stats.from_lists(layout.read_json(path), str(path))
        stats.check_finite(found, str(path))
        return found

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.meta.starts) - 1

    def columns(self, episode: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Returns the columns of an episode: (T,), (T, n), or object arrays of T texts."""
        self._check(episode)
        path = self.meta.data_path(episode)
        if self._table is None or self._table[0] != path:
            self._table = (path, read_parquet(path))
        table = self._table[1]
        place = self.meta.place(episode, "data")
        first = episode  # the first episode of this file
        while first > 0 and self.meta.place(first - 1, "data") == place:
            first -= 1
        offset = int(self.starts[episode] - self.starts[first])
        rows = table.slice(offset, int(self.starts[episode + 1] - self.starts[episode]))
        if "episode_index" not in rows.column_names or set(rows["episode_index"].to_pylist()) != {episode}:
            raise UserError(
                f"{path}: rows {offset} to {offset + len(rows)} are not those of episode {episode}"
            )
        if len(rows) != self.starts[episode + 1] - self.starts[episode]:
            raise UserError(f"{path}: {len(rows)} rows of episode {episode}, expected more")
        return {name: to_numpy(rows[name], f"{path}: {name}") for name in names or rows.column_names}

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
        return self._video(self.meta.video_path(episode, camera)).frames(wanted + first)

    def close(self) -> None:
        """Closes the videos that are open."""
        for video in self._videos.values():
            video.close()
        self._videos.clear()

    def _check(self, episode: int) -> None:
        if not 0 <= episode < len(self):
            raise IndexError(f"episode {episode} of {len(self)}")

    def _video(self, path: Path) -> VideoFile:
        if self._process != os.getpid():  # a forked process must not share decoders
            self._videos, self._process = OrderedDict(), os.getpid()
        if path not in self._videos:
            if len(self._videos) >= OPEN_VIDEOS:
                self._videos.popitem(last=False)[1].close()
            self._videos[path] = VideoFile(path, self.fps)
        self._videos.move_to_end(path)
        return self._videos[path]


def to_numpy(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """Returns a column as (T,) or (T, n); texts as an object array. UserError when it has gaps."""
    if column.null_count:
        raise UserError(f"{where}: {column.null_count} values are missing")
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), kind.list_size)
    if pa.types.is_list(kind):
        widths = set(np.diff(array.offsets.to_numpy()))
        if len(widths) > 1:
            raise UserError(f"{where}: rows of different lengths {sorted(map(int, widths))}")
        return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), -1)
    return array.to_numpy(zero_copy_only=False)
