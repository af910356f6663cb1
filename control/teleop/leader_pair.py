"""Two leader arms as one teleoperator: a person's left hand leads the left arm, the right hand the right one.

Both lines are asked at once. One that is lost is a hold of both followers, with its name: a person who sees
one arm stand would stop the other one too late.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.pair import of_arm
from ideomotor.control.robots.pair_arm import read_together, said_of
from ideomotor.control.teleop.leader_arm import LeaderArm
from ideomotor.control.teleop.teleoperator import FollowerState, TeleopAction


class LeaderPair:
    """A `Teleoperator` of a robot of two arms."""

    def __init__(self, follower: Embodiment, leaders: Mapping[str, LeaderArm]) -> None:
        """Args:
        follower: of two arms.
        leaders: {arm: what leads it}, in the follower's order.
        """
        self._follower, self._leaders = follower, leaders

    def connect(self) -> None:
        """Opens both ports and checks every servo; nothing is written.

        Raises:
            UserError: as `LeaderArm.connect`, with the side; neither port stays open then.
        """
        try:
            for name, leader in self._leaders.items():
                said_of(name, leader.connect)
        except BaseException:
            self.disconnect()
            raise

    def read(self, state: FollowerState) -> TeleopAction:
        """Where the hands have both leaders, as the follower's joints.

        Raises:
            OSError: one of them gives nothing new; it says which.
        """
        found = read_together({name: leader.arm for name, leader in self._leaders.items()})
        actions, lost = [], []
        for name, leader in self._leaders.items():
            try:
                actions.append(leader.action(found[name], self._part(state, name)))
            except OSError as error:
                lost.append(f"{name} {error}")
        if lost:
            raise OSError("; ".join(lost))
        return TeleopAction(
            time=min(action.time for action in actions),
            position=np.concatenate([action.position for action in actions]),
            engaged=any(action.engaged for action in actions),
        )

    def disconnect(self) -> None:
        """Closes both ports."""
        for leader in self._leaders.values():
            leader.disconnect()

    def _part(self, state: FollowerState, name: str) -> FollowerState:
        parts = {
            field: of_arm(self._follower, getattr(state, field), name)
            for field in ("position", "velocity", "effort", "command")
        }
        return dataclasses.replace(state, **parts)
