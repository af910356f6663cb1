"""How every joint comes to rest as soon as its limits allow: the whole way, not only the next tick.

The continuous time-optimal stop has at most three phases: jerk towards the braking acceleration, that
acceleration held where it reaches its limit, jerk back to none. Its velocity, sampled at the ticks, gives
commands whose finite differences keep the limits, since they are averages of the continuous rates.
"""

from __future__ import annotations

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
    a, j = acceleration, max_jerk
    left = velocity + a * np.abs(a) / (2 * j)  # the velocity if jerk led straight to no acceleration
    side = np.where(left == 0.0, np.sign(a), -np.sign(left))  # of the braking acceleration
    a_side, v_side = side * a, side * velocity  # v_side is to be raised to 0
    peak = np.minimum(np.sqrt(np.maximum(0.5 * a_side * a_side - j * v_side, 0.0)), max_acceleration)
    rising = np.maximum(peak - a_side, 0.0) / j
    falling = peak / j
    gained = 0.5 * (peak + a_side) * rising + 0.5 * peak * falling
    held = np.maximum(-v_side - gained, 0.0) / max_acceleration * (peak >= max_acceleration)
    second, end = rising + held, rising + held + falling
    ticks = int(np.ceil(end.max() / dt - 1e-6)) if end.any() else 1
    t = dt * np.arange(1.0, ticks + 1.0)[:, None]  # (T, 1)
    since = np.maximum(t - np.stack([np.zeros_like(end), rising, second, end])[:, None], 0.0)  # (4, T, A)
    since *= since
    velocities = velocity + a * t + 0.5 * side * j * (since[0] - since[1] - since[2] + since[3])
    velocities[t[:, 0] >= end.max() - 1e-9] = 0.0
    return position + dt * np.add.accumulate(velocities)
