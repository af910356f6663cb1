"""Pictures as graphs take them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ideomotor.control.types import Observation
from ideomotor.vla.resizing import resized


def pixels_of(
    observation: Observation, cameras: tuple[str, ...], size: int, there: Mapping[str, bool]
) -> np.ndarray:
    """(1, cameras, 3, size, size) float32 in [-1, 1]; a camera that is not there is black."""
    rows = np.full((1, len(cameras), 3, size, size), -1.0, np.float32)
    for row, name in enumerate(cameras):
        if there[name]:
            picture = resized(np.asarray(observation.images[name]), size)
            rows[0, row] = picture.transpose(2, 0, 1) * np.float32(1 / 127.5) - np.float32(1)
    return rows
