"""Columns of a dataset as arrays in files, read through memory maps; texts as codes into a list in a file.

What a process touches of a map counts as its memory until it is given back: `Maps.release` does that.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ideomotor.control.errors import UserError

RECORDS = "records"  # the file of the columns that share one


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


class ColumnWriter:
    """Writes the columns of N rows to files, episode by episode; `read_columns` reads them.

    All but the `alone` ones go into one file of records, so that a random row is in one place. Texts become
    codes, in the order of appearance.

    Args:
        alone: columns that get a file each, since windows take many rows of them.
    """

    def __init__(self, folder: Path, rows: int, names: list[str], alone: tuple[str, ...]):
        self._folder, self._rows = folder, rows
        self._alone = [name for name in names if name in alone]
        self._together = [name for name in names if name not in alone]
        self._codes: dict[str, dict[str, int]] = {}
        self._files: dict[str, tuple[IO[bytes], np.dtype]] = {}

    @property
    def texts(self) -> dict[str, list[str]]:
        """{column of texts: the texts of its codes}."""
        return {name: list(codes) for name, codes in self._codes.items()}

    def append(self, columns: dict[str, np.ndarray]) -> None:
        """Adds an episode.

        Raises:
            UserError: not finite, or of another type or width than those before.
        """
        values = {name: self._numbers(name, column) for name, column in columns.items()}
        for name in self._alone:
            kind = np.dtype((values[name].dtype, values[name].shape[1:]))
            self._write(name, kind, values[name])
        if self._together:
            fields = [(name, values[name].dtype, values[name].shape[1:]) for name in self._together]
            records = np.empty(len(values[self._together[0]]), fields)
            for name in self._together:
                records[name] = values[name]
            self._write(RECORDS, records.dtype, records)

    def close(self) -> None:
        for file, _ in self._files.values():
            file.close()

    def _numbers(self, name: str, values: np.ndarray) -> np.ndarray:
        """A column as float32 or, texts and integers, int32."""
        if values.dtype == object:
            known = self._codes.setdefault(name, {})
            return np.array([known.setdefault(str(text), len(known)) for text in values], np.int32)
        if values.dtype.kind != "f":
            return values.astype(np.int32)
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise UserError(f"{name}: not finite at frame {row}")
        return values.astype(np.float32, copy=False)

    def _write(self, name: str, kind: np.dtype, values: np.ndarray) -> None:
        if name not in self._files:
            file = (self._folder / f"{name}.npy").open("wb")
            shape = (self._rows, *kind.shape)
            fields = {"descr": np.lib.format.dtype_to_descr(kind.base), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, fields | {"shape": shape})
            self._files[name] = file, kind
        file, before = self._files[name]
        if kind != before:
            raise UserError(f"{name}: {kind}, in the episodes before {before}")
        file.write(np.ascontiguousarray(values).data)


def read_columns(folder: Path, names: list[str], maps: Maps) -> dict[str, np.ndarray]:
    """Returns the columns of a folder by `ColumnWriter`."""
    alone = {name: maps.open(folder / f"{name}.npy") for name in names if (folder / f"{name}.npy").exists()}
    if len(alone) == len(names):
        return alone
    records = maps.open(folder / f"{RECORDS}.npy")
    return {name: alone[name] if name in alone else records[name] for name in names}
