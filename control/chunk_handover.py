"""How one chunk takes over from the one before: four methods, each a plain function and two facts.

A chunk is made from the observation of tick t and arrives d ticks later. What the methods do about it:

- `rtc` (ours): the decoder is given the d commands already committed and continues them, so that the
  chunk can be entered in its middle without a seam: training-time real-time chunking, arXiv 2512.05964.
- `naive`: the chunk is made without knowing them and entered in its middle; the seam jumps.
- `ensemble`: as naive, but all chunks that cover a tick are averaged, with weights exp(-age) as in ACT
  (arXiv 2304.13705), which hides seams and blurs decisions.
- `sync`: the robot executes a part of a chunk, and stands at its end until the next one is there.

The last three are there to be compared with.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.control.types import ActionChunk

ENSEMBLE_DECAY = 0.01  # m of ACT's weights exp(-m i), i = 0 for the oldest chunk
SYNC_TICKS = 48  # executed of each chunk where the robot waits for the next one
DELAYS = 16  # newest measurements that an estimate is made from
FIRST_DELAY_S = 0.2  # assumed before anything was measured


@dataclass(frozen=True)
class Handover:
    """One method."""

    name: str
    combine: Callable[[Sequence[ActionChunk], int], np.ndarray]  # (A,) float64 for a tick, see `newest`
    uses_prefix: bool  # whether the decoder is given the committed commands
    waits: bool  # whether the robot stands still while the decoder thinks


def newest(chunks: Sequence[ActionChunk], tick: int) -> np.ndarray:
    """Returns the target (A,) for `tick` of the chunk with the newest observation.

    Args:
        chunks: those that cover the tick, newest observation first; at least one.
        tick: index of the command.
    """
    return chunks[0].actions[tick - chunks[0].starts_at].astype(np.float64)


def ensemble(chunks: Sequence[ActionChunk], tick: int) -> np.ndarray:
    """Returns the mean (A,) of what all chunks say about `tick`, the oldest weighing most, as in ACT."""
    rows = np.array([chunk.actions[tick - chunk.starts_at] for chunk in reversed(chunks)], dtype=np.float64)
    weights = np.exp(-ENSEMBLE_DECAY * np.arange(len(rows)))
    return weights @ rows / weights.sum()


HANDOVERS: dict[str, Handover] = {
    "rtc": Handover("rtc", newest, uses_prefix=True, waits=False),
    "sync": Handover("sync", newest, uses_prefix=False, waits=True),
    "naive": Handover("naive", newest, uses_prefix=False, waits=False),
    "ensemble": Handover("ensemble", ensemble, uses_prefix=False, waits=False),
}
DEFAULT = "rtc"


def handover(name: str) -> Handover:
    """The method of that name; UserError if there is none."""
    if name not in HANDOVERS:
        raise unknown_name("handover", name, HANDOVERS)
    return HANDOVERS[name]


class DelayEstimate:
    """How many commands the decoder has to be given, from the delays it really had.

    It is the largest of the newest measurements: a chunk that arrives before its prefix is used up
    continues without a seam, one that arrives later does not.
    """

    def __init__(self, hz: float, max_ticks: int) -> None:
        """Args:
        hz: commands a second.
        max_ticks: prefix that the decoder can be given [ticks].
        """
        self._hz, self._max_ticks = hz, max_ticks
        self._delays: deque[float] = deque(maxlen=DELAYS)

    def add(self, delay_s: float) -> None:
        """Takes in one measurement, from the observation to the chunk's publication [s]."""
        self._delays.append(delay_s)

    def ticks(self) -> int:
        """The prefix to give now; one tick more than the delay, for the tick under way."""
        delay_s = max(self._delays, default=FIRST_DELAY_S)
        return min(math.ceil(delay_s * self._hz) + 1, self._max_ticks)
