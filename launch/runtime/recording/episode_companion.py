"""A recording as a running session's companion: its flow, what is shown of it, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.shared_state import SharedState
from ideomotor.launch.runtime.recording.episode_flow import EpisodeFlow, EpisodePlan, Phase
from ideomotor.launch.runtime.recording.episode_log import EpisodeLog

KEYS = "→: begin, done · ←: again (drops it) · space: stop, go on · g/b: good, bad · Esc: end · Ctrl-C: leave"


class EpisodeCompanion:
    """A `Companion`."""

    def __init__(
        self,
        shared: SharedState,
        embodiment: Embodiment,
        log: EpisodeLog,
        plan: EpisodePlan,
        sound: Callable[[str, int], None] | None = None,
    ) -> None:
        """Args:
        sound: is given what happens to an episode, and its number: see `Sound.say`.
        """
        self._log, self._sound = log, sound
        self._flow = EpisodeFlow(shared, embodiment, log, plan)
        self._first, self._sounded = log.episodes, (Phase.RESET, 0, 0)

    def begin(self, say: Callable[[str], None]) -> None:
        self._flow.say = say

    def poll(self, now: float) -> None:
        self._flow.poll(now)
        self._make_sound()

    def key(self, name: str, now: float) -> bool:
        understood = self._flow.key(name, now)
        self._make_sound()
        return understood

    def _make_sound(self) -> None:
        """Says what has become of an episode since the last time."""
        before, (phase, done, dropped) = self._sounded, self._at()
        self._sounded = phase, done, dropped
        if self._sound is None:
            return
        number = self._first + before[1]
        if done > before[1]:
            self._sound("saved", number)
        elif dropped > before[2]:
            self._sound("dropped", number)
        elif phase is Phase.RECORD and before[0] is not Phase.RECORD:
            self._sound("recording", number)
        elif phase is Phase.OVER and before[0] is not Phase.OVER:
            self._sound("over", number)

    def _at(self) -> tuple[Phase, int, int]:
        return self._flow.phase, self._flow.done, len(self._flow.dropped)

    def rows(self) -> Mapping[str, str]:
        dropped = sum(self._log.dropped.values())
        missing = f"; {dropped} pictures did not come in those before" if dropped else ""
        return {"episode": f"{self._flow.text()}{missing}", "keys": KEYS}

    def as_json(self) -> dict[str, Any]:
        """What a recording's JSON says besides a session's and the log's."""
        return {"dropped_episodes": self._flow.dropped, "not_solved": self._flow.not_solved}
