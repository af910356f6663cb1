"""How well an executor remembers when something was so: its intervals against the true ones.

As in temporal localisation, an interval is right where its intersection over union with the true one is at
least 0.5 (R@1, IoU=0.5; Gao et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.facts import PREDICATES, Facts
from ideomotor.vla.planner.memory import Memory, iou

SHORTEST_S = 2.0  # of true intervals that are asked for: it looks once a second [s]
ENOUGH = 0.5  # intersection over union
ASKED = ("inside", "on", "in_drawer", "open", "closed", "held")


@dataclass(frozen=True)
class Remembered:
    """What was remembered of one episode."""

    asked: int  # true intervals
    right: int
    iou: float  # mean


class TrueMemory:
    """Follows the truth through an episode; show it what is so as often as you like."""

    def __init__(self) -> None:
        self._memory, self._now = Memory(), 0.0

    def see(self, time: float, facts: Facts) -> None:
        """What is so at a time [s]; times come in their order."""
        self._now = time
        self._memory.see(time, frozenset(one for one in facts if one[0] in ASKED))

    def compared(self, memory: Memory) -> Remembered:
        """The newest true interval of every fact against the newest one that a memory has of it."""
        overlaps = []
        for one in self._memory.facts_ever:
            if PREDICATES[one[0]].lasting:
                continue
            truth = self._memory.intervals(one)[-1].until(self._now)
            if truth[1] - truth[0] < SHORTEST_S:
                continue
            found = memory.intervals(one)
            overlaps.append(iou(found[-1].until(self._now) if found else None, truth))
        count = max(1, len(overlaps))
        return Remembered(len(overlaps), sum(o >= ENOUGH for o in overlaps), sum(overlaps) / count)
