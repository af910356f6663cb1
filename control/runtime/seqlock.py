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

A mailbox with many slots is also a ring: `Follower` reads every publication, in order, and counts those
that were gone before it came by.
"""

from __future__ import annotations

import mmap
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
        slots: how many of the newest publications are kept.
    """

    def __init__(
        self,
        memory: memoryview | mmap.mmap,
        dtype: np.dtype[np.void],
        checked: bool = not IN_ORDER,
        slots: int = SLOTS,
    ) -> None:
        self.dtype, self.slots = dtype, slots
        self._checked = checked
        stride = _stride(dtype)
        raw = np.frombuffer(memory, dtype=np.uint8, count=size(dtype, slots))
        self._newest = raw[:8].view(np.int64)  # (1,) number of the newest publication, 0 for none
        rows = raw[ALIGNMENT:].reshape(slots, stride)
        heads = [row[:ALIGNMENT].view(np.int64) for row in rows]
        self._numbers = [head[:1] for head in heads]  # of the publication in each slot
        self._sums = [head[1:2] for head in heads]
        self._payloads = [row[ALIGNMENT : ALIGNMENT + dtype.itemsize] for row in rows]

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
        slot = number % self.slots
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
            if self._copy(number, target):
                return number
        return 0

    def read_number(self, number: int, into: np.ndarray) -> bool:
        """Copies one publication; False if it is not there any more, or not yet."""
        return self._copy(number, _bytes(into))

    def _copy(self, number: int, target: np.ndarray) -> bool:
        slot = number % self.slots
        if self._numbers[slot][0] != number:
            return False
        target[:] = self._payloads[slot]
        checksum = int(self._sums[slot][0])
        whole = not self._checked or checksum == zlib.crc32(target.data)
        return whole and self._numbers[slot][0] == number


class Follower:
    """Every publication of a mailbox, for one reader that comes by often enough.

    Attributes:
        lost: publications that were overwritten before it came by.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self.lost = 0
        self._mailbox, self._next = mailbox, 1

    def new(self) -> list[np.ndarray]:
        """Records () that were published since the last call, the oldest first."""
        records: list[np.ndarray] = []
        newest = self._mailbox.newest()
        oldest = max(self._next, newest - self._mailbox.slots + 1)
        self.lost += oldest - self._next
        for number in range(oldest, newest + 1):
            record = self._mailbox.new()
            if self._mailbox.read_number(number, record):
                records.append(record)
            else:
                self.lost += 1
        self._next = newest + 1
        return records


def size(dtype: np.dtype[np.void], slots: int = SLOTS) -> int:
    """Bytes that a mailbox for this kind of record takes, a multiple of 64."""
    return ALIGNMENT + slots * _stride(dtype)


def _stride(dtype: np.dtype[np.void]) -> int:
    return ALIGNMENT + -(-dtype.itemsize // ALIGNMENT) * ALIGNMENT


def _bytes(record: np.ndarray) -> np.ndarray:
    """(n,) uint8, the record's own memory."""
    return record.reshape(1).view(np.uint8)
