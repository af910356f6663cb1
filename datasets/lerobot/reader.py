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

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.lerobot import layout, old_layouts, stats
from ideomotor.datasets.lerobot.image_columns import ImageColumn
from ideomotor.datasets.lerobot.metadata import Metadata, read_metadata
from ideomotor.datasets.lerobot.parquet_files import DataFile
from ideomotor.datasets.lerobot.plain_columns import to_numpy
from ideomotor.datasets.lerobot.video import NotColour, VideoFile

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
        self._file: DataFile | None = None  # the newest
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

    @property
    def stats(self) -> stats.Stats:
        """Statistics of the whole dataset, of the features that have usable ones."""
        return self._stats[0]

    @property
    def unusable_stats(self) -> dict[str, str]:
        """{feature: why its statistics cannot be used}"""
        return self._stats[1]

    @cached_property
    def _stats(self) -> tuple[stats.Stats, dict[str, str]]:
        if self.meta.old:
            found, unusable = old_layouts.read_stats(self.root, self.info)
        else:
            path = self.root / layout.STATS
            found, unusable = stats.parse(layout.read_json(path), str(path))
        whole, lacking = stats.usable(self.meta.view.stats(found))
        return whole, unusable | lacking

    @cached_property
    def not_colour(self) -> dict[str, str]:
        """{camera: why its pictures are not colour}: depth maps, say, that nothing marks as such."""
        found = {}
        for camera in self.cameras if len(self) else ():
            try:
                with self.open_frames(camera, self.meta.video_path(0, camera)) as opened:
                    _ = opened.height
            except NotColour as error:
                found[camera] = str(error)
            except UserError:
                pass  # damage is named by whoever needs the pictures
        return found

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.meta.starts) - 1

    def columns(self, episode: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Returns the columns of an episode: (T,), (T, n), or object arrays of T texts.

        Nothing is read but what `names` asks for; without names, all that are such arrays. Counters that
        the files lack are made up; columns of images are left to `frames`.

        Raises:
            UserError: a damaged file; a column that was asked for and is missing or not an array.
        """
        found, left_out = self.read_columns(episode, names)
        for name in names or ():
            if name in left_out:
                raise UserError(f"{self.meta.data_path(episode)}: {name}: {left_out[name]}")
            if name not in found:
                known = {*found, *self._opened(episode).schema.names, *self.meta.view.vectors}
                raise unknown_name(f"{self.meta.data_path(episode)}: column", name, known)
        return {name: found[name] for name in names or found}

    def read_columns(
        self, episode: int, names: Sequence[str] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Returns what `columns` does as far as it is there, and {column: why it is not an array}."""
        file, view = self._opened(episode), self.meta.view
        first, length = self._place(episode, file)
        pictures = {
            view.cameras.get(name, name)
            for name, feature in self.meta.features.items()
            if feature["dtype"] in layout.PICTURES
        }
        wanted = [name for name in file.schema.names if name not in pictures]
        if names is not None:
            sources = {source for name in names for source in view.sources(name)}
            wanted = [name for name in wanted if name in sources]
        left_out = {name: why for name in wanted if (why := file.why_not(name))}
        file.load([name for name in wanted if name not in left_out])
        found: dict[str, np.ndarray] = {}
        for name in wanted:
            if name not in left_out:
                try:
                    found[name] = to_numpy(file.column(name).slice(first, length), name)
                except UserError as error:
                    left_out[name] = str(error).removeprefix(f"{name}: ")
        made_up = self._counters(episode)
        if view.task in left_out:  # nothing says which instruction it is
            left_out.setdefault("task_index", left_out[view.task])
            made_up.pop("task_index")
        shown, lost = view.columns(found, names)
        return made_up | shown, left_out | lost

    def _opened(self, episode: int) -> DataFile:
        self._check(episode)
        path = self.meta.data_path(episode)
        if self._file is None or self._file.path != path:
            self._file = DataFile(path)
        return self._file

    def _place(self, episode: int, file: DataFile) -> tuple[int, int]:
        """Returns the first row of an episode in its file, and its number of rows, which are checked."""
        path, start, end = file.path, int(self.starts[episode]), int(self.starts[episode + 1])
        first, length = start - int(self.starts[self.meta.first_in_file(episode)]), end - start
        count = max(0, min(length, file.rows - first))
        if "episode_index" in file.schema.names:
            found = file.column("episode_index").slice(first, length)
            numbers = to_numpy(found, f"{path}: episode_index")
            if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
                raise UserError(f"{path}: episode_index: {found.type}, expected int64")
            expected = self.meta.numbers("episode_index")[episode]
            if (numbers != expected).any():
                rows = f"rows {first} to {first + count - 1}"
                raise UserError(f"{path}: {rows} are not those of episode {expected}")
        if count != length:
            raise UserError(f"{path}: {count} rows of episode {episode}, expected {length}")
        if self.meta.old and file.rows != length:
            raise UserError(f"{path}: {file.rows} rows of episode {episode}, expected {length}")
        return first, length

    def _counters(self, episode: int) -> dict[str, np.ndarray]:
        """Returns the columns that follow from the metadata."""
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
