"""How long a policy that is asked over a network is waited for: by its client, and in simulation."""

from __future__ import annotations

from collections import deque

LEAST_ANSWER_S = 0.1  # for an answer while an arm is driven
LONGEST_PLAN_S = 1.0
CHUNK_SHARE = 0.6  # of what a chunk lasts, in which it has to come
MEASURED = 16  # newest answers that the time for the next one is estimated from


class AnswerTime:
    """How long to wait for an answer before asking anew about a newer moment.

    A little longer than the slowest of the newest answers took. Each miss doubles it, so that a connection
    that has become slow is not given up for ever.

    Args:
        least, most: [s].
    """

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most
        self._took: deque[float] = deque(maxlen=MEASURED)
        self._misses = 0

    def add(self, seconds: float) -> None:
        """An answer came after so long [s]."""
        self._took.append(seconds)
        self._misses = 0

    def missed(self) -> None:
        """None came."""
        self._misses = min(self._misses + 1, 10)

    def seconds(self) -> float:
        """To wait for the next [s]."""
        if not self._took:
            return self._most
        usual = max(self._least, 1.2 * max(self._took) + 0.02)
        return min(usual * 2**self._misses, self._most)


def plan_time() -> AnswerTime:
    """Of plans."""
    return AnswerTime(LEAST_ANSWER_S, LONGEST_PLAN_S)


def chunk_time(chunk_s: float) -> AnswerTime:
    """Of chunks that last so long [s]: one that comes when the last is nearly over is of no use."""
    return AnswerTime(LEAST_ANSWER_S, CHUNK_SHARE * chunk_s)
