"""Cameras through OpenCV: devices or video files, each read in a thread, with the time of each picture.

A picture is cut to the shape of the embodiment's camera around its middle and scaled to its size, which is
what the policy was trained on; the log gets it cut but not scaled. A device is set to the size, rate and
format that the embodiment asks for; it may have no such mode, so what it really gives is looked at. Needs no
driver but OpenCV's; a video file stands in for a camera that is not there, plays at its own rate and begins
anew at its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.camera_spec import CameraSpec, Capture
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.picture_crop import middle_of
from ideomotor.control.runtime.realtime import favoured
from ideomotor.control.runtime.shared_state import SharedStateSpec, attach, pack_frames
from ideomotor.control.runtime.supervisor import live_with_parent, start_heartbeat
from ideomotor.launch.runtime.cameras.captures import check_source, open_capture

FIRST_PICTURE_S = 5.0  # that a camera may take to give one
REOPEN_S = 0.5  # how often a camera that was lost is looked for


def parse_sources(arguments: tuple[str, ...], embodiment: Embodiment) -> dict[str, int | str]:
    """{camera: index or path} from NAME=INDEX_OR_PATH for every camera of the robot.

    Raises:
        UserError: not of this form, an unknown or repeated name, or a camera without a source.
    """
    names = [camera.name for camera in embodiment.cameras]
    sources: dict[str, int | str] = {}
    for argument in arguments:
        name, equals, where = argument.partition("=")
        if not equals or not where:
            raise UserError(f"camera: got {argument!r}, expected NAME=INDEX or NAME=PATH, e.g. front=0")
        if name not in names:
            raise unknown_name("camera", name, names)
        if name in sources:
            raise UserError(f"camera: {name} is given twice")
        sources[name] = int(where) if where.isdecimal() else where
        check_source(sources[name])
    if missing := [name for name in names if name not in sources]:
        wanted = " ".join(f"{name}=INDEX" for name in missing)
        raise UserError(f"camera: {', '.join(missing)} missing, expected --camera {wanted}")
    return sources


@dataclass(frozen=True)
class CameraMode:
    """What a camera gives."""

    source: int | str
    width: int  # [pixels], of its own pictures
    height: int
    format: str  # four letters, or empty where it does not say
    asked: Capture | None = None  # of a device

    def __str__(self) -> str:
        letters = f" {self.format}" if self.format else ""
        return f"{self.source}, {self.width}x{self.height}{letters}"

    @property
    def difference(self) -> str:
        """What it gives instead of what it was asked for; empty if that is the same. Rates are measured."""
        asked = self.asked
        if asked is None:
            return ""
        other_size = (asked.width, asked.height) != (self.width, self.height)
        other_format = asked.format and self.format and asked.format != self.format
        if not (other_size or other_format):
            return ""
        gives, wanted = str(self).partition(", ")[2], f"{asked.width}x{asked.height} {asked.format}"
        return f"gives {gives}, expected {wanted.strip()}: it has no such mode, or something else uses it"


def look_through(sources: Mapping[str, int | str], embodiment: Embodiment) -> dict[str, CameraMode]:
    """Takes one picture with each camera; {camera: what it gives}.

    Raises:
        UserError: a camera that cannot be opened, or gives no picture.
    """
    found = {}
    for name, source in sources.items():
        camera = CapturedCamera(embodiment.camera(name), source)
        try:
            camera.wait()
            found[name] = camera.mode()
        finally:
            camera.close()
    return found


def film_sizes(
    modes: Mapping[str, CameraMode], embodiment: Embodiment, *, whole: bool = False
) -> tuple[tuple[str, int, int], ...]:
    """(name, height, width) of every camera as the log has it; empty if none is larger than the policy's.

    Args:
        whole: as they come, and not cut to the shape that the policy sees.
    """
    sizes = []
    for camera in embodiment.cameras:
        mode = modes.get(camera.name)
        height, width = (
            (camera.height, camera.width)
            if mode is None
            else (mode.height // 2 * 2, mode.width // 2 * 2)
            if whole
            else _cut_size(mode.height, mode.width, camera.height, camera.width)
        )
        sizes.append((camera.name, max(height, camera.height), max(width, camera.width)))
    larger = any(size[1:] != (c.height, c.width) for size, c in zip(sizes, embodiment.cameras, strict=True))
    return tuple(sizes) if larger else ()


class CapturedCamera:
    """The newest picture of one camera; a `control.types.Camera`."""

    def __init__(
        self,
        spec: CameraSpec,
        source: int | str,
        news: threading.Condition | None = None,
        film: tuple[int, int] | None = None,
    ) -> None:
        """Opens it.

        Args:
            spec: the pictures that are wanted.
            source: index of a device, or the path of a device or a video file.
            news: notified after every picture.
            film: (H, W) of a larger picture that is wanted too; None: none is.

        Raises:
            UserError: it cannot be opened.
        """
        self._spec, self._source = spec, source
        self._is_file = isinstance(source, str) and Path(source).is_file()
        self._capture = open_capture(self._source, self._spec)
        if self._capture is None:
            raise UserError(
                f"camera: {spec.name}: cannot open {source!r}, expected a device's index or path, or a video"
            )
        self._film = film
        self._width = self._height = 0
        self._newest: tuple[float, np.ndarray, np.ndarray | None] | None = None
        self._news = news or threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self) -> tuple[float, np.ndarray]:
        """The newest picture and when it was taken: time [s], (H, W, 3) uint8 RGB."""
        at, picture, _ = self.read_both()
        return at, picture

    def read_both(self) -> tuple[float, np.ndarray, np.ndarray | None]:
        """The same, and the larger picture, if one is wanted."""
        if self._newest is None:
            self.wait()
        assert self._newest is not None
        return self._newest

    def mode(self) -> CameraMode:
        """What it gives, once there was a picture."""
        import cv2

        code = 0 if self._is_file or not self._capture else int(self._capture.get(cv2.CAP_PROP_FOURCC))
        letters = code.to_bytes(4, "little").decode("ascii", "replace") if code > 0 else ""
        asked = None if self._is_file else self._spec.capture
        readable = letters.strip() if letters.isprintable() else ""
        return CameraMode(self._source, self._width, self._height, readable, asked)

    def wait(self) -> None:
        """Waits for the first picture; UserError if there is none in time."""
        with self._news:
            if not self._news.wait_for(lambda: self._newest is not None, FIRST_PICTURE_S):
                where = f"{self._spec.name}: {self._source!r}"
                raise UserError(f"camera: {where} gave no picture within {FIRST_PICTURE_S:g} s")

    def close(self) -> None:
        """Gives the device back."""
        self._closed.set()
        self._thread.join(FIRST_PICTURE_S)

    def _run(self) -> None:
        import cv2

        capture: Any = self._capture
        period_s = 1.0 / (capture.get(cv2.CAP_PROP_FPS) or self._spec.hz) if self._is_file else 0.0
        due = time.monotonic()
        while not self._closed.is_set():
            picture: Any = capture.read()[1] if capture else None
            now = getattr(capture, "taken_at", time.monotonic())
            if picture is None:
                if self._is_file and self._newest is not None:
                    capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                    continue
                if capture:
                    capture.release()
                self._closed.wait(REOPEN_S)
                capture = open_capture(self._source, self._spec)
                continue
            self._height, self._width = picture.shape[:2]
            fitted = cv2.cvtColor(fit(picture, self._spec.height, self._spec.width), cv2.COLOR_BGR2RGB)
            film = cv2.cvtColor(fit(picture, *self._film), cv2.COLOR_BGR2RGB) if self._film else None
            with self._news:
                self._newest = (now, fitted, film)
                self._news.notify_all()
            if period_s:
                due = max(due + period_s, now)
                self._closed.wait(max(due - time.monotonic(), 0.0))
        if capture:
            capture.release()


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (height, width, 3): cut around the middle to this shape, then scaled."""
    import cv2

    cut = middle_of(picture, height, width)
    if cut.shape[:2] == (height, width):
        return cut
    how = cv2.INTER_AREA if cut.shape[0] > height else cv2.INTER_LINEAR
    return cv2.resize(cut, (width, height), interpolation=how)


def _cut_size(have: int, wide: int, height: int, width: int) -> tuple[int, int]:
    """(H, W) of a picture cut to the shape of (height, width), even, as videos have to be."""
    scale = min(have / height, wide / width)
    return int(scale * height) // 2 * 2, int(scale * width) // 2 * 2


def opencv_cameras_process(
    spec: SharedStateSpec, embodiment: Embodiment, sources: Mapping[str, int | str]
) -> None:
    """Publishes what the cameras see, for ever, as soon as one of them has something new.

    A camera that is lost leaves its last picture there, which grows old: control then holds the arm.
    """
    live_with_parent()
    favoured()
    shared = attach(spec)
    news = threading.Condition()
    films = {name: (height, width) for name, height, width in spec.films}
    cameras = {
        name: CapturedCamera(embodiment.camera(name), source, news, films.get(name))
        for name, source in sources.items()
    }
    for camera in cameras.values():
        camera.wait()
    record, film = shared.frames.new(), shared.films.new()
    start_heartbeat(shared, "cameras")
    while True:
        with news:
            news.wait_for(lambda: any(c.read()[0] > record["times"].max() for c in cameras.values()))
        both = {name: camera.read_both() for name, camera in cameras.items()}
        times = {name: at for name, (at, _, _) in both.items()}
        pack_frames(record, times, {name: image for name, (_, image, _) in both.items()}, spec)
        shared.frames.write(record)
        if films:
            pack_frames(
                film, times, {n: large for n, (_, _, large) in both.items() if large is not None}, spec.filmed
            )
            shared.films.write(film)
