"""One camera's video while it is filmed: pictures are encoded as they come.

Small pictures are encoded as in every dataset of ours. Larger ones, as they come from real cameras, get
x264's quickest preset: at 640x480 it takes 2.7 ms a picture where ours takes 21 ms, and 20 % more bytes; two
such cameras must not cost more than a part of one core.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from ideomotor.datasets.lerobot import layout, stats, video

SAMPLE = 200  # pictures of a camera that its statistics are taken over, at least, if there are so many
SMALL = 256 * 256  # [pixels]
QUICK = "ultrafast"


class LiveFilm:
    """Encodes one camera's pictures in a thread of its own, and keeps some of them for statistics."""

    def __init__(self, height: int, width: int, fps: int) -> None:
        """Args:
        height, width: of the pictures [pixels]; an odd last row or column is left out.
        fps: of the video.
        """
        self._preset = preset_of(height, width)
        self._height, self._width = height // 2 * 2, width // 2 * 2
        self._pictures: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._sample: list[np.ndarray] = []
        self._every, self._count = 1, 0
        self._dropped = False
        self._result: bytes | BaseException = b""
        self._thread = threading.Thread(target=self._encode, args=(fps,), daemon=True)

    @property
    def waiting(self) -> int:
        """Pictures that are not encoded yet."""
        return self._pictures.qsize()

    def add(self, picture: np.ndarray) -> None:
        """Takes the next picture (H, W, 3) uint8 RGB, which must not change any more."""
        if self._count == 0:
            self._thread.start()
        picture = picture[: self._height, : self._width]
        self._pictures.put(picture)
        if self._count % self._every == 0:
            self._sample.append(stats.thinned(picture))
        self._count += 1
        if len(self._sample) == 2 * SAMPLE:  # half as many, twice as far apart
            self._sample, self._every = self._sample[::2], 2 * self._every

    def finish(self) -> tuple[bytes, stats.FeatureStats]:
        """The mp4 file and the statistics; nothing without a picture."""
        if self._count == 0:
            return b"", {}
        self._pictures.put(None)
        self._thread.join()
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result, stats.sample_stats(np.stack(self._sample))

    def drop(self) -> None:
        """Nobody wants it: what waits is not encoded."""
        if self._count:
            self._dropped = True
            self._pictures.put(None)
            self._thread.join()

    def _all(self) -> Iterator[np.ndarray]:
        while (picture := self._pictures.get()) is not None and not self._dropped:
            yield picture

    def _encode(self, fps: int) -> None:
        try:
            self._result = video.encode(self._all(), fps, preset=self._preset)
        except BaseException as error:  # the process that adds must hear of it
            self._result = error


def preset_of(height: int, width: int) -> str:
    """x264's preset for live pictures of this size [pixels]."""
    return video.PRESET if height * width <= SMALL else QUICK


def film_feature(height: int, width: int, fps: int) -> dict[str, Any]:
    """What info.json says of such a video."""
    feature = layout.video_feature(height // 2 * 2, width // 2 * 2, fps)
    feature["info"]["video.preset"] = preset_of(height, width)
    return feature
