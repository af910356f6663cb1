"""Where a person's hand is at the moment of a command, from poses measured some milliseconds before it.

A leader's encoders have steps of 1.5 mrad, and its readings come at their own times: sent as they are they
make the safety filter smooth nearly every command, a tick late. A g-h filter (alpha-beta filter) over the
readings' own times knows the hand's velocity as well, and says where it will be when the command is sent:

    residual = measured - (x + v dt),    x += v dt + g residual,    v += h residual / d
    g = 1 - exp(-d / TIME_S),    h = 3 g² / (2 - g)

with dt since the reading before and d the usual time between two: gains that change with each reading's own
dt make noise of whatever the filter is behind.

Measured with the experts' motions of three tasks, sampled by such encoders (docs/lab_notes.md).
"""

from __future__ import annotations

import numpy as np

TIME_S = 0.037  # time constant: g = 0.2 at 120 Hz
SLOWLY = 0.02  # share of each interval between readings that their usual one takes on
LONGEST_S = 2 / 120  # that is looked ahead
GAP_S = 0.1  # without a reading, after which it begins anew


class Tracker:
    """Of the joints of one arm. Call `see` with each new reading, then `at`."""

    def __init__(self, time_s: float = TIME_S) -> None:
        self._time_s = time_s
        self._interval = 0.0  # between readings, as a rule [s]; 0: not known yet
        self._time: float | None = None  # [s], of the newest reading
        self._position = self._velocity = np.empty(0)

    def reset(self) -> None:
        """What was seen before does not count."""
        self._time = None

    def see(self, time: float, position: np.ndarray) -> None:
        """Takes in a reading (A,) [rad or m] of a moment [s]; one that is not newer changes nothing."""
        if self._time is None or time - self._time > GAP_S:
            self._position, self._velocity = position.copy(), np.zeros_like(position)
            self._time = time
            return
        seconds = time - self._time
        if seconds <= 0:
            return
        self._interval += SLOWLY * (seconds - self._interval) if self._interval else seconds
        g = 1 - np.exp(-self._interval / self._time_s)
        predicted = self._position + seconds * self._velocity
        residual = position - predicted
        self._position = predicted + g * residual
        self._velocity = self._velocity + 3 * g * g / (2 - g) * residual / self._interval
        self._time = time

    def at(self, now: float) -> np.ndarray:
        """Where the hand is at time `now` [s], (A,); there must have been a reading."""
        assert self._time is not None
        ahead = min(max(now - self._time, 0.0), LONGEST_S)
        return self._position + ahead * self._velocity
