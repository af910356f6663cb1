"""The part of a picture that a policy sees of it: the largest one of its shape around the middle.

Training, a running arm's cameras and pictures that come by the API or the server are all cut in this way.
"""

from __future__ import annotations

import numpy as np


def middle_of(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest part of a picture (H, W, …) that has the shape of (height, width), as a view of it."""
    have, wide = picture.shape[:2]
    scale = min(have / height, wide / width)
    rows, columns = round(scale * height), round(scale * width)
    top, left = (have - rows) // 2, (wide - columns) // 2
    return picture[top : top + rows, left : left + columns]
