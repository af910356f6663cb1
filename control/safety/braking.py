"""How every joint comes to rest as soon as its limits allow: the whole way, not only the next tick.

The continuous time-optimal stop has at most three phases: jerk towards the braking acceleration, that
acceleration held where it reaches its limit, jerk back to none. Its velocity, sampled at the ticks, gives
commands whose finite differences keep the limits, since they are averages of the continuous rates.

The acceleration of the last command, a finite difference, is the average of the tick before, so the jerk has
half a tick's change to give before the next one: with it the first tick brakes as hard as the limits allow.

A stop that ends at rest with no acceleration left takes more way than braking until the motion turns round,
which is all that the joint's range is kept by (control/safety/filter.py). Where it would leave the range the
joint brakes like that first and comes to rest from there.
"""

from __future__ import annotations

import math

import numpy as np


def stop_in_range(
    position: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    max_acceleration: np.ndarray,
    max_jerk: np.ndarray,
    bounds: np.ndarray,
    dt: float,
) -> np.ndarray:
    """Returns the commands (T, A) of the coming ticks, the last of them at rest, all within the bounds.

    Args:
        position, velocity, acceleration: (A,) of the last command, as finite differences; braking as hard as
            the limits allow must keep the bounds.
        max_acceleration, max_jerk: (A,), above 0.
        bounds: (2, A), the highest position and minus the lowest.
        dt: one tick [s].
    """
    stop = stopping_positions(position, velocity, acceleration, max_acceleration, max_jerk, dt)
    above = stop.max(0) > bounds[0]
    beyond = above | (stop.min(0) < -bounds[1])
    if not beyond.any():
        return stop
    for joint in np.flatnonzero(beyond):
        one = slice(joint, joint + 1)
        p, v, a = position[one], velocity[one], acceleration[one]
        side = 1.0 if above[joint] else -1.0
        way = _turn_and_stop(side, p, v, a, max_acceleration[one], max_jerk[one], dt)
        longer = len(way) - len(stop)
        if longer > 0:
            stop = np.concatenate([stop, np.repeat(stop[-1:], longer, axis=0)])
        stop[: len(way), joint] = way
        stop[len(way) :, joint] = way[-1]
    return stop


def _turn_and_stop(
    side: float, p: np.ndarray, v: np.ndarray, a: np.ndarray, max_a: np.ndarray, max_j: np.ndarray, dt: float
) -> np.ndarray:
    """Returns the commands (T,) of one joint that brakes until it no longer moves to `side`, then stops.

    Args:
        side: 1 for upwards, -1 for downwards.
        p, v, a, max_a, max_j: (1,) each.
        dt: one tick [s].
    """
    position, velocity, acceleration = float(p[0]), float(v[0]), side * float(a[0])
    hardest, step = -float(max_a[0]), float(max_j[0]) * dt
    brake = []
    while not brake or side * velocity > 0:
        acceleration = max(acceleration - step, hardest)
        velocity += dt * side * acceleration
        position += dt * velocity
        brake.append(position)
    p, v, a = (np.array([value]) for value in (position, velocity, side * acceleration))
    return np.concatenate([brake, stopping_positions(p, v, a, max_a, max_j, dt)[:, 0]])


def stopping_positions(
    position: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    max_acceleration: np.ndarray,
    max_jerk: np.ndarray,
    dt: float,
) -> np.ndarray:
    """Returns the commands (T, A) of the coming ticks, the last of them at rest, wherever that is.

    Args: as for `stop_in_range`.
    """
    v, j = velocity, max_jerk
    half = 0.5 * dt * j
    ideal = -np.copysign(np.sqrt(2 * j * np.abs(v)), v)  # from here jerk leads straight to rest
    a = np.minimum(np.maximum(ideal, acceleration - half), acceleration + half)
    a = np.minimum(np.maximum(a, -max_acceleration), max_acceleration)
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
