"""Which servos of a line answer, which are left alone for a while, and what it is called if they do not.

Servos answer one after the other, so one that fails can silence those behind it. One that missed a reply is
left alone until that reply would be in (`QUARANTINE`): with nothing to number them, a late one passes for a
new one. A servo that says nothing is silent; one whose replies come, but after their time, makes the line
slow, which is said with the rate that the line could keep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from ideomotor.control.robots.faults import FaultLog
from ideomotor.control.robots.pace import kept_hz
from ideomotor.control.robots.serial_port import BUS_ERRORS
from ideomotor.control.robots.servo_line import Replies, ServoLine
from ideomotor.control.servo_bus import Servo

QUARANTINE = 0.02  # [s]
REOPEN_EVERY = 0.25  # [s], how often an unplugged adapter is looked for
SHADOW_TIMES = 5  # times `stale_after` before a shadow counts as silent: it answers in its turn only
SLOW_WITHIN = 0.05  # [s] after a reply was missed, that it still counts as slow and not as lost
SLOW_FOR = 0.5  # [s] after such a reply
FORGOTTEN = 0.5  # [s] after which a missed reply is not waited for any more
FADING = 0.98  # of what was measured of the line's speed, from tick to tick


class LineWatch:
    """For one line.

    Attributes:
        answered_at: (motors,) [s], when each answered last, or the motors were switched on.
    """

    def __init__(
        self,
        line: ServoLine,
        motors: Sequence[Servo],
        names: Sequence[str],
        log: FaultLog,
        stale_after: float,
    ) -> None:
        """Args:
        line: they are on.
        motors: of the joints, then shadows.
        names: of them, for people.
        log: what they do wrong is reported to it.
        stale_after: a servo that did not answer for so long counts as silent [s].
        """
        self._line, self._motors, self._names, self._log = line, motors, names, log
        self._reopen_at = 0.0
        self._index = {motor.id: i for i, motor in enumerate(motors)}
        self._joints = sum(motor.follows is None for motor in motors)
        count = len(motors)
        self.answered_at = np.full(count, -np.inf)
        self._silent_after = np.full(count, stale_after)  # [s]
        self._silent_after[self._joints :] *= SHADOW_TIMES
        self._misses = [0] * count
        self._owed: list[deque[float]] = [deque(maxlen=8) for _ in range(count)]  # when replies were missed
        self._slow_at = np.full(count, -np.inf)  # [s], when a reply came late
        self._not_before = [0.0] * count  # [s], end of the quarantine
        self._turn_of = 0  # whose turn it is to tell everything
        self._spent, self._answers = 0.0, 0.0  # [s] of waiting for replies, and how many came, fading

    def start(self, now: float) -> None:
        """All servos were well a moment ago."""
        self._misses = [0] * len(self._misses)
        self.answered_at[:] = now
        self._slow_at[:] = -np.inf
        self._spent = self._answers = 0.0

    def reopened(self, now: float, at_once: bool = False) -> bool:
        """Looks for a missing adapter, now and then; the servos may have gone on without it."""
        if now < self._reopen_at and not at_once:
            return False
        self._reopen_at = now + REOPEN_EVERY
        try:
            self._line.open()
        except BUS_ERRORS:
            return False
        self._log.settle("unplugged", "")
        self._not_before = [now + QUARANTINE] * len(self._not_before)  # old replies may be under way
        return True

    def asked(self, now: float) -> list[int]:
        """Returns the ids of the joints' servos that are asked for their motion."""
        return [
            self._motors[i].id
            for i in range(self._joints)
            if self._misses[i] < 2 and now >= self._not_before[i]
        ]

    def next_to_tell(self, now: float) -> int | None:
        """The servo that is asked for everything this tick; those in quarantine are passed over."""
        for _ in self._misses:
            self._turn_of = (self._turn_of + 1) % len(self._misses)
            if now >= self._not_before[self._turn_of]:
                return self._motors[self._turn_of].id
        return None

    def took(self, answers: int, seconds: float) -> None:
        """So many replies came in so long a time."""
        self._spent, self._answers = FADING * self._spent + seconds, FADING * self._answers + answers

    def note(self, replies: Replies, now: float) -> None:
        """Draws the conclusions from what went wrong with one request.

        If there were any answers, only the first missing one counts as failed, and the others are asked
        again.
        """
        if ("unplugged", None) in replies.problems:
            self._log.report("unplugged", "", now, f"no answer from the adapter at {self._line.path}")
            self._reopen_at = now + REOPEN_EVERY
            return
        missing = [servo for name, servo in replies.problems if name == "no_reply"]
        behind = missing[1:] if replies.data and missing else []
        for name, servo in replies.problems:
            i = self._index.get(servo) if servo is not None else None
            self._log.report(name, "" if i is None else self._names[i], now)
            if i is None:
                continue
            if name == "late_reply":
                self._not_before[i] = now  # it owes nothing any more
                self._came_late(i, now)
            elif name == "no_reply":
                self._owed[i].append(now)
                if servo not in behind:
                    self._misses[i] += 1
                    self._not_before[i] = now + QUARANTINE
        for servo in replies.data:
            self._misses[self._index[servo]] = 0

    def note_silence(self, now: float) -> None:
        """Names the joints of which nothing usable has come for too long, or the line that is slow."""
        silent = now - self.answered_at > self._silent_after
        slow = silent & (now - self._slow_at < SLOW_FOR)
        self._log.state("bus_slow", "", bool(slow.any()), now, self._rate() if slow.any() else "")
        self._log.state("bus_silent", "", bool(silent.all() and not slow.any()), now, "")
        for i, joint in enumerate(self._names):
            detail = f"id {self._motors[i].id}: nothing usable for {self._silent_after[i]:g} s"
            self._log.state("servo_silent", joint, bool(silent[i] and not slow[i]), now, detail)

    def _came_late(self, i: int, now: float) -> None:
        owed = self._owed[i]
        while owed and now - owed[0] > FORGOTTEN:
            owed.popleft()
        if owed and now - owed.popleft() < SLOW_WITHIN:
            self._slow_at[i] = now

    def _rate(self) -> str:
        a_reply = self._spent / max(self._answers, 1.0)
        replies = self._joints + 1  # a tick's: all joints, and one servo's health
        return (
            f"replies come, but too late: about {1000 * a_reply:.1f} ms each; the line could keep about "
            f"{kept_hz(a_reply * replies)} Hz"
        )
