"""Pictures for people: an episode's cameras beside each other under a line of text, as mp4, webp or gif."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import writing

ANIMATIONS = (".webp", ".gif")
BAND_COLOR = (22, 24, 29)
INSTRUCTION_COLOR = (244, 244, 240)
CAPTION_COLOR = (150, 170, 190)
GAP = 4  # between cameras [pixels]


@contextmanager
def film(path: Path, fps: int) -> Generator[Callable[[np.ndarray], None]]:
    """Gives a function that adds a frame, (H, W, 3) uint8 RGB; the file appears when the block ends well.

    A .webp or .gif animation is kept in memory until the end; all else is an mp4, and written as it comes.
    """
    if path.suffix not in ANIMATIONS:
        with VideoWriter(path, fps) as video:
            yield video.write
    else:
        frames: list[np.ndarray] = []
        yield frames.append
        save_animation(path, frames, fps)


class VideoWriter:
    """An mp4 file (H.264, yuv420p, index first) that browsers play; a context manager.

    The file appears under its name when the `with` block ends. If the block ends with an exception, or
    no frame was written, it does not appear at all.
    """

    def __init__(self, path: Path, fps: int):
        self._output = ExitStack()
        self._temporary = self._output.enter_context(writing(path))
        self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(fps), options={"crf": "20", "preset": "veryfast"}
        )
        self._stream.pix_fmt = "yuv420p"
        self._shape: tuple[int, ...] | None = None

    def write(self, frame: np.ndarray) -> None:
        """Adds one frame, (H, W, 3) uint8 RGB; an odd side grows by one pixel, which H.264 needs.

        Raises:
            ValueError: its shape is not that of the first frame.
        """
        if self._shape is None:
            self._shape = frame.shape
            self._stream.height = frame.shape[0] + frame.shape[0] % 2
            self._stream.width = frame.shape[1] + frame.shape[1] % 2
        if frame.shape != self._shape:
            raise ValueError(f"frame: got shape {frame.shape}, expected {self._shape} as before")
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = kind is None and self._shape is not None
        with self._output:
            try:
                if whole:
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()
                if not whole:
                    self._temporary.unlink(missing_ok=True)


def save_animation(path: Path, frames: Sequence[np.ndarray], fps: int) -> None:
    """Writes frames, (H, W, 3) uint8 RGB, as an endless .webp or .gif animation.

    A gif shows at most 50 frames a second and 256 colours; a webp is smaller and has neither limit.

    Raises:
        UserError: another suffix.
    """
    if path.suffix not in ANIMATIONS:
        raise UserError(f"animation: got {path.name!r}, expected a name that ends in .webp or .gif")
    first, *rest = [Image.fromarray(frame) for frame in frames]
    times_ms = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)  # rounded without drift
    settings = {"quality": 75, "method": 4} if path.suffix == ".webp" else {"disposal": 1}
    with writing(path) as temporary:
        first.save(
            temporary,
            format=path.suffix[1:],
            save_all=True,
            append_images=rest,
            duration=np.diff(times_ms).tolist(),
            loop=0,
            **settings,
        )


def compose_frame(
    images: Mapping[str, np.ndarray], instruction: str, caption: str, height: int = 384
) -> np.ndarray:
    """The cameras beside each other, scaled to `height`, under the instruction and a smaller caption.

    The size depends only on the cameras and `height`, never on the texts: two lines are kept for each,
    and what is longer ends in an ellipsis.

    Args:
        images: {camera: (H, W, 3) uint8 RGB}, shown from left to right.

    Returns:
        (H, W, 3) uint8 RGB with even H and W.
    """
    views = [_labelled(_scaled(image, height), name) for name, image in images.items()]
    gap = np.full((height, GAP, 3), BAND_COLOR, np.uint8)
    parts = [part for view in views for part in (gap, view)][1:]
    row = np.concatenate(parts, axis=1)
    frame = np.concatenate([_band(row.shape[1], height // 16, instruction, caption), row])
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")


def _scaled(image: np.ndarray, height: int) -> np.ndarray:
    if image.shape[0] == height:
        return image
    width = round(image.shape[1] * height / image.shape[0])
    method = cv2.INTER_CUBIC if height > image.shape[0] else cv2.INTER_AREA
    return cv2.resize(image, (width, height), interpolation=method)


def _labelled(view: np.ndarray, name: str) -> np.ndarray:
    """The view with its camera's name in a corner."""
    label = _label(name, max(view.shape[0] // 26, 8))
    view = view.copy()
    height, width = min(label.shape[0], view.shape[0]), min(label.shape[1], view.shape[1])
    view[-height:, :width] = label[:height, :width]
    return view


@lru_cache(maxsize=16)
def _label(name: str, size: int) -> np.ndarray:
    font = ImageFont.load_default(size)
    width = round(font.getlength(name)) + size
    image = Image.new("RGB", (width, round(1.7 * size)), BAND_COLOR)
    ImageDraw.Draw(image).text(
        (width / 2, image.height / 2), name, fill=CAPTION_COLOR, font=font, anchor="mm"
    )
    return np.asarray(image)


@lru_cache(maxsize=16)
def _band(width: int, size: int, instruction: str, caption: str) -> np.ndarray:
    """The text above the cameras, (H, width, 3) uint8; `size` is the instruction's font size [pixels]."""
    small = round(0.72 * size)
    styles = [
        (instruction, ImageFont.load_default(size), INSTRUCTION_COLOR, round(1.3 * size)),
        (caption, ImageFont.load_default(small), CAPTION_COLOR, round(1.3 * small)),
    ]
    wrapped = [_wrapped(text, font, width - 2 * size) for text, font, _, _ in styles]
    text_height = len(wrapped[0]) * styles[0][3] + 2 * styles[1][3]  # captions change: keep their room
    height = size + 2 * sum(advance for _, _, _, advance in styles)
    image = Image.new("RGB", (width, height), BAND_COLOR)
    draw = ImageDraw.Draw(image)
    top = (height - text_height) / 2
    for (_, font, color, advance), lines in zip(styles, wrapped, strict=True):
        for line in lines:
            draw.text((size, top + advance / 2), line, fill=color, font=font, anchor="lm")
            top += advance
    return np.asarray(image)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """At most two lines no wider than `width` pixels."""
    mean = max(font.getlength(text) / max(len(text), 1), 1.0)
    for columns in range(max(int(width / mean * 1.2), 8), 3, -1):
        lines = textwrap.wrap(text, columns, max_lines=2, placeholder="\N{HORIZONTAL ELLIPSIS}")
        if all(font.getlength(line) <= width for line in lines):
            return lines
    return []
