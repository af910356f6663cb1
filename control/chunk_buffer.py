"""Chunks waiting to be executed: which command is meant for a tick, given what has arrived by then.

Chunks are indexed by the ticks they were made for, never by an estimated delay: a late chunk simply
enters in its middle, a chunk that arrives out of order never replaces one made from a newer
observation, and a duplicate changes nothing. What becomes of chunks that overlap is the hand-over
method's business (control/chunk_handover.py); by default the newest one is executed as it is.

Between two ticks, where a policy's time passes slower than the loop's (control/runtime/playback.py), the
target is on the cubic through the four nearest (Catmull and Rom): no corners, and the targets themselves at
the ticks.
"""

from __future__ import annotations

import math

import numpy as np

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS, Handover
from ideomotor.control.types import ActionChunk


class ChunkBuffer:
    """Holds the chunks that may still be executed at `hz` commands a second."""

    def __init__(self, hz: float, handover: Handover = HANDOVERS[DEFAULT]) -> None:
        self.hz = hz
        self._combine = handover.combine
        self._chunks: list[tuple[int, ActionChunk]] = []  # (available at tick, chunk), newest first

    def clear(self) -> None:
        """Forgets every chunk."""
        self._chunks.clear()

    def submit(self, chunk: ActionChunk, available_at_tick: int) -> None:
        """Adds a chunk that may be executed from `available_at_tick` on (its delay has then passed).

        Raises:
            ValueError: the chunk is for another rate than `hz`, or its actions are not (H, A).
        """
        if chunk.hz != self.hz:
            raise ValueError(f"chunk.hz: got {chunk.hz}, expected {self.hz}")
        if chunk.actions.ndim != 2:
            raise ValueError(f"chunk.actions: got shape {chunk.actions.shape}, expected (H, A)")
        self._chunks.insert(0, (available_at_tick, chunk))
        self._chunks.sort(key=lambda entry: entry[1].observed_at, reverse=True)  # stable: last come first

    def command(self, tick: float) -> np.ndarray | None:
        """Returns the target (A,) float64 for `tick` and forgets the chunks that end before it.

        It is what the hand-over method makes of the available chunks that cover the tick; None if there
        is none.
        """
        whole = math.floor(tick)
        oldest = whole if tick == whole else whole - 1
        self._chunks = [entry for entry in self._chunks if _end(entry[1]) > oldest]
        here = self._target(whole)
        if here is None or tick == whole:
            return here
        after = self._target(whole + 1)
        if after is None:
            return here
        before, then = self._target(whole - 1), self._target(whole + 2)
        before = 2 * here - after if before is None else before
        then = 2 * after - here if then is None else then
        return _between(before, here, after, then, tick - whole)

    def newest(self, tick: int) -> ActionChunk | None:
        """Returns the chunk with the newest observation among those that `command` would use."""
        return next(iter(self._covering(tick)), None)

    def next_start(self, tick: int) -> int | None:
        """Returns the first tick after `tick` at which a chunk begins that is there."""
        return min((chunk.starts_at for _, chunk in self._chunks if chunk.starts_at > tick), default=None)

    def committed_prefix(self, tick: int, n: int, last_command: np.ndarray) -> np.ndarray:
        """Returns (n, A) float64: the targets for tick ... tick + n - 1 as far as known at `tick`.

        They are those of the newest chunks. Where no chunk covers a tick, the row before it is repeated
        (the first time, `last_command`).
        """
        rows = np.empty((n + 1, len(last_command)))
        rows[0] = last_command
        source = np.zeros(n + 1, dtype=np.int64)  # of each row: itself if known, else 0 for now
        for available_at, chunk in reversed(self._chunks):  # newer ones overwrite older ones
            first, last = max(chunk.starts_at, tick), min(_end(chunk), tick + n)
            if available_at <= tick and first < last:
                where = slice(1 + first - tick, 1 + last - tick)
                rows[where] = chunk.actions[first - chunk.starts_at : last - chunk.starts_at]
                source[where] = np.arange(where.start, where.stop)
        return rows[np.maximum.accumulate(source)[1:]]

    def _target(self, tick: int) -> np.ndarray | None:
        covering = self._covering(tick)
        return self._combine(covering, tick) if covering else None

    def _covering(self, tick: int) -> list[ActionChunk]:
        return [c for at, c in self._chunks if at <= tick and c.starts_at <= tick < _end(c)]


def _end(chunk: ActionChunk) -> int:
    return chunk.starts_at + len(chunk.actions)


def _between(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, share: float) -> np.ndarray:
    """Returns the point (A,) at `share` of the way from b to c, on the cubic through a to d."""
    linear, square, cube = c - a, 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    return b + 0.5 * share * (linear + share * (square + share * cube))
