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

    def reset(self, p: np.ndarray, v: np.ndarray, a: np.ndarray, bounds: np.ndarray) -> None:
        """Starts from the motion (A,) of the last command; its stop is taken to be clear.

        Where the arm is closer than allowed already it may only move away. `bounds` as for `limit`.
        """
        self._surveyed, self._clearances = p, self._clearance(p[None])[0]  # (M,) [m]
        self._few = MORE
        self._least = np.minimum(self._clearances, SLACK)  # (M,) [m]
        self._too_close = bool((self._least < SLACK).any())
        self._stop = stop_in_range(p, v, a, self._max_a, self._max_j, bounds, self._dt)
        self._share = 1.0
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
        held, stopping = self._share < 1.0, self._stop[0]
        command, way = wanted, None
        if held:
            command = stopping + self._share * np.where(self._stands, 0.0, wanted - stopping)
            way = wanted - p
        velocity = (command - p) / self._dt
        a = (velocity - v) / self._dt
        stop = stop_in_range(command, velocity, a, self._max_a, self._max_j, bounds, self._dt)
        broken = self._in_the_way(command, stop, way)
        if broken.any():
            kinds = set(self._clearance.reasons[broken].tolist())
            self._why = tuple(reason for kind, reason in enumerate(REASONS) if kind in kinds)
            self._share = max(0.5 * self._share, LEAST_SHARE)
            if not held:
                self._stands[:] = False
            self._stop = self._stop[1:] if len(self._stop) > 1 else self._stop
            return stopping, self._why
        self._stop = stop
        self._share = min(GROWTH * self._share, 1.0)
        return command, self._why if held else ()

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
