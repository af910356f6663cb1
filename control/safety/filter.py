"""The last stage before the motors: no command leaves it that breaks a limit of the robot.

What it looks after, in this order: finite numbers; each joint's position, velocity, acceleration and jerk;
and, for a robot whose file has a `geometry`, workspace, table and self-collision (control/safety/keepout.py).

Limits are meant as finite differences of the emitted commands at `control_hz`, so with p, v, a kept
from the last commands, a new acceleration a' gives jerk (a' - a) / dt, velocity v' = v + dt a' and
position p' = p + dt v'. Each joint is handled by itself:

- *Invariant*: after every command the joint can still stop. Braking as hard as jerk and acceleration
  allow keeps position and velocity below those of any other continuation at every later tick, so the
  joint can stop below its upper limit exactly when the peak of that one roll-out is below it (and
  mirrored for the lower limit). The roll-out of a braking tick is the rest of the roll-out before it,
  so a tick of full braking always keeps the invariant. `_stoppable_acceleration` makes sure that
  braking against one limit never runs into the other.
- A target is passed bit for bit if reaching it in this tick is within all limits and keeps the
  invariant. A stream that is within limits all along therefore passes untouched, up to the very edge.
- Otherwise the joint follows the target smoothly (`_follow`), with that acceleration moved towards
  full braking as far as the invariant asks.

A time-optimal planner (ruckig, one cycle per tick) was measured in place of `_follow`: it stops at each
target of a moving stream, which costs 4 times the tracking error on a noisy one (docs/lab_notes.md).
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.rates import stoppable
from ideomotor.control.safety.keepout import KeepOut

RATE_TOLERANCE = 1e-7  # relative, for streams that ride on a limit in floating point
POSITION_TOLERANCE = 1e-9  # [rad or m]
LIMITS = ("position", "velocity", "acceleration", "jerk")
FALLBACKS = np.linspace(0.0, 1.0, 17)[:, None]  # shares of the way from what is wanted to full braking


class SafetyFilter:
    """Limits position, velocity, acceleration, jerk and reach of one robot's commands.

    `filter` gives these reasons, in this order, when what it emits is not the target: "not_finite",
    "no_command", "position" (also while a joint that started out of range is), "velocity",
    "acceleration", "jerk", "workspace", "table", "self_collision".
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._dt = 1.0 / embodiment.control_hz
        self._lower, self._upper = embodiment.lower, embodiment.upper
        self._max_v, self._max_j = embodiment.max_velocity, embodiment.max_jerk
        self._max_a = _stoppable_acceleration(embodiment)
        self._rate_limits = (1 + RATE_TOLERANCE) * np.stack([self._max_v, self._max_a, self._max_j])  # (3, A)
        self._side = np.array([[1.0], [-1.0]])  # the second row sees the joints mirrored
        self._limits = np.stack([self._upper, -self._lower])  # (2, A)
        # Full braking from the highest velocity that can be reached ends within this many ticks.
        peak_v = self._max_v + self._max_a**2 / self._max_j
        ticks = np.ceil((2 * self._max_a / self._max_j + peak_v / self._max_a) / self._dt).max() + 2
        self._ramp = np.arange(ticks)[:, None, None] * self._max_j * self._dt  # (ticks, 1, A)
        self._gain = np.minimum(self._max_j / self._max_a, 0.5 / self._dt)  # of velocity errors [1/s]
        geometry = embodiment.geometry
        self._keep_out = KeepOut(embodiment, geometry, self._max_a) if geometry else None
        self.reset(embodiment.home_position)

    def reset(self, position: np.ndarray) -> None:
        """Starts at rest at `position` (A,). A joint out of its range may move inwards only.

        Raises:
            ValueError: it is not finite or not (A,).
        """
        position = np.array(position, dtype=np.float64)
        if position.shape != self._lower.shape or not np.isfinite(position).all():
            raise ValueError(f"position: got {position}, expected {len(self._lower)} finite numbers")
        zeros = np.zeros_like(position)
        self._tick: int | None = None
        self._p, self._v, self._a = position, zeros, zeros
        self._bounds = np.maximum(self._limits, self._side * position)  # (2, A), shrinks to the limits
        self._outside = (self._bounds > self._limits).any(0)
        self._start_moving()

    def resume(self, commands: np.ndarray) -> None:
        """Goes on from the motion of another filter, whose process is gone.

        Args:
            commands: (3, A) its last three commands, oldest first.

        Raises:
            ValueError: they are not finite or not (3, A).
        """
        if commands.shape != (3, len(self._lower)) or not np.isfinite(commands).all():
            raise ValueError(f"commands: got {commands}, expected (3, {len(self._lower)}) finite numbers")
        self.reset(commands[2])
        velocities = np.diff(commands, axis=0) / self._dt  # (2, A)
        self._v, self._a = velocities[1], (velocities[1] - velocities[0]) / self._dt
        self._start_moving()

    def filter(self, tick: int, target: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the position (A,) float64 to command at `tick` and why it is not the target, if so.

        Args:
            tick: must grow from call to call; each call is one step of 1 / control_hz.
            target: (A,) [rad or m]; None if there is no fresh one: decelerates to a hold.

        Raises:
            ValueError: `tick` does not grow, or `target` is not (A,).
        """
        if self._tick is not None and tick <= self._tick:
            raise ValueError(f"tick: got {tick}, expected more than {self._tick}")
        self._tick = tick
        if target is not None and target.shape != self._p.shape:
            raise ValueError(f"target: got shape {target.shape}, expected {self._p.shape}")
        if target is None or not np.isfinite(target).all():
            stopping, *_ = self._allowed(-self._gain * self._v)
            position, in_the_way = self._stay_clear(self._next(stopping))
            self._move(position)
            self._see_own_motion()
            return self._p.copy(), ("no_command" if target is None else "not_finite", *in_the_way)

        wanted = np.minimum(np.maximum(target, self._lower), self._upper)
        v = (wanted - self._p) / self._dt
        a = (v - self._v) / self._dt
        j = (a - self._a) / self._dt
        rates = np.abs((v, a, j)) > self._rate_limits  # (3, A), what reaching it now would break
        position = (wanted != target) | self._outside
        if self._limited.any() or rates.any():
            self._see(wanted)
            rates[2] |= self._limited & self._would_miss_next(v, a)
            a = np.where(rates.any(0), self._follow(wanted), a)
        a, breaks_p, breaks_v = self._allowed(a)
        self._limited = rates.any(0) | breaks_p | breaks_v
        if self._limited.any():
            wanted = np.where(self._limited, self._next(a), wanted)
        wanted, in_the_way = self._stay_clear(wanted)
        if in_the_way and self._keep_out:
            self._limited |= self._keep_out.changed
        self._move(wanted)
        if not self._limited.any():
            self._see_own_motion()
        broken = zip(LIMITS, (position | breaks_p, rates[0] | breaks_v, rates[1], rates[2]), strict=True)
        return self._p.copy(), (*(limit for limit, joints in broken if joints.any()), *in_the_way)

    def _next(self, a: np.ndarray) -> np.ndarray:
        """The command (A,) that acceleration `a` (A,) leads to."""
        return self._p + self._dt * (self._v + self._dt * a)

    def _stay_clear(self, wanted: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the command (A,) instead of `wanted`, and what is in the way of that one."""
        if self._keep_out is None:
            return wanted, ()
        return self._keep_out.limit(self._p, self._v, wanted, self._bounds + POSITION_TOLERANCE)

    def _start_moving(self) -> None:
        """The motion was set from outside."""
        if self._keep_out:
            self._keep_out.reset(self._p, self._v, self._a, self._bounds + POSITION_TOLERANCE)
        self._see_own_motion()

    def _move(self, position: np.ndarray) -> None:
        """Emits `position`: the state becomes its finite differences."""
        v = (position - self._p) / self._dt
        self._a = (v - self._v) / self._dt
        self._p, self._v = position, v
        if self._outside.any():  # a joint that started out of range keeps what it regained
            peak_p, _ = self._braking_peaks(self._side, np.stack(self._braking()))
            reached = np.maximum(peak_p, self._side * position)
            self._bounds = np.minimum(self._bounds, np.maximum(self._limits, reached))
            self._outside = (self._bounds > self._limits).any(0)

    def _braking(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the lowest and the highest acceleration (A,) of the coming tick."""
        step = self._max_j * self._dt
        return np.maximum(self._a - step, -self._max_a), np.minimum(self._a + step, self._max_a)

    def _braking_peaks(self, side: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the highest position and velocity if `a` is followed by full braking.

        Args:
            side: 1 or -1, broadcasts with `a`: whether to look at the upper or the lower limit.
            a: (..., A), acceleration of the coming tick; the peaks have the shape of side * a.
        """
        accelerations = np.maximum(side * a - self._ramp, -self._max_a)
        velocities = side * self._v + self._dt * np.add.accumulate(accelerations)
        positions = side * self._p + self._dt * np.add.accumulate(velocities)
        return positions.max(0), velocities.max(0)

    def _allowed(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the acceleration nearest to `a` that keeps limits and invariant; all arrays are (A,).

        With it, whether `a` was changed because a position or a velocity limit could not be kept later.
        """
        lowest, highest = self._braking()
        a = np.minimum(np.maximum(a, lowest), highest)
        breaks_p, breaks_v = self._breaks(self._side, a, self._bounds)
        too_high, _ = breaks_p | breaks_v
        breaks_p, breaks_v = np.logical_or(*breaks_p), np.logical_or(*breaks_v)
        breaks = breaks_p | breaks_v
        if breaks.any():
            candidates = a + FALLBACKS * (np.where(too_high, lowest, highest) - a)  # (17, A)
            side, bounds = np.where(too_high, 1.0, -1.0), np.where(too_high, *self._bounds)
            unsafe = np.logical_or(*self._breaks(side, candidates, bounds))
            unsafe[-1] = False  # full braking keeps the invariant
            a = np.where(breaks, candidates[unsafe.argmin(0), np.arange(len(a))], a)
        return a, breaks_p, breaks_v

    def _breaks(self, side: np.ndarray, a: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns whether (position, velocity) would break its limit even if `a` is followed by braking."""
        peak_p, peak_v = self._braking_peaks(side, a)
        return peak_p > bounds + POSITION_TOLERANCE, peak_v > self._rate_limits[0]

    # Following a target that cannot be reached at once.

    def _see(self, target: np.ndarray) -> None:
        """Estimates the stream's own velocity and acceleration.

        They are taken as they are where the stream itself keeps the limits, so that a joint that fell
        behind catches up with it exactly; else the velocity is smoothed.
        """
        v = (target - self._seen_p) / self._dt
        a = (v - self._seen_v) / self._dt
        j = (a - self._seen_a) / self._dt
        clean = (np.abs((v, a, j)) <= self._rate_limits).all(0)
        bounded = np.minimum(np.maximum(v, -self._max_v), self._max_v)
        smoothed = self._stream_v + 0.5 * self._gain * self._dt * (bounded - self._stream_v)
        self._stream_v = np.where(clean, v, smoothed)
        self._stream_a = np.where(clean, a, 0.0)
        self._seen_p, self._seen_v, self._seen_a = target, v, a

    def _see_own_motion(self) -> None:
        """The stream is where the robot goes: it passed, or there is none and the next starts there."""
        self._seen_p, self._seen_v, self._seen_a = self._p, self._v, self._a
        self._stream_v, self._stream_a = self._v, self._a
        self._limited = np.zeros(len(self._p), dtype=bool)

    def _would_miss_next(self, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Whether a joint that is behind would shoot past the stream by meeting it now (with v, a)."""
        next_a = (self._seen_v - v) / self._dt
        next_j = (next_a - a) / self._dt
        too_hard = np.abs((next_a, next_j, next_a / self._dt)) > self._rate_limits[[1, 2, 2]]
        return np.logical_or.reduce(too_hard)

    def _follow(self, target: np.ndarray) -> np.ndarray:
        """Returns the acceleration (A,) that closes in on the stream without overshoot.

        Critically damped near the target, with the bandwidth that jerk and acceleration limits give;
        far from it the approach speed is that of braking with 0.6 of the acceleration limit.
        """
        slow, brake = self._gain / 4, 0.6 * self._max_a
        error = target - self._dt * self._stream_v - self._p  # to where the stream was when p was commanded
        distance, near = np.abs(error), brake / slow**2
        far = np.sqrt(2 * brake * np.maximum(distance - near / 2, 0.0))
        approach = np.where(distance < near, slow * error, np.copysign(far, error))
        velocity = approach + self._stream_v - self._dt * self._stream_a
        velocity = np.minimum(np.maximum(velocity, -self._max_v), self._max_v)
        return self._stream_a + self._gain * (velocity - self._v)


def _stoppable_acceleration(embodiment: Embodiment) -> np.ndarray:
    """Returns the acceleration limits (A,), lowered where full braking could run into the other limit.

    A robot's file is refused where that would be so (control/rates.py); joints held to a share of their speed
    are what is left.
    """
    a = embodiment.max_acceleration.copy()
    span = embodiment.upper - embodiment.lower
    while True:
        bad = ~stoppable(a, embodiment.max_jerk, embodiment.max_velocity, span, embodiment.control_hz)
        if not bad.any():
            return a
        a[bad] *= 0.9
