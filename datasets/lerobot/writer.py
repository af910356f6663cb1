"""Writes demonstrations as a LeRobot v3.0 dataset that is valid after every episode.

Each episode is added to the newest file group: a data file and its videos, of up to 25 episodes. A file is
rewritten whole (a few MB), beside the old one; when all files of the commit are on the disk they are
renamed into place, `info.json` last. So a kill at any point loses the episode in hand only, and what is
on the disk depends on the episodes alone: not on the number of workers, nor on interruptions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.lerobot import layout, stats
from ideomotor.datasets.lerobot.episode import Episode
from ideomotor.datasets.lerobot.file_group import (
    FIRST_INDICES,
    FileGroup,
    last_group,
    parquet_bytes,
    remove_unfinished,
)
from ideomotor.datasets.lerobot.metadata import check_embodiment, read_metadata
from ideomotor.datasets.lerobot.prepare import PreparedEpisode, prepare, rows


class DatasetWriter:
    """Appends episodes to one dataset folder; a context manager.

    What was not recorded with an embodiment comes with its own `template` and `identity`.

    Episodes may come in any order: they are written in the order of their index, and one whose turn
    has not come waits in memory (encoded). Those still waiting at `close` are dropped.

    Args:
        root: the folder; it must be empty or absent unless `resume`.
        embodiment: the robot that was recorded.
        fps: camera frames per second, a divisor of the embodiment's control_hz.
        resume: continue after the last complete episode of an existing dataset.
        template: info.json of the dataset without episodes; by default that of the embodiment.
        identity: meta/ideomotor.json, which says what the dataset is of; by default of the embodiment.

    Raises:
        UserError: folder not empty, another writer at work, a dataset of another robot or rate.
    """

    def __init__(
        self,
        root: Path | str,
        embodiment: Embodiment | None,
        *,
        fps: float = 30,
        resume: bool = False,
        template: dict[str, Any] | None = None,
        identity: dict[str, Any] | None = None,
    ):
        self.root, self.embodiment, self.fps = Path(root), embodiment, fps
        self._info = template or layout.new_info(self._robot(), fps)
        self._identity = identity or layout.identity_of(self._robot())
        self._schema = layout.data_schema(self._info["features"])
        self._recorded = identity is None
        self._tasks: list[str] = []
        self._stats: stats.Stats = {}
        self._group = FileGroup(self.root, FIRST_INDICES, [])
        self._waiting: dict[int, PreparedEpisode] = {}
        self._lock: int | None = None
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"{self.root}: not a folder")
        self._made_root = not self.root.exists()
        try:
            with self._disk_errors():
                self.root.mkdir(parents=True, exist_ok=True)
                self._lock = files.lock_folder(self.root)
                if _unbegun(self.root):
                    identity_file = {layout.IDENTITY: layout.to_json(self._identity)}
                    self._write(identity_file | {layout.INFO: layout.to_json(self._info)})
                elif resume:
                    self._load()
                else:
                    raise UserError(
                        f"{self.root}: not empty; resume to continue it, or choose another folder"
                    )
        except BaseException:
            self.close()
            raise

    @property
    def episodes(self) -> int:
        """Number of episodes on the disk, which is also the index of the next one."""
        return self._info["total_episodes"]

    @property
    def frames(self) -> int:
        """Number of frames on the disk."""
        return self._info["total_frames"]

    @property
    def tasks(self) -> list[str]:
        """Instructions on the disk, in the order of their task_index."""
        return list(self._tasks)

    def add_episode(self, episode: Episode | PreparedEpisode) -> None:
        """Takes an episode, and writes all whose turn has come.

        Raises:
            UserError: the episode does not fit, its index is taken, or the disk is full. What was
                written before stays valid.
        """
        if self._lock is None:
            raise ValueError("the writer is closed")
        if isinstance(episode, Episode):
            episode = prepare(episode, self._robot(), self.fps)
        index = self.episodes + len(self._waiting) if episode.index is None else episode.index
        if index < self.episodes or index in self._waiting:
            raise UserError(f"{self.root}: episode {index} is there already")
        self._waiting[index] = episode
        while self.episodes in self._waiting:
            with self._disk_errors():
                self._commit(self._waiting.pop(self.episodes))

    def close(self) -> None:
        """Gives the folder back; one that was created for nothing is removed."""
        if self._lock is None:
            return
        if self._made_root and not self.episodes:
            for path in (layout.INFO, layout.IDENTITY):
                (self.root / path).unlink(missing_ok=True)
            folders = [path for path in (self.root, *self.root.rglob("*")) if path.is_dir()]
            for folder in sorted(folders, reverse=True):  # the deepest first
                if not any(folder.iterdir()):
                    folder.rmdir()
        os.close(self._lock)
        self._lock = None

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _robot(self) -> Embodiment:
        if self.embodiment is None:
            raise ValueError("a dataset of no embodiment takes prepared episodes, a template and an identity")
        return self.embodiment

    def _commit(self, episode: PreparedEpisode) -> None:
        """Puts the next episode on the disk, or leaves everything as it was."""
        tasks = list(dict.fromkeys([*self._tasks, *episode.tasks]))
        row_tasks = episode.row_tasks or [episode.task] * episode.length
        counters = {
            "episode_index": np.full(episode.length, self.episodes),
            "index": np.arange(self.frames, self.frames + episode.length),
            "task_index": np.array([tasks.index(task) for task in row_tasks]),
        }
        found = episode.stats | {name: stats.vector_stats(values) for name, values in counters.items()}
        stats.check_finite(found, f"episode {self.episodes}")
        total = stats.aggregate([self._stats, found])
        group = self._group if self._group.accepts(episode.videos) else self._group.following()
        row = group.row(episode, found, self.episodes, self.frames, self.fps)
        contents = group.appended(episode, rows(episode, self._schema, counters), row, self.fps)
        if len(tasks) > len(self._tasks):
            contents[layout.TASKS] = parquet_bytes([layout.tasks_table(tasks)])
        contents[layout.STATS] = layout.to_json(stats.to_lists(total))
        info = self._info | {
            "total_episodes": self.episodes + 1,
            "total_frames": self.frames + episode.length,
            "total_tasks": len(tasks),
            "splits": {"train": f"0:{self.episodes + 1}"},
        }
        contents[layout.INFO] = layout.to_json(info)
        self._write(contents)
        self._tasks, self._stats, self._info = tasks, total, info
        self._group = FileGroup(self.root, group.file_indices, [*group.rows, row])

    def _write(self, contents: dict[str, bytes]) -> None:
        files.replace_files({self.root / name: data for name, data in contents.items()})

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Turns what the operating system refuses into one line for the user."""
        try:
            yield
        except OSError as error:
            kept = f" ({self.episodes} complete episodes kept)"
            raise files.cannot_write(self.root, error, kept) from None

    def _load(self) -> None:
        """Takes over what an earlier writer left, without the files of its unfinished commit."""
        meta = read_metadata(self.root)
        if self._recorded:
            check_embodiment(meta, self._robot())
        elif meta.identity != self._identity:
            raise UserError(f"{self.root}: holds something else already, choose another folder")
        if meta.fps != self.fps:
            raise UserError(f"{self.root}: fps: recorded at {meta.fps}, expected {self.fps}")
        if meta.features != self._info["features"]:
            raise UserError(f"{self.root}: features: recorded with other columns, choose another folder")
        self._info, self._tasks = meta.info, meta.tasks[: meta.info["total_tasks"]]
        self._group, self._stats = last_group(self.root, self.episodes)
        remove_unfinished(self._group)
        videos = [name for name in self._info["features"] if name.startswith(layout.IMAGE_PREFIX)]
        contents = self._group.trimmed(videos, self.fps)
        if self.episodes:  # these two are renamed before info.json: they may know one episode more
            contents |= self._ahead(len(meta.tasks))
        if contents:
            self._write(contents)

    def _ahead(self, tasks: int) -> dict[str, bytes]:
        """Returns the contents of the files of meta/ that do not hold just the complete episodes."""
        contents = {}
        if tasks > len(self._tasks):
            contents[layout.TASKS] = parquet_bytes([layout.tasks_table(self._tasks)])
        whole = layout.to_json(stats.to_lists(self._stats))
        path = self.root / layout.STATS
        if not path.is_file() or path.read_bytes() != whole:
            contents[layout.STATS] = whole
        return contents


def _unbegun(root: Path) -> bool:
    """Whether a folder is empty, but for what a writer leaves that was killed before its first commit."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    ours = {layout.IDENTITY, layout.IDENTITY + files.TEMPORARY, layout.INFO + files.TEMPORARY}
    return found <= ours and {path.name for path in root.iterdir()} <= {"meta"}
