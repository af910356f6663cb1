"""Columns of a dataset as arrays in files, read through memory maps; texts as codes into a list in a file.

What a process touches of a map counts as its memory until it is given back: `Maps.release` does that.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ideomotor.control.errors import UserError


class Maps:
    """Memory-mapped .npy files."""

    def __init__(self) -> None:
        self._maps: list[mmap.mmap] = []

    def open(self, path: Path) -> np.ndarray:
        """Returns the array of a .npy file, read only.

        Raises:
            OSError, ValueError: missing, damaged.
        """
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"{path.name}: .npy version {version}, expected (1, 0)")
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
            start, count = file.tell(), int(np.prod(shape))
            if fortran or kind.hasobject:
                raise ValueError(f"{path.name}: not a plain array")
            if count == 0:
                return np.empty(shape, kind)
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        if len(mapped) < start + count * kind.itemsize:
            raise ValueError(f"{path.name}: cut short")
        self._maps.append(mapped)
        return np.frombuffer(mapped, kind, count, start).reshape(shape)

    def release(self) -> None:
        """Gives the memory of what was read back; it stays in the system's cache and is found there again."""
        for mapped in self._maps:
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


class Texts:
    """A list of texts in two arrays; `texts[codes]` is a list of those with these numbers."""

    def __init__(self, letters: np.ndarray, ends: np.ndarray):
        self._letters, self._ends = letters, ends  # (bytes,) uint8 UTF-8, (n + 1,) int64 from 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, codes: np.ndarray) -> list[str]:
        starts, ends = self._ends[codes].tolist(), self._ends[codes + 1].tolist()
        return [self._letters[a:b].tobytes().decode() for a, b in zip(starts, ends, strict=True)]

    def __iter__(self) -> Iterator[str]:
        for code in range(len(self)):
            yield from self[np.array([code])]


def texts_as_arrays(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the two arrays of `Texts`."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


class ColumnFile:
    """Writes one column of N rows, part by part. Texts become int32 codes, in the order of appearance."""

    def __init__(self, path: Path, rows: int):
        self._path, self._rows = path, rows
        self._file = path.open("wb")
        self._codes: dict[str, int] = {}
        self._kind: tuple[np.dtype, tuple[int, ...]] | None = None  # of the parts: type, shape of a row

    @property
    def texts(self) -> list[str] | None:
        """The texts of the codes; None for a column of numbers."""
        return list(self._codes) or None

    def append(self, values: np.ndarray) -> None:
        """Adds rows.

        Raises:
            UserError: not finite, or of another type or width than those before.
        """
        if values.dtype == object:
            codes = [self._codes.setdefault(str(text), len(self._codes)) for text in values]
            values = np.array(codes, np.int32)
        elif values.dtype.kind == "f":
            values = values.astype(np.float32, copy=False)
            if not np.isfinite(values).all():
                row = int(np.argwhere(~np.isfinite(values))[0, 0])
                raise UserError(f"{self._path.stem}: not finite at frame {row}")
        kind = (values.dtype, values.shape[1:])
        if self._kind is None:
            self._kind = kind
            fields = {"descr": values.dtype.str, "fortran_order": False, "shape": (self._rows, *kind[1])}
            np.lib.format.write_array_header_1_0(self._file, fields)
        if kind != self._kind:
            raise UserError(f"{self._path.stem}: {kind[0]} {kind[1]}, before it was {self._kind}")
        self._file.write(np.ascontiguousarray(values).data)

    def close(self) -> None:
        self._file.close()
