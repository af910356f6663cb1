"""What the newest ticks commanded and by which chunk, for the report: into arrays made before the loop."""

from __future__ import annotations

import numpy as np

from ideomotor.control.runtime.loop import RECORDED_TICKS
from ideomotor.control.runtime.realtime import touched
from ideomotor.control.runtime.watchdog import Ages


class TickRecords:
    """Rows are ticks, in a ring of `RECORDED_TICKS`.

    Attributes:
        commands: (n, A) float64, as sent [rad or m].
        new_chunk: (n,) bool, a new chunk took over.
        ran: (n,) bool, the command was a chunk's and not the safe stop's.
        no_fresh_command: ticks without a target, from the first chunk to the end of running.
    """

    def __init__(self, joints: int) -> None:
        self.commands = touched((RECORDED_TICKS, joints))
        self.new_chunk = touched(RECORDED_TICKS, bool)
        self.ran = touched(RECORDED_TICKS, bool)
        self.no_fresh_command = 0
        self._ages_s = np.full((RECORDED_TICKS, 2), np.nan)  # of chunk and plan

    def begin(self, tick: int, runs: bool) -> None:
        """A tick whose command is not known yet."""
        slot = tick % RECORDED_TICKS
        self._ages_s[slot] = np.nan
        self.new_chunk[slot] = False
        self.ran[slot] = runs

    def chunk(self, tick: int, ages: Ages, is_new: bool) -> None:
        """The tick executes a chunk."""
        slot = tick % RECORDED_TICKS
        self.new_chunk[slot] = is_new
        self._ages_s[slot] = ages.chunk_s, ages.plan_s

    def command(self, tick: int, position: np.ndarray) -> None:
        """What was sent at the tick, (A,)."""
        self.commands[tick % RECORDED_TICKS] = position

    def order(self, ticks: int) -> np.ndarray:
        """(n,) rows of the newest ticks, oldest first, after so many ticks."""
        n = min(ticks, RECORDED_TICKS)
        return np.arange(ticks - n, ticks) % RECORDED_TICKS

    def ages(self, ticks: int) -> np.ndarray:
        """(m, 2) [s]: how old the chunk and its plan were, of the ticks that executed one."""
        known = self._ages_s[: min(ticks, RECORDED_TICKS)]
        return known[~np.isnan(known[:, 0])]
