"""A person who drives by a leader arm's twin: looks at the follower's table and solves its task.

What such a person sees is the world of the follower's twin, which is another process: this one has a copy of
it and puts everything to where it is there (`sim_state_channel.py`), a tick at a time. Where the hand goes is
what the task's expert wants of the follower, as the leader's joints: a function of the scene's seed and of
what happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import unknown_name
from ideomotor.control.teleop.mirror import mirror
from ideomotor.sim.sim_state_channel import SceneSpec, scene_file

MOVES = ("solve", "home", "push", "rest")
HOME_SPEED = 0.8  # [rad/s], of the fastest joint on the way home
LEAST_S = 0.3
AT_FOLLOWER_RAD = 0.1  # that the hand may be away from the follower's pose when it begins
PUSH_RAD = 0.3  # that a push moves the first joint by, for somebody who takes over
MOST_TICKS = 12  # that are caught up with after a stall


class GuidingHand:
    """Moves a leader arm.

    Attributes:
        lets_go: a hand of `hand.py` may let go when motors come on; this one never does.
    """

    lets_go = False

    def __init__(self, leader: Embodiment, scene: SceneSpec, file: Path, now: float) -> None:
        """Args:
            leader: the arm that it moves.
            scene: the follower's world.
            file: in which the follower's twin shows where everything is there.
            now: [s], the twin's clock.

        Raises:
            UserError: no such scene, or the leader cannot lead the scene's robot.
        """
        self._world = scene.world()
        self._follower = self._world.embodiment
        self._mirror = mirror(leader, self._follower)
        self._mailbox = scene_file(file)
        self._seen = self._mailbox.new()
        self._hz = float(self._follower.control_hz)
        self._look()
        joints = len(self._follower.joints)
        self._after = self._world.data.qpos[:joints].copy()  # targets of the follower, at the tick to come
        self._before = self._after
        self._began, self._tick = now, 0
        self._targets: Iterator[np.ndarray] | None = None  # None: at rest, with nothing to look at

    def move(self, what: str) -> None:
        """From now on it does one of `MOVES`.

        "solve" the task, from the follower's pose on; go "home" and stay; "push" it a little to one side,
        as somebody does who takes over; "rest" where it is.

        Raises:
            UserError: there is no such move.
        """
        self._look()
        if what == "solve":
            self._targets = self._solution()
        elif what == "home":
            self._targets = self._way(self._follower.home_position)
        elif what == "push":
            aside = self._after.copy()
            aside[0] -= np.copysign(PUSH_RAD, aside[0])
            self._targets = self._way(aside)
        elif what == "rest":
            self._targets = None
        else:
            raise unknown_name("guide", what, MOVES)

    def position(self, now: float) -> np.ndarray:
        """Where the hand has the leader at a time, (L,)."""
        elapsed = (now - self._began) * self._hz
        if elapsed - self._tick > MOST_TICKS:
            self._began = now - self._tick / self._hz
            elapsed = float(self._tick)
        while self._tick < int(elapsed):
            self._tick += 1
            self._before = self._after
            if self._targets is not None:
                self._look()
                self._after = next(self._targets, self._after)
        share = min(max(elapsed - self._tick, 0.0), 1.0)
        return self._mirror.leader(self._before + share * (self._after - self._before))

    def _look(self) -> None:
        """Takes over where everything is on the follower's table."""
        if self._mailbox.read(self._seen):
            self._world.show(self._seen["positions"][: int(self._seen["n"])])

    def _solution(self) -> Iterator[np.ndarray]:
        """To the follower's pose, wherever it stands by then, and then what the task's expert wants."""
        joints = len(self._after)
        while np.abs(self._world.data.qpos[:joints] - self._after).max() > AT_FOLLOWER_RAD:
            yield from self._way(self._world.data.qpos[:joints].copy())
        self._world.data.ctrl[:joints] = self._after
        yield from self._world.expert()

    def _way(self, end: np.ndarray) -> Iterator[np.ndarray]:
        start = self._after.copy()
        seconds = max(1.875 * float(np.abs(end - start).max()) / HOME_SPEED, LEAST_S)
        ticks = round(seconds * self._hz)
        for tick in range(1, ticks + 1):
            x = tick / ticks
            yield start + x**3 * (10 - 15 * x + 6 * x**2) * (end - start)
