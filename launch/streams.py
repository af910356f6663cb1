"""Standard output and error that never stop the work: a closed pipe, a full disk, a terminal without UTF-8.

What a command saves does not depend on who reads what it prints. Characters that the terminal's encoding
lacks are replaced; what cannot be written at all is dropped, and `failure` says so when the work is done.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TextIO


class PatientFile(io.FileIO):
    """A descriptor, written to until that fails, and whose writes then do nothing.

    Attributes:
        failed: why; None as long as it is written to.
    """

    failed: OSError | None = None

    def write(self, data: object) -> int:
        left = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = left.nbytes
        while left and self.failed is None:
            try:
                left = left[os.write(self.fileno(), left) :]
            except BlockingIOError:
                select.select([], [self.fileno()], [])
            except OSError as error:
                self.failed = error
        return size


def make_patient() -> None:
    """Makes the standard streams so, if they still are those that this process began with."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # one was closed: files that are opened later shall not be taken for it
    os.close(lowest)
    if sys.stdout is not None and sys.stdout is sys.__stdout__:
        sys.stdout = _patient(sys.stdout, "replace")
    if sys.stderr is not None and sys.stderr is sys.__stderr__:
        sys.stderr = _patient(sys.stderr, "backslashreplace")


def failure() -> OSError | None:
    """Why not all of standard output could be written; None too where its reader had seen enough."""
    if sys.stdout is None:
        return None
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failed = raw.failed if isinstance(raw, PatientFile) else None
    return None if isinstance(failed, BrokenPipeError) else failed


def gone(stream: TextIO | None) -> bool:
    """Whether nobody can read a stream any more: its pipe or its terminal is closed."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    failed = raw.failed if isinstance(raw, PatientFile) else None
    return failed is not None and failed.errno in (errno.EPIPE, errno.EIO)


def _patient(stream: TextIO, errors: str) -> TextIO:
    try:
        stream.flush()
        file = PatientFile(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # closed, or not of the operating system
        return stream
    lines = stream is sys.stderr or stream.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(file), encoding=stream.encoding, errors=errors, line_buffering=lines
    )
