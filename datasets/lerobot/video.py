"""H.264 in mp4, addressed by integer frame number: encode, decode; copied without either in video_packets.py.

Frame n of a file is the one whose time stamp is nearest to n / fps, whatever the file's own rate.

Encoding is a pure function of the frames: one thread, bit-exact muxing, no B-frames. A key frame every
second frame makes any frame cost at most two decodes. Times in the file are exact multiples of 1/fps,
because mp4's time base is a multiple of the frame rate.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from ideomotor.control.errors import UserError

QUANTIZER = 19
GOP = 2
PRESET = "fast"
PIX_FMT = "yuv420p"
MAX_PIXELS = 2**26  # of a frame: a damaged header must not ask for all memory
NEAR = 0.02  # [frames]: so close to its number, a frame is the nearest; files in milliseconds round that much
_SEEK = 0.1  # [frames] that a seek aims late: a key frame whose time is rounded up is still found
# Nothing of the program in the file, nor a bit rate (`btrt`), which depends on what it was joined from.
BIT_EXACT = {"fflags": "+bitexact", "write_btrt": "0"}


class NotColour(UserError):
    """Pictures that 8-bit colour cannot hold, such as depth maps."""


def encode(
    frames: Iterable[np.ndarray],
    fps: float,
    *,
    quantizer: int = QUANTIZER,
    gop: int = GOP,
    preset: str = PRESET,
) -> bytes:
    """Returns an mp4 file of (H, W, 3) uint8 RGB frames, at least one; H and W must be even."""
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise UserError(f"images: {height}x{width}, expected an even height and width for {PIX_FMT} video")
    buffer = io.BytesIO()
    # A fixed quantizer: x264's rate control computes in floating point, and came out differently once in
    # a while under another process's load.
    options = {"qp": str(quantizer), "g": str(gop), "bf": "0", "preset": preset}
    with av.open(buffer, "w", format="mp4", options=BIT_EXACT) as container:
        stream = container.add_stream("libx264", rate=exact_rate(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, PIX_FMT
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= Flags.bitexact
        for frame in chain([first], frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode(path: Path, fps: float, start: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
    """Yields frames `start`, `start + 1`, … of a file as (H, W, 3) uint8 RGB.

    Raises:
        UserError: the file is missing, is not a video of colours, or ends before `start + count`.
    """
    with VideoFile(path, fps) as video:
        yield from video.iterate(start, count)


class VideoFile:
    """An open video with random access by frame number. Not for sharing between processes.

    Args:
        threads: of the decoder; one has none that a fork would lose.
        strict: raise on damage that the decoder would otherwise paint over.
    """

    def __init__(self, path: Path, fps: float, threads: int = 1, *, strict: bool = False):
        self.path, self.fps = path, fps
        if not path.is_file():
            raise UserError(f"{path}: no such video file")
        self._container = open_container(str(path), str(path))
        self._stream = self._container.streams.video[0]
        if not 0 < self._stream.width * self._stream.height <= MAX_PIXELS:
            size = f"{self._stream.width}x{self._stream.height}"
            self.close()
            raise UserError(f"{path}: frames of {size} pixels, expected 1 to {MAX_PIXELS}")
        if why := self._not_colour():
            self.close()
            raise NotColour(f"{path}: {why}")
        self._stream.thread_type = "SLICE"  # frame threads would add a delay to every seek
        self._stream.codec_context.thread_count = threads
        self._converter = VideoReformatter()  # one for all frames: making one costs more than a conversion
        self._keys: np.ndarray | None = None
        if strict:
            self._stream.codec_context.options = {"err_detect": "explode"}

    @property
    def frame_count(self) -> int:
        """Number of frames according to the file's index."""
        return self._stream.frames

    @property
    def height(self) -> int:
        return self._stream.height

    @property
    def width(self) -> int:
        return self._stream.width

    @property
    def narrowed(self) -> str:
        """What is lost when its frames become 8-bit colour; "" where nothing is."""
        form = self._stream.codec_context.format
        bits = max((part.bits for part in form.components), default=8) if form is not None else 8
        return f"{bits} bits a channel become 8" if bits > 8 else ""

    def _not_colour(self) -> str:
        form = self._stream.codec_context.format
        if form is None or len(form.components) != 1 or form.components[0].bits <= 8 or form.has_palette:
            return ""
        return f"one channel of {form.components[0].bits} bits ({form.name}), such as depth: not colour"

    def times(self) -> np.ndarray:
        """Returns the time of each frame [s], in order, from the packets: nothing is decoded."""
        base = self._stream.time_base
        if base is None:
            raise UserError(f"{self.path}: video without a time base")
        try:
            self._container.seek(0)
            ticks = [packet.pts for packet in self._container.demux(self._stream) if packet.pts is not None]
        except (FFmpegError, ValueError) as error:
            raise UserError(f"{self.path}: cannot read its packets ({_reason(error)})") from None
        return np.sort(np.array(ticks, np.float64)) * float(base)

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the frames of these numbers, in this order, as (n, H, W, 3) uint8 RGB."""
        output = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        played: Iterator[av.VideoFrame] = iter(())  # a sequential read
        number, frame, image = -1, None, None  # its newest frame's number, the frame, the same as an array
        for slot in np.argsort(indices, kind="stable"):
            wanted = int(indices[slot])
            if frame is None or (wanted > number + GOP and self._key_before(wanted) > number):
                played, number = self._played(wanted), wanted - 1
            while number < wanted:
                frame, image = next(played, None), None
                if frame is None:
                    raise UserError(f"{self.path}: ends before frame {wanted}")
                number += 1
            if image is None:
                assert frame is not None
                image = self._converted(frame)
            output[slot] = image
        return output

    def iterate(self, start: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
        """Yields frames from number `start` on; UserError when fewer than `count` follow."""
        given = 0
        if count != 0:
            for frame in self._played(start):
                yield self._converted(frame)
                given += 1
                if given == count:
                    break
        if count is not None and given < count:
            raise UserError(f"{self.path}: ends at frame {start + given}, expected {start + count} frames")

    def _played(self, start: int) -> Iterator[av.VideoFrame]:
        """Yields frames number `start`, `start + 1`, …, each the nearest in time, up to the end."""
        base = self._stream.time_base
        if base is None:
            raise UserError(f"{self.path}: video without a time base")
        number, newest, time, gap = start, None, 0.0, 1.0  # the newest frame, its time and distance [frames]
        try:
            self._container.seek(int((start + _SEEK) / (self.fps * base)), stream=self._stream)
            for frame in self._container.decode(self._stream):
                if frame.pts is None:
                    continue
                at = float(frame.pts * base) * self.fps
                while newest is not None and number - time <= at - number and at - number > NEAR:
                    yield newest
                    number += 1
                while at >= number - NEAR:
                    yield frame
                    number += 1
                gap = at - time if newest is not None else 1.0
                newest, time = frame, at
            while newest is not None and number - time <= min(1.0, gap) / 2:
                yield newest
                number += 1
        except (FFmpegError, ValueError) as error:
            raise UserError(f"{self.path}: cannot decode frame {number} ({_reason(error)})") from None

    def _converted(self, frame: av.VideoFrame) -> np.ndarray:
        try:
            return self._converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        except (FFmpegError, ValueError) as error:
            raise UserError(f"{self.path}: cannot convert a frame ({_reason(error)})") from None

    def _key_before(self, number: int) -> int:
        """Returns the number of the last key frame up to a frame: where decoding after a seek begins."""
        if self._keys is None:
            base = float(self._stream.time_base or 0)
            entries = self._stream.index_entries
            keys = sorted(round(e.timestamp * base * self.fps) for e in entries if e.is_keyframe)
            self._keys = np.array(keys or [0])
        return int(self._keys[max(0, np.searchsorted(self._keys, number, side="right") - 1)])

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_container(source: str | io.BytesIO, name: str) -> InputContainer:
    """An opened file with a video in it; UserError, with its name, if it is none."""
    try:
        container: InputContainer = av.open(source, "r")
    except (FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{name}: not readable as a video ({_reason(error)})") from None
    if not container.streams.video:
        container.close()
        raise UserError(f"{name}: no video stream in it")
    if getattr(container.streams.video[0], "codec_context", None) is None:  # cut off within its header
        container.close()
        raise UserError(f"{name}: a video stream of an unknown codec")
    return container


def exact_rate(fps: float) -> Fraction:
    """A frame rate as the fraction that a file can hold: 29.97 is 2997/100."""
    return Fraction(fps).limit_denominator(1001)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).replace("\n", " ")
