"""Reads parquet files, as much of them as is asked for; damage is a UserError that names the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.plain_columns import why_no_array


def read_parquet(path: Path, columns: Sequence[str] | None = None, without: str | None = None) -> pa.Table:
    """Returns a parquet file's table: some columns, or all but those with the prefix `without`.

    Raises:
        UserError: naming the file, when it is missing or damaged.
    """
    with parquet_errors(path):
        file = pq.ParquetFile(path)
        if without is not None:
            columns = [name for name in file.schema_arrow.names if not name.startswith(without)]
        table = file.read(columns=list(columns) if columns is not None else None)
        table.validate(full=True)
        return table


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turns what pyarrow raises on a damaged file into a UserError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not readable as parquet ({reason})") from None


class DataFile:
    """A data file whose columns are read when they are asked for, each once.

    Raises:
        UserError: here or in a method, naming the file when it is missing or damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        with parquet_errors(path):
            file = pq.ParquetFile(path)
            self.schema: pa.Schema = file.schema_arrow
            self.rows: int = file.metadata.num_rows
            file.close()
        self._columns: dict[str, pa.ChunkedArray] = {}

    def column(self, name: str) -> pa.ChunkedArray:
        """Returns a column, all rows of the file."""
        self.load([name])
        return self._columns[name]

    def load(self, names: Sequence[str]) -> None:
        """Reads columns together, as far as they were not read before."""
        new = [name for name in names if name not in self._columns]
        for name in new:
            if self.schema.names.count(name) != 1:
                raise UserError(f"{self.path}: {name}: {self.schema.names.count(name)} columns of this name")
        if new:
            table = read_parquet(self.path, new)
            self._columns |= {name: table[name] for name in new}

    def why_not(self, name: str) -> str:
        """Returns why a column cannot be an array, by its type; "" where it can, or is not there."""
        found = [i for i, other in enumerate(self.schema.names) if other == name]
        if len(found) > 1:
            return f"{len(found)} columns of this name"
        return why_no_array(self.schema.field(found[0]).type) if found else ""
