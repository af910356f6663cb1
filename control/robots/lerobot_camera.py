"""One of LeRobot's cameras as ours: `--camera front=lerobot:TYPE@SOURCE,KEY=VALUE…` (`lerobot_config.py`)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ideomotor.control.camera_spec import CameraSpec
from ideomotor.control.errors import UserError
from ideomotor.control.robots.lerobot_config import make_device, parse_device

WAIT_MS = 500.0  # for a new picture


class LerobotCamera:
    """`control.types.Camera`, connected as long as it is there."""

    def __init__(self, config_type: str, source: str, spec: CameraSpec) -> None:
        """Connects it; UserError if LeRobot, the type or the camera is missing."""
        device, fields = parse_device(source)
        asked = spec.capture
        usual = {"fps": asked.hz, "width": asked.width, "height": asked.height} if asked else {}
        self._camera: Any = make_device("camera", config_type, device, usual | fields)
        try:
            self._camera.connect()
        except Exception as error:
            why = " ".join(str(error).split())
            raise UserError(f"camera: {spec.name}: lerobot: {config_type}: {why}") from error

    def read(self) -> tuple[float, np.ndarray]:
        """Waits for a new picture: when it came [s], (H, W, 3) uint8 RGB; OSError if none does."""
        try:
            picture = self._camera.async_read(timeout_ms=WAIT_MS)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"camera: lerobot: {error}") from error
        return time.monotonic(), np.asarray(picture)

    def close(self) -> None:
        if self._camera.is_connected:
            self._camera.disconnect()
