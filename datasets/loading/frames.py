"""Camera images by row number: read from a decoded file, or decoded from the videos when asked for.

Decoded files are read with `pread`, not through a map: a worker's memory then does not grow with what it
has read, a slow disk is asked once for each image, and a damaged file is an error and not a SIGBUS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol
from weakref import finalize

import cv2
import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.picture_crop import middle_of
from ideomotor.datasets.lerobot.reader import Dataset


class Frames(Protocol):
    """N images of one camera; `frames[rows]` is a new array (n, H, W, 3) uint8 RGB in the order of rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: np.ndarray) -> np.ndarray: ...


class FrameFile:
    """Images in a .npy file (N, H, W, 3) uint8; safe to share with forked processes.

    Raises:
        UserError: not such a file, or shorter than it says.
    """

    def __init__(self, path: Path):
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finalize(self, os.close, self._descriptor)
        with open(path, "rb") as file:
            np.lib.format.read_magic(file)
            self.shape, _, kind = np.lib.format.read_array_header_1_0(file)
            self._header = file.tell()
        size = self._header + int(np.prod(self.shape))
        if kind != np.uint8 or len(self.shape) != 4 or os.fstat(self._descriptor).st_size != size:
            raise UserError(f"{path}: {kind} {self.shape}, expected {size} bytes of images")
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        output = np.empty((len(rows), *self.shape[1:]), np.uint8)
        frame = int(np.prod(self.shape[1:]))
        buffer = output.data.cast("B") if output.size else memoryview(b"")
        for slot, row in enumerate(rows.tolist()):
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"row {row} of {self.shape[0]}")
            into = buffer[slot * frame : (slot + 1) * frame]
            if os.preadv(self._descriptor, [into], self._header + row * frame) != frame:
                raise UserError(f"{self.path}: ends before row {row}; delete its folder to build it again")
        return output


class DecodedFrames:
    """Images decoded when asked for, each file read forwards; decoders stay open, see `Dataset.frames`.

    Args:
        open_dataset: gives the dataset; called at the first use, so that opening costs nothing.
        size: (H, W) that images are resized to.
    """

    def __init__(self, open_dataset: Callable[[], Dataset], rows: int, camera: str, size: tuple[int, int]):
        self._open, self._camera, self._size = open_dataset, camera, size
        self.shape = (rows, *size, 3)

    @cached_property
    def _dataset(self) -> Dataset:
        return self._open()

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        output = np.empty((len(rows), *self._size, 3), np.uint8)
        order, starts = np.argsort(rows, kind="stable"), self._dataset.starts
        episodes = np.searchsorted(starts, rows[order], side="right") - 1
        begins = [0, *(np.flatnonzero(np.diff(episodes)) + 1).tolist(), len(rows)]  # of each episode's part
        for begin, end in zip(begins[:-1], begins[1:], strict=True):
            if begin < end:
                episode, slots = int(episodes[begin]), order[begin:end]
                images = self._dataset.frames(episode, self._camera, rows[slots] - starts[episode])
                for slot, image in zip(slots.tolist(), images, strict=True):
                    output[slot] = resized(image, self._size)
        return output


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns an image at (H, W), cut to that shape around its middle first; itself when it has that size.

    A running arm's pictures, and those that come by the API, come to their policy in the same way
    (launch/runtime/cameras/cameras.py, vla/images.py).
    """
    if frame.shape[:2] == size:
        return frame
    cut = middle_of(frame, *size)
    how = cv2.INTER_AREA if cut.shape[0] > size[0] else cv2.INTER_LINEAR
    return cut if cut.shape[:2] == size else cv2.resize(cut, (size[1], size[0]), interpolation=how)


def is_cut(shape: Sequence[int], size: tuple[int, int]) -> bool:
    """Whether `resized` leaves out a part of images of this shape, (H, W, 3) or (3, H, W)."""
    height, width = shape[1:] if shape[0] == 3 else shape[:2]
    return height * size[1] != width * size[0]


def create_frame_file(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """Creates a .npy file of uint8 zeros; returns its descriptor and the length of its header.

    It is filled by writes, not through a map: a full disk is then an error and not a SIGBUS.
    """
    with open(path, "wb") as file:
        fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, fields)
        header = file.tell()
        file.truncate(header + int(np.prod(shape)))
    return os.open(path, os.O_WRONLY), header
