"""Which data file an episode lies in, when the episode table is wrong about it.

lerobot's converter from v2.1 (0.4.4, convert_data) notes an episode's file before it decides to begin a new
one: at each boundary, the first episode is said to lie in the file before. lerobot does not notice, since
it reads rows by their number over all files. Here the table is held against the files' numbers of rows, and
where they disagree, the files are right.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_FILE = re.compile(r"chunk-(\d+)/file-(\d+)\.parquet")


def file_indices_by_rows(
    root: Path, chunks: np.ndarray, files: np.ndarray, starts: np.ndarray
) -> np.ndarray | None:
    """Returns (2, E) chunk and file numbers of the episodes, or None where the table may stay as it is.

    Only the footers of the files are read.

    Args:
        chunks: (E,) according to the table.
        files: (E,) according to the table.
        starts: (E + 1,) first row of each episode, and the number of rows.
    """
    found: list[tuple[int, int]] = []
    counts: list[int] = []
    for path in (root / "data").glob("chunk-*/file-*.parquet"):
        match = _FILE.fullmatch(path.relative_to(root / "data").as_posix())
        if match is None:
            continue
        try:
            counts.append(pq.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError):
            return None  # a damaged file is reported by whoever reads it
        found.append((int(match[1]), int(match[2])))
    order = sorted(range(len(found)), key=found.__getitem__)
    firsts = np.cumsum([0, *(counts[i] for i in order)])  # (F + 1,) first row of each file
    if firsts[-1] != starts[-1] or not np.isin(firsts, starts).all():
        return None  # files are missing, or left over: not this fault
    holders = np.searchsorted(firsts, starts[:-1], side="right") - 1
    indices = np.array([found[i] for i in order])[holders].T
    return None if np.array_equal(indices, np.stack([chunks, files])) else indices
