"""Opens a camera: a device or a video file through OpenCV, or the twin of a webcam."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ideomotor.control.camera_spec import CameraSpec
from ideomotor.launch.runtime.cameras.film_camera import PREFIX, FilmCamera, parse_film
from ideomotor.launch.runtime.cameras.plugin_camera import PluginCapture, is_plugin


def check_source(source: int | str) -> None:
    """Raises UserError for the twin of a webcam that cannot be."""
    if isinstance(source, str) and source.startswith(PREFIX):
        parse_film(source)


def open_capture(source: int | str, spec: CameraSpec) -> Any | None:
    """Returns what has the methods of `cv2.VideoCapture`; None if it cannot be opened.

    Args:
        source: index or path of a device, a video file, `film:…` (film_camera.py), or a camera of another
            package (plugin_camera.py).
        spec: what a device is asked for.
    """
    # What OpenCV and its FFmpeg have to say about a camera that is not there, we say in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.setNumThreads(1)
    if is_plugin(source):
        return PluginCapture(str(source), spec)
    is_film = isinstance(source, str) and source.startswith(PREFIX)
    try:
        capture: Any = FilmCamera(parse_film(str(source))) if is_film else cv2.VideoCapture(source)
    except cv2.error:
        return None
    if not capture.isOpened():
        capture.release()
        return None
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not (isinstance(source, str) and Path(source).is_file()):
        asked = spec.capture
        if asked and asked.format:  # first: which sizes and rates there are depends on it
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.format))
        if asked:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.height)
        capture.set(cv2.CAP_PROP_FPS, asked.hz if asked else spec.hz)
    return capture
