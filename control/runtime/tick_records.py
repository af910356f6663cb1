"""What the newest ticks commanded and by which chunk, for the report: into arrays made before the loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
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

    def __init__(self, embodiment: Embodiment) -> None:
        joints = [(joint.unit == "rad", joint.name in embodiment.grippers) for joint in embodiment.joints]
        self._tracked = np.array([is_angle and not grips for is_angle, grips in joints])
        self.commands = touched((RECORDED_TICKS, len(joints)))
        self.new_chunk = touched(RECORDED_TICKS, bool)
        self.ran = touched(RECORDED_TICKS, bool)
        self.no_fresh_command = 0
        self._ages_s = np.full((RECORDED_TICKS, 2), np.nan)  # of chunk and plan
        self._person = np.full((RECORDED_TICKS, 2), np.nan)  # delay of an action [s], tracking error [rad]

    def begin(self, tick: int, runs: bool) -> None:
        """A tick whose command is not known yet."""
        slot = tick % RECORDED_TICKS
        self._ages_s[slot] = self._person[slot] = np.nan
        self.new_chunk[slot] = False
        self.ran[slot] = runs

    def chunk(self, tick: int, ages: Ages, is_new: bool) -> None:
        """The tick executes a chunk."""
        slot = tick % RECORDED_TICKS
        self.new_chunk[slot] = is_new
        self._ages_s[slot] = ages.chunk_s, ages.plan_s

    def tracking(self, tick: int, errors: np.ndarray) -> None:
        """How far each joint is from what it was commanded last, (A,)."""
        if self._tracked.any():
            self._person[tick % RECORDED_TICKS, 1] = np.abs(errors[self._tracked]).max()

    def sent(self, tick: int, delay_s: float) -> None:
        """The tick's command is on its way, so long after a person's action was measured; NaN: no new one."""
        self._person[tick % RECORDED_TICKS, 0] = delay_s

    def command(self, tick: int, position: np.ndarray) -> None:
        """What was sent at the tick, (A,)."""
        self.commands[tick % RECORDED_TICKS] = position

    def report(self, ticks: int) -> dict[str, Any]:
        """The fields of `ControlReport` that are known here, after so many ticks."""
        n = min(ticks, RECORDED_TICKS)
        order = np.arange(ticks - n, ticks) % RECORDED_TICKS  # oldest first
        ages = self._ages_s[:n][~np.isnan(self._ages_s[:n, 0])]
        delays, errors = self._person[:n].T
        return {
            "no_fresh_command": self.no_fresh_command,
            "chunk_age_s": ages[:, 0],
            "plan_age_s": ages[:, 1],
            "commands": self.commands[order],
            "boundaries": [int(row) for row in np.flatnonzero(self.new_chunk[order])],
            "ran": self.ran[order],
            "action_delay_s": delays[~np.isnan(delays)],
            "tracking_error_rad": errors[~np.isnan(errors)],
        }
