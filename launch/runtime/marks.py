"""The attempts of a launch as the person at the table marks them, good or bad, for whoever uses the log.

An attempt goes from the first tick of running to the request to go home, or to the end. A stop between them
does not end it. What is marked is the attempt under way, or, while the arm waits at home, the one that has
ended.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

AGAIN = "home, to begin again"  # the reason in the shared state, see control/runtime/tick.py
MARKS = {"g": "good", "b": "bad"}  # {key: mark}


@dataclass
class Attempt:
    """Ticks as in launch/ticks.parquet."""

    from_tick: int
    to_tick: int | None = None  # the last of them; None: it goes on
    mark: str | None = None


class Marks:
    """Attempts, the oldest first."""

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        self._tick = 0

    def see(self, tick: int, stage: str, reason: str) -> None:
        """To be called for each tick, with the safe stop's state and the reason for it."""
        going = bool(self._attempts) and self._attempts[-1].to_tick is None
        if stage == "run" and not going:
            self._attempts.append(Attempt(tick))
        elif reason == AGAIN and going:
            self._attempts[-1].to_tick = self._tick
        self._tick = tick

    def mark(self, mark: str) -> None:
        if self._attempts:
            self._attempts[-1].mark = mark

    def as_json(self) -> list[dict[str, Any]]:
        """{from_tick, to_tick, mark: good, bad or null} of each attempt; one under way ends here."""
        if self._attempts and self._attempts[-1].to_tick is None:
            self._attempts[-1].to_tick = self._tick
        return [asdict(attempt) for attempt in self._attempts]
