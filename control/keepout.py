"""Keeps a robot out of the table, itself and the space outside its workspace, whatever it is asked for.

*Invariant*: after every command there is a known way to stop on which every posture is clear. A command is
passed if its own stop (`braking.stopping_positions`) is clear; else the arm goes on along the stop found
before, which is clear as well. An arm that is asked for something forbidden therefore decelerates in time
and stands before it, and a command that leads away passes again. While one is not passed as it is, a share
of the way from the stop to the command is tried: halved when that is not clear, growing again when it is.
Joints that would lead nearer to what is close then stand, so that the others can lead away or slide along.

Of a stop every second tick is looked at. In between a distance can fall by at most (2 dt)² / 8 times its
second derivative, which for arms of a desk's size is below 30 m/s² (25 rad/s² at 0.4 m on a few joints, and
3 rad/s squared at that radius): 1 mm, which is added to the margins (`SLACK`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ideomotor.control.braking import stopping_positions
from ideomotor.control.clearance import REASONS, Clearance
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.geometry import Geometry

SLACK = 1e-3  # [m]
TOLERANCE = 1e-9  # [m], for an arm that starts closer than the margins and may only move away
LEAST_SHARE = 1 / 64
GROWTH = 1.2
CLOSE = 0.01  # [m], beyond the margins
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
        self._lower, self._upper = embodiment.lower, embodiment.upper
        self._max_a, self._max_j = max_acceleration, embodiment.max_jerk
        self._dt = 1.0 / embodiment.control_hz

    def reset(self, p: np.ndarray, v: np.ndarray, a: np.ndarray) -> None:
        """Starts from the motion (A,) of the last command; its stop is taken to be clear.

        Where the arm is closer than allowed already it may only move away.
        """
        self._least = np.minimum(self._clearance(p[None])[0], SLACK)  # (M,) [m]
        self._stop = self._stopping(p, v, a)
        self._share = 1.0
        self._stands = np.zeros(len(p), dtype=bool)
        self._why: tuple[str, ...] = ()

    def limit(
        self,
        p: np.ndarray,
        v: np.ndarray,
        a: np.ndarray,
        wanted: np.ndarray,
        within_limits: Callable[[np.ndarray], np.ndarray],
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the command (A,) for this tick, and why it is not `wanted`, of REASONS.

        Args:
            p, v, a: (A,) motion of the last command, as finite differences.
            wanted: (A,) command within the joints' limits.
            within_limits: the command nearest to another one that keeps the joints' limits.
        """
        command, stopping = wanted, None
        if self._share < 1.0:
            stopping = within_limits(self._stop[0])
            command = stopping + self._share * np.where(self._stands, 0.0, wanted - stopping)
        stop, broken = self._try(command, p, v, wanted - p if self._share < 1.0 else None)
        if stop is not None:
            self._stop = stop
            why = self._why if self._share < 1.0 else ()
            self._share = min(GROWTH * self._share, 1.0)
            return command, why
        if self._share == 1.0:
            self._stands[:] = False
        self._share = max(0.5 * self._share, LEAST_SHARE)
        self._why = broken
        if stopping is None:
            stopping = within_limits(self._stop[0])
        if (stopping == self._stop[0]).all():
            self._stop = self._stop[1:] if len(self._stop) > 1 else self._stop
        else:  # a joint's own limit was nearer
            velocity = (stopping - p) / self._dt
            self._stop = self._stopping(stopping, velocity, (velocity - v) / self._dt)
        return stopping, broken

    def _try(
        self, command: np.ndarray, p: np.ndarray, v: np.ndarray, way: np.ndarray | None
    ) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Returns the stop (T, A) after `command` if it is clear; else None and what is in its way.

        With the `way` (A,) that is wanted it also finds out which joints shall stand at the next tick.
        """
        velocity = (command - p) / self._dt
        stop = self._stopping(command, velocity, (velocity - v) / self._dt)
        postures = [command[None], stop[1::2], stop[-1:]]
        if way is not None:
            postures.append(command + PROBE * np.diag(np.sign(way)))
        clearance = self._clearance(np.concatenate(postures))
        if way is not None:
            clearance, probes = clearance[: -len(way)], clearance[-len(way) :]
            close = clearance[0] < CLOSE
            self._stands = (probes[:, close] < clearance[0, close] - TOLERANCE).any(1)
        broken = (clearance < self._least - TOLERANCE).any(0)
        if broken.any():
            kinds = set(self._clearance.reasons[broken].tolist())
            return None, tuple(reason for kind, reason in enumerate(REASONS) if kind in kinds)
        self._least = np.maximum(self._least, np.minimum(clearance[0], SLACK))
        return stop, ()

    def _stopping(self, p: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """The stop (T, A) after a command, as far as the joints' ranges go."""
        stop = stopping_positions(p, v, a, self._max_a, self._max_j, self._dt)
        return np.minimum(np.maximum(stop, np.minimum(self._lower, p)), np.maximum(self._upper, p))
