"""A launch over the twin is one attempt at its task after the other, as a person at the table would have it.

When the task is solved, or its time is over, the arm goes home, the things go back to where they were, and
it begins again. Time here is the wall clock's, so what is solved depends on the machine too: rates of success
are measured in lockstep (`ideomotor eval`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ideomotor.control.runtime.safe_stop import StopState
from ideomotor.control.runtime.shared_state import SharedState, text_of


@dataclass(frozen=True)
class Helper:
    """A scripted person who can do the task themselves, with a leader arm."""

    after_s: float | None  # of an attempt, when they take over; None: never
    solve: Callable[[], None]  # begins to
    home: Callable[[], None]  # goes home with the leader


@dataclass(frozen=True)
class Table:
    """A simulated table with the things of a task on it."""

    solved: Callable[[], bool]
    tidy: Callable[[int], None]  # everything but the arm goes back, in an arrangement, see `World.put_back`
    max_seconds: float  # that an attempt may take
    judged: bool = True  # whether anybody can say that the task is solved; else time alone ends an attempt
    helper: Helper | None = None  # who drives, or helps
    rearrange: bool = False  # whether things come to other spots each time


class Attempts:
    """Ends attempts and begins them.

    Attributes:
        ended: attempts that are over.
        solved: those of them in which the task was; None where nobody judges that.
    """

    def __init__(self, shared: SharedState, table: Table, speed: float = 1.0) -> None:
        """Args:
        speed: of the policy's time: at less than 1 an attempt may take that much longer.
        """
        self.ended = 0
        self.solved: int | None = 0 if table.judged else None
        self._max_seconds = table.max_seconds / speed
        self._helped = False  # in this attempt
        self._shared, self._table = shared, table
        self._state = shared.state.new()
        self._began: float | None = None  # [s]; None: the arm is not yet ready for it
        self._epoch = -1  # when the last attempt began or ended; in a later one the arm has been home

    def poll(self, now: float) -> None:
        """To be called many times a second, at time `now` [s], while the robot is under control."""
        if not self._shared.state.read(self._state):
            return
        epoch, runs = int(self._state["epoch"]), text_of(self._state["stage"]) == StopState.RUN
        if self._began is None:
            if runs and epoch > self._epoch:
                if self.ended:
                    self._table.tidy(self.ended if self._table.rearrange else 0)
                self._began, self._epoch, self._helped = now, epoch, False
            return
        self._help(now)
        solved = self._table.solved()
        if solved or (runs and now - self._began > self._max_seconds):  # an arm going home is no attempt
            self.ended += 1
            if self.solved is not None:
                self.solved += solved
            self._began, self._epoch = None, epoch
            if self._table.helper:
                self._table.helper.home()
                self._shared.request("hand_back", "the end of an attempt")
            self._shared.request("again", "the end of an attempt")
            self._shared.request("begin", "the end of an attempt")  # nobody has to put anything back

    def _help(self, now: float) -> None:
        helper = self._table.helper
        if self._began is None or self._helped or not helper or helper.after_s is None:
            return
        if now - self._began >= helper.after_s:
            self._helped, self._began = True, now  # the person has as long as the policy had
            self._shared.request("take_over", "the hand at the table")
            helper.solve()
