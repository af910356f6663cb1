"""A person as the source of targets: the newest action of a teleoperator, and whether it can be trusted.

Who drives, the policy or the person, is decided here too. A teleoperator that gives nothing new, or whose
process is gone, is a hold with a name (`Cause.NO_DRIVER`), and so is one whose pose is too far from the
arm's to begin with: both pass by themselves.
"""

from __future__ import annotations

import time

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.shared_state import SharedState, text_of
from ideomotor.control.runtime.watchdog import Peers
from ideomotor.control.teleop.approach import Approach
from ideomotor.control.teleop.teleoperator import DriverName
from ideomotor.control.teleop.tracker import Tracker

ROLE = "teleoperator"


class Person:
    """The person of one robot.

    Attributes:
        driver: who drives, the person or the policy.
        age_s: how old the newest action is [s]; NaN while there has not been one.
    """

    def __init__(self, shared: SharedState, embodiment: Embodiment, config: ControlConfig) -> None:
        self.driver = DriverName(config.driver)
        self.age_s = np.nan
        self._drivers, self._limit_s = config.drivers, config.staleness.action_s
        self._mailbox, self._record, self._number = shared.teleop, shared.teleop.new(), 0
        self._peers = Peers(shared, (ROLE,) if ROLE in config.peers else (), config.staleness)
        self._approach, self._tracker = Approach(embodiment, config.approach), Tracker()
        self._goes_on = False  # the arm followed the person, or stood still for them, at the last tick
        self._newest_time = 0.0  # [s], of the newest action
        self._unsent_time = np.nan  # [s], of an action that no command was made from yet

    @property
    def drives(self) -> bool:
        return self.driver is DriverName.PERSON

    def change(self, take_over: bool, hand_back: bool) -> bool:
        """Carries out a request for another driver; whether it is another one now. The person goes first."""
        before = self.driver
        if hand_back and DriverName.POLICY in self._drivers:
            self.driver = DriverName.POLICY
        if take_over and DriverName.PERSON in self._drivers:
            self.driver = DriverName.PERSON
        return self.driver is not before

    def take(self, now: float, now_ns: int, commands: np.ndarray) -> str:
        """Takes the newest action; returns why the person, who drives, cannot be followed at present.

        Args:
            now, now_ns: [s], [ns] of the monotonic clock.
            commands: (3, A) sent last, oldest first.
        """
        if self._mailbox.newest() != self._number:
            number = self._mailbox.read(self._record)
            if number > self._number:  # else: not whole at the moment; the next tick looks again
                self._number = number
                if self._record["time"] != self._newest_time:
                    self._unsent_time = self._newest_time = float(self._record["time"])
                    self._tracker.see(self._newest_time, self._record["position"])
        self.age_s = now - float(self._record["time"]) if self._number else np.nan
        if not self.drives:
            return ""
        if not self._goes_on:
            self._approach.begin(commands)
        if gone := self._peers.check(now_ns):
            return gone[1]
        if not self._number:
            return f"{ROLE}: no pose yet"
        if self.age_s > self._limit_s:
            fault = text_of(self._record["fault"])
            return f"{ROLE}: {fault}" if fault else f"{ROLE}: no new pose for {self.age_s:.2f} s"
        if not np.isfinite(self._record["position"]).all():
            return f"{ROLE}: not every joint is measured"
        far = self._approach.too_far(self._record["position"]) if self._record["engaged"] else ""
        return f"{ROLE}: {far}" if far else ""

    def target(self, now: float, commands: np.ndarray) -> np.ndarray:
        """Returns where the arm is to go at this tick, (A,); `take` has said that it may.

        Args:
            now: [s] of the monotonic clock.
            commands: (3, A) sent last, oldest first.
        """
        self._goes_on = True
        action = self._tracker.at(now) if self._record["engaged"] else None
        return self._approach.target(action, commands)

    def stop(self) -> None:
        """The arm does something else at this tick: it has to be approached anew."""
        self._goes_on = False

    def sent(self) -> float:
        """The command of this tick is on its way; from the measuring of its action to now [s], else NaN.

        NaN where no new action went into it.
        """
        delay_s = time.monotonic() - self._unsent_time if self._goes_on else np.nan
        self._unsent_time = np.nan
        return delay_s

    def close(self) -> None:
        """Lets go of the shared state."""
        self._peers.close()
