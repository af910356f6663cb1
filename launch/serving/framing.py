"""Messages between two processes over a pipe: an object of JSON and named arrays, limited in length.

    4 bytes: length of the header, little endian
    header: {"head": …, "arrays": [[name, dtype, shape], …]} as JSON
    the arrays' bytes, one after the other, in C order

Nothing in it can name code. It needs numpy alone, so that a process in an environment of its own can load
this file by its path (lerobot_host.py).
"""

from __future__ import annotations

import json
import math
import os
import select
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_HEADER, MAX_ARRAYS = 1 << 20, 1 << 28  # bytes
KINDS = ("uint8", "int64", "float32", "float64")


class BrokenMessage(Exception):
    """What arrived is no message, or the other side is gone."""


def send(file: int, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
    """Writes a message to a file descriptor.

    Raises:
        BrokenMessage: it is too long, an array is of another kind, or the other side is gone.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in whole.items()]
    header = json.dumps({"head": dict(head), "arrays": listed}).encode()
    _check(listed)
    if len(header) > MAX_HEADER:
        raise BrokenMessage(f"header of {len(header)} bytes, expected at most {MAX_HEADER}")
    parts = [len(header).to_bytes(4, "little"), header, *(array.tobytes() for array in whole.values())]
    view = memoryview(b"".join(parts))
    try:
        while view:
            view = view[os.write(file, view) :]
    except OSError as error:
        raise BrokenMessage(f"the other side is gone ({error.strerror})") from None


def receive(file: int, seconds: float | None = None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads the next message from a file descriptor.

    Args:
        seconds: that it may take; None: for ever.

    Raises:
        BrokenMessage: it is none, it did not come in time, or the other side is gone.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    length = int.from_bytes(_exactly(file, 4, deadline), "little")
    if length > MAX_HEADER:
        raise BrokenMessage(f"header of {length} bytes, expected at most {MAX_HEADER}")
    try:
        header = json.loads(_exactly(file, length, deadline))
        head, listed = (
            dict(header["head"]),
            [(str(n), str(k), [int(s) for s in shape]) for n, k, shape in header["arrays"]],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenMessage(f"header: {error!r}") from None
    _check(listed)
    arrays = {}
    for name, kind, shape in listed:
        size = math.prod(shape) * np.dtype(kind).itemsize
        arrays[name] = np.frombuffer(_exactly(file, size, deadline), kind).reshape(shape)
    return head, arrays


def _check(listed: Any) -> None:
    total = 0
    for name, kind, shape in listed:
        if kind not in KINDS or any(size < 0 for size in shape):
            raise BrokenMessage(f"array {name!r}: {kind} {shape}, expected one of {', '.join(KINDS)}")
        total += math.prod(shape) * np.dtype(kind).itemsize
    if total > MAX_ARRAYS:
        raise BrokenMessage(f"arrays of {total} bytes, expected at most {MAX_ARRAYS}")


def _exactly(file: int, size: int, deadline: float | None) -> bytearray:
    """So many bytes; writable, so that arrays made of them are."""
    got = bytearray(size)
    view = memoryview(got)
    while view:
        if (
            deadline is not None
            and not select.select([file], [], [], max(0.0, deadline - time.monotonic()))[0]
        ):
            raise BrokenMessage("no answer in time")
        count = os.readv(file, [view])
        if not count:
            raise BrokenMessage("the other side is gone")
        view = view[count:]
    return got
