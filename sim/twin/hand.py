"""A person who moves the twin's arm by hand, as calibration asks: to the middle, then to every stop.

Without it, nobody could rehearse a calibration that has no arm to touch.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name

MOVES = ("middle", "lazy", "other", "sweep", "half", "closed", "still", "wave")
REACH_S = 1.0  # [s] to the middle
TURN_S = 8.0  # [s] for one sweep from the middle to both ends and back
OVERREACH = (
    1.3  # how far a hand goes, as a share of half the range in the robot's file: to where stops can be
)


WAVE_S = 5.0  # [s] for the first joint to wave to both sides and back
WAVE_RAD, WAVE_SHARE = 0.12, 0.4  # by how much: joints, and grippers as a share of half their range


class Hand:
    """One movement of all joints, from where the arm was when it was taken."""

    def __init__(
        self, what: str, embodiment: Embodiment, start: np.ndarray, now: float, pace: float = 1.0
    ) -> None:
        """Args:
            what: "middle" of all ranges; "lazy", a pose far from it; "other", one on its
                other side; "sweep" to all stops, again and again;
                "half", a careless sweep that does not reach them; "closed", joints whose zero is counted from
                one stop at that one; "still", held where it is until the motors hold it, as one does before a
                launch; "wave", a little to both sides of where it is, again and again, each joint in its own
                time, as somebody does who tries out a leader.
            embodiment: the arm's.
            start: (A,) [rad or m], where it is.
            now: [s].
            pace: how many times as fast as a person does it.

        Raises:
            UserError: there is no such movement.
        """
        if what not in MOVES:
            raise unknown_name("hand", what, (*MOVES, "off"))
        if not 0 < pace <= 10:
            raise UserError(f"hand: pace: got {pace:g}, expected a number in (0, 10]")
        self._pace = pace
        self._what, self._start, self._began = what, start.copy(), now
        self.lets_go = what == "still"  # as soon as all motors are on
        self._middle = (embodiment.lower + embodiment.upper) / 2
        self._half = (embodiment.upper - embodiment.lower) / 2
        grips = np.array([name in embodiment.grippers for name in embodiment.joint_names])
        self._wave = np.where(grips, WAVE_SHARE * self._half, np.minimum(WAVE_RAD, WAVE_SHARE * self._half))
        self._wave_s = WAVE_S * (1 + 0.13 * np.arange(len(grips)))
        sides = {"lower": -1.0, "middle": np.nan, "upper": 1.0}
        stops = [sides[servo.zero_stop] for servo in embodiment.bus.servos] if embodiment.bus else [np.nan]
        self._closed = np.where(np.isnan(stops), start, self._middle + OVERREACH * self._half * stops)

    def position(self, now: float) -> np.ndarray:
        """Where the hand has the arm, (A,); it may push against stops."""
        if self._what == "still":
            return self._start
        elapsed = self._pace * (now - self._began)
        if self._what == "wave":
            return self._start + self._wave * np.sin(2 * np.pi * elapsed / self._wave_s)
        if self._what in ("middle", "lazy", "other", "closed"):
            aim = self._middle + {"lazy": 0.7, "other": -0.5}.get(self._what, 0.0) * self._half
            aim = self._closed if self._what == "closed" else aim
            return self._start + (aim - self._start) * min(1.0, elapsed / REACH_S)
        reach = OVERREACH if self._what == "sweep" else 0.5
        return self._middle + reach * self._half * np.sin(2 * np.pi * elapsed / TURN_S)
