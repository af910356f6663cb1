"""The newest value of one kind, from one process to any number of others, without ever waiting.

A mailbox is a few slots in shared memory. The writer fills the slot after the newest one, then says that
it is the newest; each slot carries the number of the publication it holds, and 0 while it is being
written. A reader copies the newest slot and looks at its number before and after: unless both are the
number it came for, it tries again. So

- nobody ever waits: the writer not for readers, a reader not for a writer that was stopped or killed in
  the middle of writing, because the value before is still whole;
- what a reader returns was published as such, by one writer at one time: a torn read is impossible.
  A processor that may see stores out of order (anything but x86-64) also compares a checksum.

A reader fails only if it is overtaken SLOTS - 1 times while it copies, RETRIES times in a row. It then
says so, and its user goes on with the value it had.
"""

from __future__ import annotations

import platform
import zlib

import numpy as np

SLOTS = 4
RETRIES = 8
ALIGNMENT = 64  # [bytes], a cache line
IN_ORDER = platform.machine() in ("x86_64", "AMD64")  # stores are seen by others in their order


class Mailbox:
    """One kind of value, a numpy structured record of fixed size, in a piece of shared memory.

    Args:
        memory: `size(dtype)` bytes that start out as zeros, aligned to 64 bytes.
        dtype: structured, without objects.
        checked: whether a checksum is written and compared as well.
    """

    def __init__(self, memory: memoryview, dtype: np.dtype[np.void], checked: bool = not IN_ORDER) -> None:
        self.dtype = dtype
        self._checked = checked
        stride = _stride(dtype)
        raw = np.frombuffer(memory, dtype=np.uint8, count=size(dtype))
        self._newest = raw[:8].view(np.int64)  # (1,) number of the newest publication, 0 for none
        slots = raw[ALIGNMENT:].reshape(SLOTS, stride)
        heads = [slots[i, :ALIGNMENT].view(np.int64) for i in range(SLOTS)]
        self._numbers = [head[:1] for head in heads]  # of the publication in each slot
        self._sums = [head[1:2] for head in heads]
        self._payloads = [slots[i, ALIGNMENT : ALIGNMENT + dtype.itemsize] for i in range(SLOTS)]

    def new(self) -> np.ndarray:
        """A record () of this kind, of zeros, to write from or to read into."""
        return np.zeros((), dtype=self.dtype)

    def newest(self) -> int:
        """How many records have been published."""
        return int(self._newest[0])

    def write(self, record: np.ndarray) -> int:
        """Publishes a copy of a record and returns its number, 1 for the first. One process only."""
        payload = _bytes(record)
        number = int(self._newest[0]) + 1
        slot = number % SLOTS
        self._numbers[slot][0] = 0
        self._payloads[slot][:] = payload
        if self._checked:
            self._sums[slot][0] = zlib.crc32(payload.data)
        self._numbers[slot][0] = number
        self._newest[0] = number
        return number

    def read(self, into: np.ndarray) -> int:
        """Copies the newest record and returns its number; 0 if there is none or no whole one was met.

        Args:
            into: a record from `new`. Meaningless afterwards if 0 is returned.
        """
        target = _bytes(into)
        for _ in range(RETRIES):
            number = int(self._newest[0])
            if number == 0:
                return 0
            slot = number % SLOTS
            if self._numbers[slot][0] != number:
                continue
            target[:] = self._payloads[slot]
            checksum = int(self._sums[slot][0])
            if self._numbers[slot][0] == number and (
                not self._checked or checksum == zlib.crc32(target.data)
            ):
                return number
        return 0


def size(dtype: np.dtype[np.void]) -> int:
    """Bytes that a mailbox for this kind of record takes, a multiple of 64."""
    return ALIGNMENT + SLOTS * _stride(dtype)


def _stride(dtype: np.dtype[np.void]) -> int:
    return ALIGNMENT + -(-dtype.itemsize // ALIGNMENT) * ALIGNMENT


def _bytes(record: np.ndarray) -> np.ndarray:
    """(n,) uint8, the record's own memory."""
    return record.reshape(1).view(np.uint8)
