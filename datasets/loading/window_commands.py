"""The commands of training windows: those recorded at the control rate, or a curve through targets.

Where an expert said at every row what it would do from there (data aggregation), that is what follows a row,
and only the past commands are those of whoever drove.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.datasets.lerobot import layout
from ideomotor.datasets.loading.cache import Cache
from ideomotor.datasets.loading.resample import Resampler, resampled, resampler


class WindowCommands:
    """One dataset's commands at the embodiment's rate."""

    def __init__(self, cache: Cache, embodiment: Embodiment, horizon: int, past_ticks: int):
        self.cache, self.horizon, self.rate = cache, horizon, cache.meta.rate  # rows a second
        self._targets = embodiment.targets
        self._past_ticks, joints = past_ticks, len(embodiment.joints)
        self._ticks = int(embodiment.control_hz / self.rate)  # a frame, where it is a whole number
        self._how: Resampler | None = None
        if layout.HIGH_RATE in cache.columns:
            self._commands = cache.columns[layout.HIGH_RATE].reshape(-1, joints)
        else:
            self._commands = cache.columns[layout.ACTION]
            self._how = resampler(self.rate, embodiment.control_hz, -past_ticks, past_ticks + horizon)
        self._expert: np.ndarray | None = None  # (rows, L, A)
        if layout.EXPERT in cache.columns:
            labels = cache.columns[layout.EXPERT]
            self._expert = labels.reshape(len(labels), -1, joints)

    def commands(
        self, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns past_commands, actions and action_mask of windows, see `WindowBatch`.

        Args:
            rows, starts, ends: (B,), frames of the windows, first rows of their episodes and of those after.
        """
        past = self._past_ticks
        if self._how is None:
            ticks = rows[:, None] * self._ticks + np.arange(self.horizon)  # (B, H)
            before = rows[:, None] * self._ticks - np.arange(past, 0, -1)  # (B, P)
            first, last = starts[:, None] * self._ticks, ends[:, None] * self._ticks - 1
            actions, mask = self._commands[np.minimum(ticks, last)], ticks <= last
            past_commands, early = self._commands[np.maximum(before, first)], before < first
        else:
            times = rows[:, None] + self._how.times  # (B, P + H) [frames]
            values = resampled(self._how, self._commands, rows, starts, ends)
            past_commands, actions = values[:, :past], values[:, past:]
            mask = times[:, past:] < ends[:, None] - 1 + 1e-6
            early = times[:, :past] < starts[:, None] - 1e-6
        if self._targets:
            state = self.cache.columns[layout.STATE][starts][:, None]
            past_commands[early] = np.broadcast_to(state, past_commands.shape)[early]
        else:
            past_commands[early] = 0.0
        if self._expert is not None:
            ahead = np.minimum(np.arange(self.horizon), self._expert.shape[1] - 1)
            actions, mask = self._expert[rows][:, ahead], np.ones(mask.shape, bool)
        return past_commands, actions, mask
