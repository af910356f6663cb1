"""Whether the machine stood still: then a real-time test that failed is tried again (tests/conftest.py).

A process of its own wakes every few milliseconds and notes when it was late. Shared computers stall for
longer than a bus's time-out now and then, and what a test of half a second saw meanwhile says nothing about
the code.
"""

import mmap
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

PERIOD_S, STALL_S = 0.005, 0.03


class StallWatch:
    """Runs until `stop`, or until this process ends."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="ideomotor-stalls-")
        self._file.write(bytes(8))
        self._file.flush()
        self._last = _shared(self._file.name)
        self._process = subprocess.Popen([sys.executable, __file__, self._file.name])

    def stalled_since(self, moment: float) -> bool:
        """Whether it was late after a moment of the monotonic clock [s]."""
        return bool(self._last[0] >= moment)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._file.close()


def _shared(name: str) -> np.ndarray:
    """(1,) [s], when the last stall ended."""
    with open(name, "r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 8), np.float64)


def watch(name: str) -> None:
    """Notes in a file when it was late last, while its parent lives."""
    last, parent, due = _shared(name), os.getppid(), time.monotonic()
    while os.getppid() == parent:
        due += PERIOD_S
        time.sleep(max(0.0, due - time.monotonic()))
        if (now := time.monotonic()) - due > STALL_S:
            last[0] = due = now


if __name__ == "__main__":
    watch(sys.argv[1])
