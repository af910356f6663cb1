"""Paths in time: jerk-limited along a line, and what becomes of a motion that was under way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ruckig import InputParameter, Ruckig, Trajectory

FADE_S = 0.3  # [s] after which nothing is left of a velocity that a straight line has no use for


def momentum(velocity: np.ndarray, acceleration: np.ndarray, hz: float) -> np.ndarray:
    """(T + 1, A) [rad] from now on: how far a motion goes on while it fades.

    The quintic that is 0 now and after `FADE_S`, with this velocity and acceleration now and none then: what
    it is added to is left for a moment and met again at rest.

    Args:
        velocity: (A,) [rad/s].
        acceleration: (A,) [rad/s^2].
        hz: ticks per second.
    """
    share = np.linspace(0.0, 1.0, round(FADE_S * hz) + 1)[:, None]
    rise = share - 6 * share**3 + 8 * share**4 - 3 * share**5
    bend = 0.5 * share**2 - 1.5 * share**3 + 1.5 * share**4 - 0.5 * share**5
    return velocity * FADE_S * rise + acceleration * FADE_S**2 * bend


def derivatives(
    past_commands: np.ndarray | None, target: np.ndarray, hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Velocity (A,) [rad/s] and acceleration (A,) [rad/s^2] of the newest command, to second order."""
    if past_commands is None:
        return np.zeros_like(target), np.zeros_like(target)
    before, last, newest = np.asarray(past_commands[-3:], dtype=np.float64)
    velocity = (1.5 * newest - 2.0 * last + 0.5 * before) * hz
    return velocity, (newest - 2.0 * last + before) * hz**2


def eased(
    distance: float, speed: float, hz: int, velocity: float = 0.0, acceleration: float = 0.0
) -> Iterator[float]:
    """Shares from 0 to 1 of a one-dimensional jerk-limited path of `distance` [m] at `speed` [m/s].

    Args:
        velocity: at the start [m/s].
        acceleration: at the start [m/s^2].
    """
    planner, problem, path = Ruckig(1), InputParameter(1), Trajectory(1)
    problem.current_position, problem.target_position = [0.0], [distance]
    problem.current_velocity, problem.current_acceleration = [velocity], [acceleration]
    problem.max_velocity, problem.max_acceleration, problem.max_jerk = [speed], [6 * speed], [60 * speed]
    planner.calculate(problem, path)
    for tick in range(1, int(np.ceil(path.duration * hz)) + 1):
        position, _, _ = path.at_time(min(tick / hz, path.duration))
        yield position[0] / distance
