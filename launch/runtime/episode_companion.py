"""A recording as a running session's companion: its flow, what is shown of it, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.launch.runtime.episode_flow import EpisodeFlow, EpisodePlan
from ideomotor.launch.runtime.episode_log import EpisodeLog

KEYS = "→: begin, done · ←: again (drops it) · space: stop, go on · g/b: good, bad · Esc: end · Ctrl-C: leave"


class EpisodeCompanion:
    """A `Companion`."""

    def __init__(
        self, shared: SharedState, embodiment: Embodiment, log: EpisodeLog, plan: EpisodePlan
    ) -> None:
        self._log = log
        self._flow = EpisodeFlow(shared, embodiment, log, plan)

    def begin(self, say: Callable[[str], None]) -> None:
        self._flow.say = say

    def poll(self, now: float) -> None:
        self._flow.poll(now)

    def key(self, name: str, now: float) -> bool:
        return self._flow.key(name, now)

    def rows(self) -> Mapping[str, str]:
        dropped = sum(self._log.dropped.values())
        missing = f"; {dropped} pictures did not come in those before" if dropped else ""
        return {"episode": f"{self._flow.text()}{missing}", "keys": KEYS}

    def as_json(self) -> dict[str, Any]:
        """What a recording's JSON says besides a session's and the log's."""
        return {"dropped_episodes": self._flow.dropped, "not_solved": self._flow.not_solved}
