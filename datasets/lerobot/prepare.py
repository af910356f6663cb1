"""The part of writing an episode that workers can do: checks, columns, statistics and encoding.

A prepared episode is small (the video is encoded) and cheap to send to the process that writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ideomotor.control.embodiment import Embodiment
from ideomotor.datasets.lerobot import layout, stats, video
from ideomotor.datasets.lerobot.episode import Episode, check_episode


@dataclass(frozen=True)
class PreparedEpisode:
    """An episode without its place in the dataset."""

    index: int | None
    task: str
    length: int  # frames
    columns: dict[str, Any]  # {feature: (T,) or (T, n) array, or a list of T texts}
    videos: dict[str, bytes]  # {feature: mp4 file}
    stats: stats.Stats  # of columns and videos
    facts: dict[str, Any]  # extra columns of the episode table
    row_tasks: list[str] | None = None  # T instructions, where they change within the episode

    @property
    def tasks(self) -> list[str]:
        """The instructions in it, each once."""
        return [self.task] if self.row_tasks is None else list(dict.fromkeys(self.row_tasks))


def prepare(episode: Episode, embodiment: Embodiment, fps: float) -> PreparedEpisode:
    """Checks and encodes an episode.

    Raises:
        UserError: the episode does not fit the embodiment, or holds values that are not finite.
    """
    check_episode(episode, embodiment, fps)
    frames = np.arange(episode.length)
    columns: dict[str, Any] = {
        layout.STATE: np.asarray(episode.state, np.float32),
        layout.ACTION: np.asarray(episode.action, np.float32),
        layout.HIGH_RATE: np.asarray(episode.action_high_rate, np.float32),
        layout.REFERRED: np.asarray(episode.referred, np.float32),
        layout.KEYPOINTS: np.asarray(episode.keypoints, np.float32),
        "progress": np.asarray(episode.progress, np.float32)[:, 0],
        "subtask": list(episode.subtask),
        "plan_text": list(episode.subtask if episode.text is None else episode.text),
        "next.done": frames == episode.length - 1,
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
    }
    if episode.expert is not None:
        columns[layout.EXPERT] = np.asarray(episode.expert, np.float32)
    images = {layout.IMAGE_PREFIX + name: episode.images[name] for name in sorted(episode.images)}
    found = {name: stats.image_stats(frames) for name, frames in images.items()}
    found |= {name: stats.vector_stats(c) for name, c in columns.items() if isinstance(c, np.ndarray)}
    return PreparedEpisode(
        index=episode.index,
        task=episode.task,
        length=episode.length,
        columns=columns,
        videos={name: video.encode(frames, fps) for name, frames in images.items()},
        stats=found,
        facts={"success": bool(episode.success), "seed": int(episode.seed), "task_name": episode.task_name},
    )


def rows(episode: PreparedEpisode, schema: pa.Schema, placed: dict[str, np.ndarray]) -> pa.Table:
    """Returns the rows of a data file; `placed` holds the columns that depend on the place (T,)."""
    columns = episode.columns | placed
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(values.ravel(), field.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
