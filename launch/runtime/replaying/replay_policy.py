"""A recorded episode as a policy: its plan is how far it is, its chunks are what was commanded then.

It counts in the policy's time (control/runtime/playback.py), which passes while its chunks are executed only.
Asked for the first time after `reset`, it begins with the way (control/safety/way.py) from where the arm
stands to the command at which it was stopped, or to the first one. After the last command it holds that.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.safety.way import way_to
from ideomotor.control.types import ActionChunk, LatentPlan, Observation

HORIZON = 240  # commands in a chunk [ticks]
AT_ONCE = 0.02  # [rad or m]: an arm that is this near to its next command needs no way to it


class ReplayPolicy:
    """A `control.types.Policy`.

    Attributes:
        played: recorded commands that are behind it.
        offset: what to add to a tick of the policy's time for the number of its recorded command, which is
            negative on the way to the first; NaN before the first chunk.
    """

    def __init__(self, commands: np.ndarray, embodiment: Embodiment, what: str = "replaying") -> None:
        """Args:
        commands: (N, A) [rad or m], one a tick of the embodiment's control_hz.
        what: is played, for the plan's text.
        """
        self._commands, self._embodiment, self._what = np.asarray(commands, np.float64), embodiment, what
        self._hz = float(embodiment.control_hz)
        self.played, self.offset = 0, np.nan
        self._begun = False
        self._anchor, self._path = 0, self._commands  # the tick at which the path begins; way and commands

    def reset(self, seed: int) -> None:
        """The arm was stopped, or has not begun: the next chunk leads from where it stands."""
        self._begun = False

    def plan(self, observation: Observation) -> LatentPlan:
        """How far it is. The only token is `offset`."""
        self._pass(observation.tick)
        total = len(self._commands)
        return LatentPlan(
            tokens=np.array([[self.offset]], np.float32),
            observed_at=observation.time,
            text=f"{self._what}, {self.played / self._hz:.1f} of {total / self._hz:.1f} s",
            progress=self.played / total,
        )

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        """As in `control.types.Policy`. UserError where no way leads to the next command."""
        tick, prefix = observation.tick, np.asarray(committed_prefix, np.float64)
        self._pass(tick)
        if not self._begun:
            past = observation.past_commands
            stands = observation.state if past is None else past[-1]
            self._begin(tick, np.asarray(stands, np.float64), prefix)
        rows = np.clip(np.arange(tick, tick + HORIZON) - self._anchor, 0, len(self._path) - 1)
        actions = self._path[rows].astype(np.float32)
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, self._hz, tick, observation.time, plan.observed_at)

    def _begin(self, tick: int, stands: np.ndarray, prefix: np.ndarray) -> None:
        rest = self._commands[min(self.played, len(self._commands) - 1) :]
        start = prefix[-1] if len(prefix) else stands
        near = np.abs(rest[0] - start).max() <= AT_ONCE
        way = rest[:0] if near else way_to(self._embodiment, start, rest[0])
        self._path = np.concatenate([prefix.reshape(-1, rest.shape[1]), way, rest])
        self._anchor, self._begun = tick, True
        self.offset = float(len(self._commands) - len(self._path) - tick)

    def _pass(self, tick: int) -> None:
        """Takes note that all ticks before this one were executed."""
        if np.isfinite(self.offset):
            self.played = int(np.clip(tick + self.offset, self.played, len(self._commands)))
