"""Whether the video files of a dataset hold the frames that its rows expect, at the right times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets import stats
from ideomotor.datasets.check_columns import TIME_TOLERANCE_S
from ideomotor.datasets.metadata import Metadata
from ideomotor.datasets.stats import FeatureStats
from ideomotor.datasets.stills import ImageColumn
from ideomotor.datasets.video import VideoFile

SAMPLED = 4  # frames of each episode that are decoded, its first and last among them


@dataclass(frozen=True)
class Span:
    """The frames of one episode in a video file: numbers `first` to `end - 1`."""

    episode: int
    first: int
    end: int


@dataclass(frozen=True)
class Looked:
    """What looking at a video file gave."""

    problems: list[str]
    bad: dict[int, str]  # {episode: why its frames cannot be used}
    means: list[np.ndarray]  # of some frames, each (3,) in [0, 1]
    stats: dict[int, FeatureStats]  # of each good episode, if all frames were decoded


def spans_by_file(meta: Metadata, camera: str) -> dict[Path, list[Span]]:
    """Returns which frames of which file each episode has."""
    spans: dict[Path, list[Span]] = {}
    for episode in range(len(meta.starts) - 1):
        first = meta.first_video_frame(episode, camera)
        length = int(meta.starts[episode + 1] - meta.starts[episode])
        spans.setdefault(meta.video_path(episode, camera), []).append(Span(episode, first, first + length))
    return spans


def look_at(
    open_frames: Callable[[], VideoFile | ImageColumn],
    path: Path,
    shape: list[int],
    spans: list[Span],
    *,
    every_frame: bool = False,
) -> Looked:
    """Opens a file, reads the times of its frames, and decodes some of each episode, or all of them.

    Args:
        shape: height and width that are expected, and perhaps more.
    """
    looked = Looked([], {}, [], {})
    try:
        with open_frames() as video:
            size = [video.height, video.width]
            if size != shape[:2]:
                raise UserError(f"{path}: frames of {size}, expected {shape[:2]}")
            _check_times(video, spans, looked)
            for span in spans:
                if span.episode in looked.bad:
                    continue
                try:
                    _decode(video, span, looked, every_frame)
                except UserError as error:
                    what = str(error).removeprefix(f"{path}: ")
                    _bad(looked, span, f"episode {span.episode}: {what}")
    except UserError as error:
        what = str(error).removeprefix(f"{path}: ")
        looked.problems.append(what)
        looked.bad.update({span.episode: what for span in spans})
    return looked


def means_of(files: Mapping[Path, Looked]) -> np.ndarray | None:
    """Returns the mean (3,) of the frames looked at in several files."""
    means = [mean for looked in files.values() for mean in looked.means]
    return np.mean(means, axis=0) if means else None


def _check_times(video: VideoFile | ImageColumn, spans: list[Span], looked: Looked) -> None:
    if isinstance(video, VideoFile):
        times = video.times()
        count = min(len(times), video.frame_count or len(times))
        number = np.arange(len(times))
        due = number / video.fps
        late = np.abs(times - due) > TIME_TOLERANCE_S + 1e-6 * number
    else:
        times, due, late = np.zeros(0), np.zeros(0), np.zeros(0, bool)
        count = video.frame_count
    needed = max(span.end for span in spans)
    if count < needed:
        looked.problems.append(f"{count} frames, expected {needed}")
    for span in spans:
        if span.end > count:
            looked.bad[span.episode] = f"the video has {count} frames, expected {span.end}"
        elif late[span.first : span.end].any():
            frame = span.first + int(np.argmax(late[span.first : span.end]))
            what = f"frame {frame} is at {times[frame]:.4f} s, expected {due[frame]:.4f}"
            _bad(looked, span, f"episode {span.episode}: {what}")


def _decode(video: VideoFile | ImageColumn, span: Span, looked: Looked, every_frame: bool) -> None:
    length = span.end - span.first
    if not every_frame:
        numbers = np.unique(np.linspace(0, length - 1, SAMPLED).round().astype(int))
        frames = video.frames(span.first + numbers)
        looked.means.append(frames.mean(axis=(0, 1, 2)) / 255)
        return
    wanted = set(stats.sampled_frames(length).tolist())
    kept = [f for i, f in enumerate(video.iterate(span.first, length)) if i in wanted]
    looked.stats[span.episode] = stats.sample_stats(np.stack(kept))
    looked.means.append(looked.stats[span.episode]["mean"].ravel())


def _bad(looked: Looked, span: Span, what: str) -> None:
    looked.bad[span.episode] = what
    looked.problems.append(what)
