"""Images that lie in a column of a data file (LeRobot's `image` features), read as a video is.

`ImageColumn` has the methods of `video.VideoFile`, so that nothing else must know the difference. Only
the row groups that are asked for are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.parquet_files import parquet_errors
from ideomotor.datasets.lerobot.video import NotColour

BATCH = 64  # rows read at a time
_PNG, _PNG_BITS = b"\x89PNG\r\n\x1a\n", 24  # how a PNG begins, and where it says the bits of a channel


class ImageColumn:
    """Random access by row to encoded images. Not for sharing between processes."""

    def __init__(self, path: Path, column: str, root: Path):
        self.path, self.column, self._root = path, column, root
        with parquet_errors(path):
            self._file = pq.ParquetFile(path)
            groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        if column not in self._file.schema_arrow.names:
            raise UserError(f"{path}: no column {column!r}")
        self._starts = np.cumsum([0, *groups])  # (groups + 1,), first row of each
        self._group: tuple[int, list[Any]] | None = None  # the newest group: its number, its values
        self._size: tuple[int, int] | None = None

    @property
    def narrowed(self) -> str:
        """What is lost when its first image becomes colour; "" where nothing is."""
        image = cv2.imdecode(np.frombuffer(self._bytes(self._value(0), 0), np.uint8), cv2.IMREAD_UNCHANGED)
        channels = image.shape[2] if image is not None and image.ndim == 3 else 3
        return "its channel of transparency is left out" if channels == 4 else ""

    @property
    def frame_count(self) -> int:
        return int(self._starts[-1])

    @property
    def height(self) -> int:
        return self._shape()[0]

    @property
    def width(self) -> int:
        return self._shape()[1]

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the images of these rows, in this order, as (n, H, W, 3) uint8 RGB."""
        output = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for slot in np.argsort(indices, kind="stable"):
            output[slot] = self._sized(self._value(int(indices[slot])), int(indices[slot]))
        return output

    def iterate(self, start: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
        """Yields images from row `start` on; UserError when fewer than `count` follow."""
        end = self.frame_count if count is None else start + count
        if end > self.frame_count:
            raise UserError(f"{self.path}: ends at row {self.frame_count}, expected {end} rows")
        first = max(0, int(np.searchsorted(self._starts, start, side="right")) - 1)
        last = int(np.searchsorted(self._starts, end, side="left"))
        row = int(self._starts[first])
        batches = self._file.iter_batches(BATCH, row_groups=list(range(first, last)), columns=[self.column])
        while row < end:
            with parquet_errors(self.path):
                batch = next(batches, None)
                values = batch.column(0).to_pylist() if batch is not None else []
            if not values:
                raise UserError(f"{self.path}: ends at row {row}, expected {end} rows")
            for value in values:
                if start <= row < end:
                    yield self._sized(value, row)
                row += 1

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ImageColumn:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shape(self) -> tuple[int, int]:
        if self._size is None:
            height, width = self._decoded(self._value(0), 0).shape[:2]
            self._size = (height, width)
        return self._size

    def _value(self, row: int) -> Any:
        if not 0 <= row < self.frame_count:
            raise UserError(f"{self.path}: ends before row {row}")
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if self._group is None or self._group[0] != group:
            with parquet_errors(self.path):
                table = self._file.read_row_group(group, columns=[self.column])
                self._group = (group, table.column(0).to_pylist())
        return self._group[1][row - self._starts[group]]

    def _sized(self, value: Any, row: int) -> np.ndarray:
        image = self._decoded(value, row)
        if image.shape[:2] != self._shape():
            size = (self.height, self.width)
            raise UserError(f"{self.path}: {self.column}: row {row} is {image.shape[:2]}, expected {size}")
        return image

    def _decoded(self, value: Any, row: int) -> np.ndarray:
        where, data = f"{self.path}: {self.column}: row {row}", self._bytes(value, row)
        if bits := _deep(data):
            raise NotColour(f"{where}: {bits} bits a channel, such as depth: not 8-bit colour")
        return decoded_image(data, where)

    def _bytes(self, value: Any, row: int) -> bytes:
        where = f"{self.path}: {self.column}: row {row}"
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None and isinstance(value, dict) and isinstance(value.get("path"), str):
            data = _file_inside(self._root, value["path"], where)
        if not isinstance(data, bytes) or not data:
            raise UserError(f"{where}: no image in it")
        return data


def decoded_image(data: bytes, where: str) -> np.ndarray:
    """Returns the picture in an image file's bytes, (H, W, 3) uint8 RGB. UserError beginning with `where`."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{where}: not readable as an image")
    return np.asarray(image, np.uint8)[..., ::-1]  # from BGR


def _deep(data: bytes) -> int:
    """Returns the bits of a channel of an image file if they are more than 8, or else 0."""
    if data.startswith(_PNG):
        return data[_PNG_BITS] if len(data) > _PNG_BITS and data[_PNG_BITS] > 8 else 0
    if data.startswith((b"II*\0", b"MM\0*")):  # TIFF, which LeRobot keeps depth in
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            image = None
        return 8 * image.itemsize if image is not None and image.itemsize > 1 else 0
    return 0


def _file_inside(root: Path, name: str, where: str) -> bytes:
    """Returns a file of the dataset: images are seldom kept beside the data file, and never elsewhere."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UserError(f"{where}: {name!r} leads out of the dataset")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{where}: {name!r} cannot be read ({error.strerror})") from None
