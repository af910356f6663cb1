"""Keeps a robot out of the table, itself and the space outside its workspace, whatever it is asked for.

*Invariant*: after every command there is a known way to stop that keeps the joints' limits
(`braking.stop_in_range`) and every tick of which is clear. A command is passed if its own stop is clear;
else the arm goes on along the stop found before, bit for bit. So what is emitted was always looked at
before. An arm that is asked for something forbidden decelerates in time and stands before it, and a command
that leads away passes again. While one is not passed as it is, a share of the way from the stop to the
command is tried: halved when that is not clear, growing again when it is. (Both keep the joints' limits,
and so does what is between them: what a joint may do in the next tick is an interval.) Joints that would
lead nearer to what is close then stand, so that the others can lead away or slide along.

Most of an arm is far from everything most of the time. So all clearances are only computed now and then,
and a tick computes those that can have become small since then or can by the end of the stop: a clearance
falls at most by what the joints move times the reach of what they move.

Where a robot is made of several arms, what one of them is about to touch stops that one: the others go on,
unless they are what it would touch. What then follows, old stops of some arms beside new ones of others, is
looked at once more as a whole, and if that is not clear all of them stop.

Between two ticks nothing is looked at. Table and walls are planes, to which a distance can fall by at most
dt² / 8 times its second derivative, which for arms of a desk's size is below 30 m/s² (25 rad/s² at 0.4 m on
a few joints, and 3 rad/s squared at that radius): 0.3 mm, for which there is `SLACK`. Two links that pass
each other's corners can come closer than that by the corner.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.geometry import Geometry
from ideomotor.control.safety.braking import stop_in_range
from ideomotor.control.safety.clearance import REASONS, Clearance

SLACK = 1e-3  # [m], beyond the margins
TOLERANCE = 1e-9  # [m], for an arm that starts closer than the margins and may only move away
LEAST_SHARE = 1 / 64
GROWTH = 1.2
CLOSE = 0.01  # [m], beyond the margins
MORE = 6  # that many constraints more in doubt than after the last look at all of them: look again
PROBE = 1e-4  # [rad or m], to find out which way a joint leads


class KeepOut:
    """The stop that is known to be clear, and how much of what is asked for is tried.

    Args:
        embodiment: the robot.
        geometry: its body and surroundings.
        max_acceleration: (A,) of the stops.
    """

    def __init__(self, embodiment: Embodiment, geometry: Geometry, max_acceleration: np.ndarray) -> None:
        self._clearance = Clearance(embodiment, geometry)
        self._enough = self._clearance.enough(SLACK)
        self._max_a, self._max_j = max_acceleration, embodiment.max_jerk
        self._dt = 1.0 / embodiment.control_hz
        sizes = [len(arm.embodiment.joints) for arm in embodiment.arms] or [len(embodiment.joints)]
        self._arm = np.repeat(np.arange(len(sizes)), sizes)  # (A,) of each joint
        members = self._arm == np.arange(len(sizes))[:, None]  # (B, A)
        self._concerns = (self._clearance.reach > 0) @ members.T  # (M, B) bool, constraints of arms
        self.changed = np.ones(
            len(self._arm), dtype=bool
        )  # (A,) joints of arms that were held at the last tick

    def reset(self, p: np.ndarray, v: np.ndarray, a: np.ndarray, bounds: np.ndarray) -> None:
        """Starts from the motion (A,) of the last command; its stop is taken to be clear.

        Where the arm is closer than allowed already it may only move away. `bounds` as for `limit`.
        """
        self._surveyed, self._clearances = p, self._clearance(p[None])[0]  # (M,) [m]
        self._few = MORE
        self._least = np.minimum(self._clearances, SLACK)  # (M,) [m]
        self._too_close = bool((self._least < SLACK).any())
        self._stop = stop_in_range(p, v, a, self._max_a, self._max_j, bounds, self._dt)
        self._share = np.ones(self._concerns.shape[1])  # (B,) of each arm
        self._stands = np.zeros(len(p), dtype=bool)
        self._why: tuple[str, ...] = ()

    def limit(
        self, p: np.ndarray, v: np.ndarray, wanted: np.ndarray, bounds: np.ndarray
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the command (A,) for this tick, and why it is not `wanted`, of REASONS.

        Args:
            p, v: (A,) motion of the last command, as finite differences.
            wanted: (A,) command that keeps the joints' limits, and after which braking does.
            bounds: (2, A), the highest position of each joint and minus the lowest.
        """
        stopping, share = self._stop[0], self._share[self._arm]
        held = share < 1.0  # (A,)
        command, way = wanted, None
        if held.any():
            away = np.where(self._stands, 0.0, wanted - stopping)
            command = np.where(held, stopping + share * away, wanted)
            way = wanted - p
        stop = self._stop_after(command, p, v, bounds)
        broken = self._in_the_way(command, stop, way)
        self.changed = held
        if not broken.any():
            self._stop = stop
            self._share = np.minimum(GROWTH * self._share, 1.0)
            return command, self._why if held.any() else ()
        kinds = set(self._clearance.reasons[broken].tolist())
        self._why = tuple(reason for kind, reason in enumerate(REASONS) if kind in kinds)
        known = self._stop[1:] if len(self._stop) > 1 else self._stop
        stops = self._concerns[broken].any(0)  # (B,) arms that go on along their known stops
        if not stops.all():
            stands = stops[self._arm]
            command, stop = np.where(stands, stopping, command), _beside(stands, known, stop)
            if self._in_the_way(command, stop, None).any():
                stops[:] = True
        if stops.all():
            command, stop = stopping, known
        self._stands[stops[self._arm] & ~held] = False
        self.changed = held | stops[self._arm]
        self._share = np.where(stops, np.maximum(0.5 * self._share, LEAST_SHARE), self._share)
        self._share = np.where(stops, self._share, np.minimum(GROWTH * self._share, 1.0))
        self._stop = stop
        return command, self._why

    def _stop_after(
        self, command: np.ndarray, p: np.ndarray, v: np.ndarray, bounds: np.ndarray
    ) -> np.ndarray:
        """The stop (T, A) after a command (A,), from the motion p, v (A,) before it."""
        velocity = (command - p) / self._dt
        a = (velocity - v) / self._dt
        return stop_in_range(command, velocity, a, self._max_a, self._max_j, bounds, self._dt)

    def _in_the_way(self, command: np.ndarray, stop: np.ndarray, way: np.ndarray | None) -> np.ndarray:
        """Returns which constraints (M,) forbid `command` (A,), after which the arm can `stop` (T, A).

        With the `way` (A,) that is wanted it also finds out which joints shall stand at the next tick.
        """
        postures = [command[None], stop]
        if way is not None:
            postures.append(command + PROBE * np.diag(np.sign(way)))
        postures = np.concatenate(postures)
        enough = self._enough if way is None else np.maximum(self._enough, CLOSE)
        doubtful = self._can_be_less(enough, postures)
        survey = doubtful.sum() > self._few
        if survey:
            doubtful[:] = True
        if way is not None:
            self._stands[:] = False
        broken = np.zeros(len(doubtful), dtype=bool)
        columns = np.flatnonzero(doubtful)
        if len(columns):
            clearance, least = self._clearance(postures, None if survey else columns), self._least[columns]
            if survey:
                self._surveyed, self._clearances = command, clearance[0]
                self._few = self._can_be_less(enough, postures).sum() + MORE
            if way is not None:
                clearance, probes = clearance[: len(stop) + 1], clearance[len(stop) + 1 :]
                close = clearance[0] < CLOSE
                self._stands = (probes[:, close] < clearance[0, close] - TOLERANCE).any(1)
            broken[columns] = (clearance < least - TOLERANCE).any(0)
            if broken.any():
                return broken
            self._least[columns] = np.maximum(least, np.minimum(clearance[0], SLACK))
        if self._too_close:
            self._least[~doubtful] = SLACK
            self._too_close = bool((self._least < SLACK).any())
        return broken

    def _can_be_less(self, clearance: np.ndarray, postures: np.ndarray) -> np.ndarray:
        """Returns which clearances (M,) may be less than these (M,) at one of the postures (N, A)."""
        moved = np.abs(postures - self._surveyed).max(0)
        return self._clearances - self._clearance.reach @ moved < clearance


def _beside(which: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The stop (T, A) whose joints of `which` (A,) take one, the rest another, each standing at its end."""
    ticks = np.arange(max(len(one), len(other)))
    return np.where(which, one[np.minimum(ticks, len(one) - 1)], other[np.minimum(ticks, len(other) - 1)])
