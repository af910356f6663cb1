"""Chunks waiting to be executed: which command is meant for a tick, given what has arrived by then.

Chunks are indexed by the ticks they were made for, never by an estimated delay: a late chunk simply
enters in its middle, a chunk that arrives out of order never replaces one made from a newer
observation, and a duplicate changes nothing. Nothing is blended: the decoder was given the committed
commands as its prefix, so a new chunk continues the old one (training-time real-time chunking,
arXiv 2512.05964).
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.types import ActionChunk


class ChunkBuffer:
    """Holds the chunks that may still be executed at `hz` commands a second."""

    def __init__(self, hz: float) -> None:
        self.hz = hz
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

    def command(self, tick: int) -> np.ndarray | None:
        """Returns the target (A,) float64 for `tick` and forgets the chunks that end before it.

        It comes from the chunk with the newest observation among those available that cover the tick;
        None if there is none.
        """
        self._chunks = [entry for entry in self._chunks if _end(entry[1]) > tick]
        return self._target(tick, now=tick)

    def committed(self, tick: int, n: int, last_command: np.ndarray) -> np.ndarray:
        """Returns (n, A) float64: the targets for tick ... tick + n - 1 as far as known at `tick`.

        Where no chunk covers a tick, the row before it is repeated (the first time, `last_command`).
        """
        rows = np.empty((n, len(last_command)))
        previous = last_command
        for i in range(n):
            target = self._target(tick + i, now=tick)
            rows[i] = previous = previous if target is None else target
        return rows

    def _target(self, tick: int, now: int) -> np.ndarray | None:
        for available_at, chunk in self._chunks:
            if available_at <= now and chunk.starts_at <= tick < _end(chunk):
                return chunk.actions[tick - chunk.starts_at].astype(np.float64)
        return None


def _end(chunk: ActionChunk) -> int:
    return chunk.starts_at + len(chunk.actions)
