"""A camera of another package, or of LeRobot, as OpenCV's captures are read.

`--camera front=NAME@SOURCE`: NAME is an entry point of the group `ideomotor.cameras` (control/plugins.py) and
SOURCE is for it alone; `lerobot:TYPE@SOURCE` is one of LeRobot's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ideomotor.control.camera_spec import CameraSpec
from ideomotor.control.errors import UserError
from ideomotor.control.plugins import CAMERAS, has_plugin, load_plugin
from ideomotor.control.types import Camera

LEROBOT = "lerobot:"
POLL_S = 0.002  # between two looks for a new picture
LOST_S = 1.0  # without a new picture, after which it is opened anew


def is_plugin(source: int | str) -> bool:
    """Whether a source names a camera of another package."""
    if not isinstance(source, str) or "@" not in source or "/" in source.partition("@")[0]:
        return False
    name = source.partition("@")[0]
    return name.startswith(LEROBOT) or has_plugin(CAMERAS, name)


class PluginCapture:
    """What is used of `cv2.VideoCapture`, around a `control.types.Camera`.

    Attributes:
        taken_at: when the newest picture was taken, as the camera says [s].
    """

    def __init__(self, source: str, spec: CameraSpec) -> None:
        """Opens it; UserError if it refuses."""
        name, _, where = source.partition("@")
        make: Callable[[CameraSpec, str], Camera]
        if name.startswith(LEROBOT):
            from ideomotor.control.robots.lerobot_camera import LerobotCamera

            self._camera: Any = LerobotCamera(name.removeprefix(LEROBOT), where, spec)
        else:
            make = load_plugin(CAMERAS, name)
            self._camera = make(spec, where)
        if not callable(getattr(self._camera, "read", None)):
            raise UserError(f"camera: {name} has no read, expected a camera")
        self.taken_at = 0.0

    def isOpened(self) -> bool:
        return self._camera is not None

    def read(self) -> tuple[bool, np.ndarray | None]:
        """Waits for a picture that is new: (whether there is one, (H, W, 3) uint8 BGR)."""
        until = time.monotonic() + LOST_S
        while self._camera is not None and time.monotonic() < until:
            try:
                at, picture = self._camera.read()
            except (OSError, TimeoutError):
                return False, None
            if at > self.taken_at:
                self.taken_at = at
                return True, np.ascontiguousarray(picture[:, :, ::-1])
            time.sleep(POLL_S)
        return False, None

    def get(self, what: int) -> float:
        return 0.0  # it does not say

    def set(self, what: int, value: float) -> bool:
        return False  # its package knows how it is set

    def release(self) -> None:
        if close := getattr(self._camera, "close", None):
            close()
        self._camera = None
