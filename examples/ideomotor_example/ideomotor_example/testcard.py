"""A camera in a few lines: one colour, and a bar that wanders. `--camera top=testcard@RED,GREEN,BLUE`."""

from __future__ import annotations

import time

import numpy as np

from ideomotor.control.camera_spec import CameraSpec
from ideomotor.control.errors import UserError


class TestCard:
    """`control.types.Camera`."""

    def __init__(self, spec: CameraSpec, colour: str) -> None:
        try:
            self._colour = np.array([int(part) for part in colour.split(",")], dtype=np.uint8)
            assert self._colour.shape == (3,)
        except (ValueError, OverflowError, AssertionError):
            raise UserError(f"camera: {spec.name}: got {colour!r}, expected RED,GREEN,BLUE") from None
        self._spec, self._began = spec, time.monotonic()

    def read(self) -> tuple[float, np.ndarray]:
        """The newest picture of a camera that takes `hz` of them a second."""
        number = int((time.monotonic() - self._began) * self._spec.hz)
        picture = np.tile(self._colour, (self._spec.height, self._spec.width, 1))
        picture[:, number % self._spec.width] = 255
        return self._began + number / self._spec.hz, picture
