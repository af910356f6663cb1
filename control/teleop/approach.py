"""From where the arm stands, or moves, to where a person wants it: without a jump, and only if that is near.

The target is a blend of two motions, coast and action:

    target = coast + s(t / T) (action - coast),    s(x) = 10 x³ - 15 x⁴ + 6 x⁵

`coast` goes on with the last commands' velocity and comes to rest within tenths of a second; s has no
velocity and no acceleration at either end, so that the arm joins an action that moves with that action's own
velocity. T is long enough for the speed, acceleration and jerk that an approach may have (`ApproachLimits`).
The safety filter comes after it, as after everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment

COAST_S = 0.1  # time constant of coming to rest [s]
SHARE = 0.8  # of the joints' limits of acceleration and jerk: the coast adds to it
# Of s(x): its highest first, second and third derivatives.
PEAK_VELOCITY, PEAK_ACCELERATION, PEAK_JERK = 1.875, 5.7735, 60.0


@dataclass(frozen=True)
class ApproachLimits:
    """What an approach may be. Grippers may come from anywhere: their handles spring open."""

    distance_rad: float = 0.8  # of any joint but grippers
    distance_m: float = 0.1
    speed: float = 1.0  # [rad/s], of any joint, at least where its own limit allows
    speed_m: float = 0.1  # [m/s]


def reach(embodiment: Embodiment, limits: ApproachLimits) -> np.ndarray:
    """(A,) how far each joint may be away for an approach [rad or m]; grippers may be anywhere."""
    reach = [limits.distance_m if joint.unit == "m" else limits.distance_rad for joint in embodiment.joints]
    grips = [name in embodiment.grippers for name in embodiment.joint_names]
    return np.where(grips, np.inf, reach)


def far_apart(
    embodiment: Embodiment,
    limits: ApproachLimits,
    action: np.ndarray,
    position: np.ndarray,
    by_how_much: bool = True,
) -> str:
    """Says which joint of an action (A,) is too far from the arm's (A,) for an approach; empty if none is."""
    allowed, away = reach(embodiment, limits), np.abs(action - position)
    worst = int((away / allowed).argmax())
    if away[worst] <= allowed[worst]:
        return ""
    unit = embodiment.joints[worst].unit
    if not by_how_much:
        name = embodiment.joint_names[worst]
        return f"{name} is more than {allowed[worst]:g} {unit} away from the arm's: bring it closer"
    return (
        f"{embodiment.joint_names[worst]} is {away[worst]:.2f} {unit} away from the arm's, "
        f"expected at most {allowed[worst]:g} {unit}: bring it closer"
    )


class Approach:
    """The blend for one robot. Call `begin`, then `target` every tick."""

    def __init__(self, embodiment: Embodiment, limits: ApproachLimits) -> None:
        self._embodiment, self._limits = embodiment, limits
        in_metres = [joint.unit == "m" for joint in embodiment.joints]
        self._hz = float(embodiment.control_hz)
        self._speed = np.minimum(np.where(in_metres, limits.speed_m, limits.speed), embodiment.max_velocity)
        self._max_a, self._max_j = SHARE * embodiment.max_acceleration, SHARE * embodiment.max_jerk
        self._lower, self._upper = embodiment.lower, embodiment.upper
        self.begin(np.repeat(embodiment.home_position[None], 3, axis=0))

    def begin(self, commands: np.ndarray) -> None:
        """Starts from the last commands (3, A), oldest first, with nobody engaged yet."""
        self._from, self._velocity = commands[2].copy(), (commands[2] - commands[1]) * self._hz
        self._ticks = 0  # since the beginning
        self._engaged_at: int | None = None  # in these ticks
        self._duration = 0.0  # of the blend [ticks]

    @property
    def arrived(self) -> bool:
        """The target is the action itself."""
        return self._engaged_at is not None and self._ticks - self._engaged_at >= self._duration

    def too_far(self, action: np.ndarray) -> str:
        """Says which joint of an action (A,) is too far away to begin; empty if none is, or it has begun."""
        if self._engaged_at is not None:
            return ""
        action = self._within(action)
        return far_apart(self._embodiment, self._limits, action, self._coast(), by_how_much=False)

    def target(self, action: np.ndarray | None, commands: np.ndarray) -> np.ndarray:
        """Returns the target (A,) for the next tick.

        Args:
            action: (A,), which may be different in each tick; None while nobody is engaged.
            commands: (3, A) sent last, oldest first.
        """
        if action is None and self._engaged_at is not None:  # let go: comes to rest from here
            self.begin(commands)
        self._ticks += 1
        coast = self._coast()
        if action is None:
            return coast
        action = self._within(action)
        if self._engaged_at is None:
            self._engaged_at = self._ticks - 1
            self._duration = self._ticks_for(np.abs(action - coast))
        x = min((self._ticks - self._engaged_at) / self._duration, 1.0) if self._duration else 1.0
        return coast + x**3 * (10 - 15 * x + 6 * x**2) * (action - coast)

    def _coast(self) -> np.ndarray:
        elapsed = self._ticks / self._hz
        return self._within(self._from + self._velocity * COAST_S * (1 - np.exp(-elapsed / COAST_S)))

    def _within(self, position: np.ndarray) -> np.ndarray:
        return np.clip(position, self._lower, self._upper)

    def _ticks_for(self, way: np.ndarray) -> float:
        """How long the blend over a way (A,) takes [ticks]."""
        seconds = np.maximum.reduce(
            [
                PEAK_VELOCITY * way / self._speed,
                np.sqrt(PEAK_ACCELERATION * way / self._max_a),
                np.cbrt(PEAK_JERK * way / self._max_j),
            ]
        )
        return float(seconds.max() * self._hz)
