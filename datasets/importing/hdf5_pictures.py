"""Which arrays of an HDF5 file are pictures, and those as 8-bit colour.

Colour is taken as it is. What is plain becomes colour, and is said: grey, a fourth channel, channels before
rows, floating point, encoded files. Depth and other pictures that 8-bit colour cannot hold are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.image_columns import decoded_image

CHUNK = 32  # pictures read at a time
MARKS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # how JPEG and PNG files begin
PICTURE_WORDS = ("image", "rgb", "colour", "color", "gray", "grey")
NOT_PICTURES = ("depth", "segmentation", "mask")  # of a pixel's distance or kind, not colour


@dataclass(frozen=True)
class Pictures:
    """What an array of T pictures is."""

    why_not: str = ""  # why it cannot become 8-bit colour; "" where it can
    narrowed: str = ""  # what is done to it, and lost, on the way
    encoded: bool = False
    channels_first: bool = False


def pictures(name: str, item: Any) -> Pictures | None:
    """Returns what an HDF5 dataset of an observation holds; None where it is no pictures."""
    shape, kind = item.shape, item.dtype
    if _is_encoded(item):
        return Pictures(encoded=True)
    if kind.kind not in "fiub" or len(shape) < 3 or not len(item):
        return None
    words = name.lower()
    if any(word in words for word in NOT_PICTURES):
        return Pictures(why_not="depth or labels, not colour")
    named = any(word in words for word in PICTURE_WORDS)
    if len(shape) == 3:
        grey = kind == np.uint8 and named
        return Pictures(narrowed="grey") if grey else Pictures(why_not=_description(item)) if named else None
    if len(shape) != 4:
        return Pictures(why_not=_description(item)) if named else None
    first = shape[3] not in (1, 3, 4) and shape[1] in (1, 3, 4)
    channels = shape[1] if first else shape[3]
    if channels not in (1, 3, 4) or (kind != np.uint8 and not (kind.kind == "f" and channels > 1)):
        return Pictures(why_not=_description(item))
    said = {1: "grey", 3: "", 4: "its fourth channel is left out"}[channels]
    if kind.kind == "f":
        said = ", ".join(filter(None, ["floating point becomes 8 bits", said]))
    return Pictures(narrowed=said, channels_first=first)


def colour(item: Any, found: Pictures, where: str) -> Iterator[np.ndarray]:
    """Yields the pictures (H, W, 3) uint8 RGB of an HDF5 dataset, read a few at a time.

    Raises:
        UserError: one that is not readable, or of floating point that is neither in 0..1 nor in 0..255.
    """
    scale = 1.0
    if item.dtype.kind == "f":
        highest = max(np.nanmax(item[i : i + CHUNK], initial=0.0) for i in range(0, len(item), CHUNK))
        scale = 255.0 if highest <= 1.0 else 1.0
    for start in range(0, len(item), CHUNK):
        chunk = item[start : start + CHUNK]
        if found.encoded:
            for i, data in enumerate(chunk):
                yield decoded_image(bytes(data), f"{where}: row {start + i}")
            continue
        if found.channels_first:
            chunk = np.moveaxis(chunk, 1, -1)
        if chunk.dtype.kind == "f":
            levels = chunk * scale
            if not ((levels >= -0.5) & (levels < 255.5)).all():
                raise UserError(
                    f"{where}: values of {chunk.min():g} to {chunk.max():g}, expected 0 to 1 or 255"
                )
            chunk = levels.round().astype(np.uint8)
        if chunk.ndim == 3:
            chunk = chunk[..., None]
        for picture in chunk:
            yield np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]


def _is_encoded(item: Any) -> bool:
    """Whether each row is the bytes of an image file: of varying length, or filled up to one."""
    if item.ndim > 2 or not len(item) or item.dtype.kind not in "OVSu" or item.dtype.itemsize == 0:
        return False
    if item.dtype.kind == "u" and (item.dtype != np.uint8 or item.ndim != 2):
        return False
    try:
        return bytes(item[0]).startswith(MARKS)
    except (TypeError, ValueError):
        return False


def _description(item: Any) -> str:
    return f"{item.dtype} of shape {item.shape[1:]}, not 8-bit colour"
