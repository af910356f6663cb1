"""A file group: one data file, its videos and its piece of the episode table, of consecutive episodes.

All files of a file group have the same chunk and file index. Appending makes the new contents of each file
from the old ones; nothing is written here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.lerobot import layout, stats, video, video_packets
from ideomotor.datasets.lerobot.info_file import FILE_INDICES
from ideomotor.datasets.lerobot.metadata import episode_files
from ideomotor.datasets.lerobot.parquet_files import parquet_errors, read_parquet
from ideomotor.datasets.lerobot.prepare import PreparedEpisode

EPISODES_PER_GROUP = 25
GROUP_BYTES = 16 * 2**20  # of one file: files are rewritten as they grow, so well below LeRobot's limits
FIRST_INDICES = {"chunk_index": 0, "file_index": 0}
_FILE = re.compile(r"(?:data|meta/episodes|videos/[^/]+)/chunk-(\d{3,})/file-(\d{3,})\.(?:parquet|mp4)")


@dataclass(frozen=True)
class FileGroup:
    """A file group on the disk: where it is, and the rows of the episode table in it."""

    root: Path
    file_indices: dict[str, int]  # chunk_index, file_index
    rows: list[dict[str, Any]]

    @property
    def frames(self) -> int:
        return sum(row["length"] for row in self.rows)

    @property
    def data(self) -> str:
        """The data file, relative to the dataset, as all paths here."""
        return layout.DATA.format(**self.file_indices)

    @property
    def episodes(self) -> str:
        """The piece of the episode table."""
        return layout.EPISODES.format(**self.file_indices)

    def video(self, key: str) -> str:
        return layout.VIDEO.format(video_key=key, **self.file_indices)

    def accepts(self, videos: dict[str, bytes]) -> bool:
        """Whether there is room for one more episode, and its videos come from the same encoder."""
        if not self.rows:
            return True
        paths = {key: self.root / self.video(key) for key in videos}
        sizes = [path.stat().st_size for path in [self.root / self.data, *paths.values()]]
        if len(self.rows) >= EPISODES_PER_GROUP or max(sizes) >= GROUP_BYTES:
            return False
        header = video_packets.header
        return all(header(paths[key].read_bytes()) == header(videos[key]) for key in videos)

    def following(self) -> FileGroup:
        """Returns the next file group, empty."""
        number = (
            self.file_indices["chunk_index"] * layout.FILES_PER_CHUNK + self.file_indices["file_index"] + 1
        )
        chunk, file = divmod(number, layout.FILES_PER_CHUNK)
        return FileGroup(self.root, {"chunk_index": chunk, "file_index": file}, [])

    def row(
        self, episode: PreparedEpisode, found: stats.Stats, index: int, start: int, fps: float
    ) -> dict[str, Any]:
        """Returns the row that the episode table gets for an episode whose first row is `start`."""
        row: dict[str, Any] = {"episode_index": index, "tasks": episode.tasks, "length": episode.length}
        row |= {f"data/{name}": self.file_indices[name] for name in FILE_INDICES}
        row |= {"dataset_from_index": start, "dataset_to_index": start + episode.length}
        for key in episode.videos:
            row |= {f"videos/{key}/{name}": self.file_indices[name] for name in FILE_INDICES}
            row[f"videos/{key}/from_timestamp"] = self.frames / fps
            row[f"videos/{key}/to_timestamp"] = (self.frames + episode.length) / fps
        for feature, values in stats.to_lists(found).items():
            row |= {f"stats/{feature}/{name}": value for name, value in values.items()}
        return (
            row | {f"meta/episodes/{name}": self.file_indices[name] for name in FILE_INDICES} | episode.facts
        )

    def appended(
        self, episode: PreparedEpisode, table: pa.Table, row: dict[str, Any], fps: float
    ) -> dict[str, bytes]:
        """Returns the contents of this file group's files with one more episode, {path: bytes}."""
        contents = {}
        for key, data in episode.videos.items():
            old = [((self.root / self.video(key)).read_bytes(), self.frames)] if self.rows else []
            contents[self.video(key)] = video_packets.join([*old, (data, episode.length)], fps)
        contents[self.data] = parquet_bytes([*self._data_groups(), table])
        contents[self.episodes] = parquet_bytes([pa.Table.from_pylist([*self.rows, row])])
        return contents

    def trimmed(self, video_keys: list[str], fps: float) -> dict[str, bytes]:
        """Returns the contents of the files that hold more than the episodes of this file group."""
        if not self.rows:
            return {}
        contents = {}
        for key in video_keys:
            path = self.root / self.video(key)
            with video.VideoFile(path, fps) as opened:
                excess = opened.frame_count > self.frames
            if excess:
                contents[self.video(key)] = video_packets.join([(path.read_bytes(), self.frames)], fps)
        if read_parquet(self.root / self.data, []).num_rows > self.frames:
            contents[self.data] = parquet_bytes(self._data_groups())
        if read_parquet(self.root / self.episodes, []).num_rows > len(self.rows):
            contents[self.episodes] = parquet_bytes([pa.Table.from_pylist(self.rows)])
        return contents

    def _data_groups(self) -> list[pa.Table]:
        if not self.rows:
            return []
        path = self.root / self.data
        with parquet_errors(path):
            file = pq.ParquetFile(path)
            groups = [file.read_row_group(i) for i in range(len(self.rows))]
        if [len(group) for group in groups] != [row["length"] for row in self.rows]:
            raise UserError(f"{path}: row groups do not match the episodes' lengths")
        return groups


def last_group(root: Path, episodes: int) -> tuple[FileGroup, stats.Stats]:
    """Returns the file group that holds the last of so many episodes, and the statistics of them all."""
    total: stats.Stats = {}
    group, left = FileGroup(root, FIRST_INDICES, []), episodes
    for path in episode_files(root):
        rows = read_parquet(path).slice(0, left).to_pylist()
        left -= len(rows)
        if not rows:
            break
        total = stats.aggregate([total, *map(_stats_of, rows)])
        indices = {
            tuple(row[f"{key}/{name}"] for name in FILE_INDICES) for row in rows for key in _placed(row)
        }
        group = FileGroup(root, dict(zip(FILE_INDICES, max(indices), strict=True)), rows)
        if len(indices) > 1 or not _contiguous(rows):  # not laid out by us: never touch it again
            group = group.following()
    return group, total


def remove_unfinished(group: FileGroup) -> None:
    """Removes temporary files, and the files of file groups after this one (of this one if it is empty)."""
    last = tuple(group.file_indices[name] for name in FILE_INDICES)
    for path in sorted(group.root.rglob("*")):
        name = path.relative_to(group.root).as_posix()
        match = _FILE.fullmatch(name.removesuffix(files.TEMPORARY))
        ours = name.startswith("meta/") or "/" not in name
        if match is None and ours and name.endswith(files.TEMPORARY):
            path.unlink()
        elif match is not None:
            file_indices = (int(match[1]), int(match[2]))
            if (
                name.endswith(files.TEMPORARY)
                or file_indices > last
                or (file_indices == last and not group.rows)
            ):
                path.unlink()


def parquet_bytes(groups: list[pa.Table]) -> bytes:
    """Returns a parquet file, snappy, with one row group for each table."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, groups[0].schema, compression="snappy", use_dictionary=True) as writer:
        for table in groups:
            writer.write_table(table, row_group_size=len(table))
    return sink.getvalue().to_pybytes()


def _stats_of(row: dict[str, Any]) -> stats.Stats:
    found: dict[str, dict[str, Any]] = {}
    for name, value in row.items():
        if name.startswith("stats/"):
            _, feature, key = name.split("/")
            found.setdefault(feature, {})[key] = value
    return stats.from_lists(found)


def _contiguous(rows: list[dict[str, Any]]) -> bool:
    """Whether the episodes fill each video from its start on, without other frames between them."""
    for key in [name.removesuffix("/from_timestamp") for name in rows[0] if name.endswith("/from_timestamp")]:
        end = 0.0
        for row in rows:
            if abs(row[f"{key}/from_timestamp"] - end) > 1e-3:
                return False
            end = row[f"{key}/to_timestamp"]
    return True


def _placed(row: dict[str, Any]) -> list[str]:
    return [name.removesuffix("/file_index") for name in row if name.endswith("/file_index")]
