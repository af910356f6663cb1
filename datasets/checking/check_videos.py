"""Whether the video files of a dataset hold the frames that its rows expect, at the right times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.check_columns import TIME_TOLERANCE_S
from ideomotor.datasets.lerobot import stats
from ideomotor.datasets.lerobot.image_columns import ImageColumn
from ideomotor.datasets.lerobot.metadata import Metadata
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.stats import FeatureStats
from ideomotor.datasets.lerobot.video import VideoFile

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
    colours: dict[int, np.ndarray]  # {episode: (n, 3) mean colours of evenly spaced frames, in [0, 1]}
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
    looked = Looked([], {}, {}, {})
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


def check_times(dataset: Dataset, cameras: Sequence[str]) -> None:
    """Reads the times of all frames; nothing is decoded.

    Raises:
        UserError: a video that has no frame at the time of a row: one that does not start at 0, is cut
            short, of a variable rate, or of another than the dataset. Its pictures would be of other moments.
    """
    for camera in cameras:
        if dataset.meta.is_inline(camera):
            continue
        for path, spans in spans_by_file(dataset.meta, camera).items():
            with VideoFile(path, dataset.fps) as video:
                times = video.times()
            for span in spans:
                if why := out_of_time(times, span, dataset.fps):
                    raise UserError(
                        f"{path}: episode {span.episode}: {why}; `ideomotor data convert` writes it anew, "
                        f"with the frame that is nearest in time for each row"
                    )


def out_of_time(times: np.ndarray, span: Span, fps: float) -> str:
    """Returns what is wrong where frames of an episode are not at the times of its rows, or "".

    Args:
        times: (N,) sorted times of the frames of a file [s].
    """
    count = frames_until(times, fps)
    if count < span.end:
        return f"the video has {count} frames, expected {span.end}"
    numbers = np.arange(span.first, span.end)
    found = times[nearest(times, numbers / fps)]
    late = np.abs(found - numbers / fps) > TIME_TOLERANCE_S + 1e-6 * numbers
    if not late.any():
        return ""
    first = int(np.argmax(late))
    return f"frame {numbers[first]} is at {found[first]:.4f} s, expected {numbers[first] / fps:.4f}"


def frames_until(times: np.ndarray, fps: float) -> int:
    """Returns how many frames of this rate last until the last of the times."""
    return int(times[-1] * fps + 0.5) + 1 if len(times) else 0


def nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns which of the sorted times, at least one, are nearest to those wanted."""
    after = np.minimum(np.searchsorted(times, wanted), len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] <= times[after] - wanted, before, after)


def _check_times(video: VideoFile | ImageColumn, spans: list[Span], looked: Looked) -> None:
    if isinstance(video, VideoFile):
        times = video.times()
        count = frames_until(times, video.fps)
        late = {span.episode: out_of_time(times, span, video.fps) for span in spans if span.end <= count}
    else:
        count, late = video.frame_count, dict[int, str]()
    needed = max(span.end for span in spans)
    if count < needed:
        looked.problems.append(f"{count} frames, expected {needed}")
    for span in spans:
        if span.end > count:
            looked.bad[span.episode] = f"the video has {count} frames, expected {span.end}"
        elif why := late.get(span.episode):
            _bad(looked, span, f"episode {span.episode}: {why}")


def _decode(video: VideoFile | ImageColumn, span: Span, looked: Looked, every_frame: bool) -> None:
    length = span.end - span.first
    if not every_frame:
        looked.colours[span.episode] = frame_colours(video, span, SAMPLED)
        return
    wanted = set(stats.sampled_frames(length).tolist())
    kept = [f for i, f in enumerate(video.iterate(span.first, length)) if i in wanted]
    looked.stats[span.episode] = stats.sample_stats(np.stack(kept))
    looked.colours[span.episode] = np.stack([frame.mean(axis=(0, 1)) / 255 for frame in kept])


def frame_colours(video: VideoFile | ImageColumn, span: Span, count: int) -> np.ndarray:
    """Returns the mean colours (n, 3) in [0, 1] of `count` frames, evenly spaced from first to last."""
    numbers = np.unique(np.linspace(span.first, span.end - 1, count).round().astype(int))
    return np.stack([frame.mean(axis=(0, 1)) / 255 for frame in video.frames(numbers)])


def _bad(looked: Looked, span: Span, what: str) -> None:
    looked.bad[span.episode] = what
    looked.problems.append(what)
