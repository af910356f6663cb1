"""What a scripted expert of LIBERO can do: pick up, put, pull and push drawers, turn a knob, slide."""

from __future__ import annotations

import numpy as np

from ideomotor.sim.environments.libero.env import LiberoEnv
from ideomotor.sim.environments.libero.hand import DOWN, OPEN, Hand, Motion, Pose, facing
from ideomotor.sim.environments.libero.shapes import grips, on_the_way, others, shape_of, way_out

ABOVE = 0.10  # what the hand keeps above a thing before it goes down to it [m]
CARRY = 0.06  # between what is carried and what it is carried over [m]
FINGER_LENGTH = 0.02  # below the grip site [m]
ROOM = 0.02  # between what is carried and what it is carried above [m]
HELD = 0.004  # fingers that are closer than this hold nothing [m]
TRIES = 4
NO_WAY = np.zeros(3)


class Skills:
    """Skills of one environment's arm; each is a generator of commands."""

    def __init__(self, env: LiberoEnv):
        self.env, self.hand = env, Hand(env)

    def pick(self, name: str) -> Motion:
        """Grips a thing from above and lifts it; tries other grips where that fails."""
        for number in range(TRIES):
            options = grips(self.env, name)
            pose = options[min(number, len(options) - 1)]
            pose = self.hand.leaned(Pose(pose.position, self.hand.nearest(pose.rotation)))
            yield from self.grip(name, pose, aside=way_out(pose, others(self.env, name)))
            if self.holding(name):
                return

    def grip(self, name: str, pose: Pose, lift: float = 0.06, aside: np.ndarray = NO_WAY) -> Motion:
        """Goes above a grip, down to it, closes, and lifts, first going `aside` (3,) from what is above."""
        hand = self.hand
        hand.grip = OPEN
        before = shape_of(self.env, name).position[2]
        yield from self.over(pose.raised(ABOVE))
        yield from hand.reach(pose.raised(0.03), near=0.01)
        yield from hand.reach(pose, near=0.004, steps=25)
        yield from hand.close()
        if aside.any():
            yield from hand.reach(hand.pose.moved(aside).raised(0.005), near=0.02, turned=9.0, steps=25)
        yield from hand.reach(hand.pose.raised(lift), near=0.02, turned=9.0, steps=25)
        self._lifted = shape_of(self.env, name).position[2] - before

    def holding(self, name: str) -> bool:
        """Whether a thing is between the fingers: it came up, and they are not closed."""
        return self.hand.opening > HELD and self._lifted > 0.02

    def over(self, pose: Pose, load: str = "") -> Motion:
        """To a pose, going up first, above all that is on the way, and down last.

        Args:
            load: name of the thing that is carried.
        """
        hand = self.hand
        now = hand.pose
        below = FINGER_LENGTH
        if load:
            below = max(below, now.position[2] - shape_of(self.env, load).low[2])
        way = on_the_way(others(self.env, load), now.position, pose.position)
        height = max(now.position[2], pose.position[2], way + below + ROOM)
        if height - now.position[2] > 0.03:
            up = Pose(np.array([*now.position[:2], height]), now.rotation)
            yield from hand.reach(up, near=0.03, turned=9.0, steps=50)
        across = Pose(np.array([*pose.position[:2], height]), pose.rotation)
        yield from hand.reach(across, near=0.02, turned=0.15, steps=90)
        if height - pose.position[2] > 0.02:
            yield from hand.reach(pose, near=0.015, turned=0.15, steps=60)

    def carried_to(self, name: str, place: np.ndarray, rotation: np.ndarray) -> Pose:
        """Where the hand has to be so that the body of what it holds is at `place` (3,)."""
        now = self.hand.pose
        there = now.rotation.T @ (shape_of(self.env, name).position - now.position)
        pose = self.hand.leaned(Pose(place - rotation @ there, rotation))
        return Pose(place - pose.rotation @ there, pose.rotation)

    def put(self, name: str, place: np.ndarray) -> Motion:
        """Carries what is held to where its body's origin is at `place` (3,), lets go, and leaves upward."""
        hand = self.hand
        upright = self.upright(hand.pose.rotation)
        goal = self.carried_to(name, place, upright)
        yield from self.over(goal.raised(CARRY), name)
        goal = self.carried_to(name, place, upright)  # it may have slipped
        yield from hand.reach(goal.raised(CARRY), near=0.01, turned=0.15, steps=20)
        yield from hand.reach(goal, near=0.006, turned=9.0, steps=40)
        yield from hand.open()
        yield from hand.reach(hand.pose.raised(ABOVE), near=0.02, turned=9.0, steps=30)

    def upright(self, rotation: np.ndarray) -> np.ndarray:
        """A rotation that leans, without its lean."""
        return facing(DOWN, rotation[:, 0]) if rotation[2, 2] < -0.6 else rotation
