"""Pictures at the networks' size. Imports no torch."""

from __future__ import annotations

import cv2
import numpy as np

from ideomotor.control.picture_crop import middle_of


def resized(image: np.ndarray, size: int) -> np.ndarray:  # (H, W, 3) uint8 -> (size, size, 3) uint8
    """At the network's size, cut to a square around its middle as in training; itself if it has that size."""
    if image.shape[:2] == (size, size):
        return image
    cut = middle_of(image, size, size)
    shrinking = cut.shape[0] > size
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
