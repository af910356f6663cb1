"""How every joint comes to rest as soon as its limits allow: the whole way, not only the next tick.

The continuous time-optimal stop has at most three phases: jerk towards the braking acceleration, that
acceleration held where it reaches its limit, jerk back to none. Its velocity, sampled at the ticks, gives
commands whose finite differences keep the limits, since they are averages of the continuous rates.
"""

from __future__ import annotations

import math

import numpy as np


def stopping_positions(
    position: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    max_acceleration: np.ndarray,
    max_jerk: np.ndarray,
    dt: float,
) -> np.ndarray:
    """Returns the commands (T, A) of the coming ticks, the last of them at rest.

    Args:
        position, velocity, acceleration: (A,) of the last command, as finite differences.
        max_acceleration, max_jerk: (A,), above 0.
        dt: one tick [s].
    """
    v, a, j = velocity, acceleration, max_jerk
    left = v + a * np.abs(a) / (2 * j)  # the velocity if jerk led straight to no acceleration
    side = np.copysign(1.0, -left)  # of the braking acceleration; seen from there v is to be raised to 0
    v_side, a_square = side * v, 0.5 * a * a
    peak = np.minimum(np.sqrt(np.maximum(a_square - j * v_side, 0.0)), max_acceleration)
    ends = np.zeros((4, 1, len(v)))  # of the phases, the first of which begins at 0
    rising, second, end = ends[1:, 0]
    np.maximum((peak - side * a) / j, 0.0, out=rising)
    held = np.maximum((a_square - peak * peak) / j - v_side, 0.0) / max_acceleration
    np.add(rising, held, out=second)
    np.add(second, peak / j, out=end)
    ticks = max(math.ceil(float(end.max()) / dt - 1e-6), 1)
    t = dt * np.arange(1.0, ticks + 1.0)[:, None]  # (T, 1)
    since = np.maximum(t - ends, 0.0)  # (4, T, A)
    since *= since
    velocities = v + a * t + (0.5 * side * j) * (since[0] - since[1] - since[2] + since[3])
    velocities[-1] = 0.0
    return position + dt * np.add.accumulate(velocities)
