"""Motions for scripted experts: inverse kinematics (mink + daqp) and jerk-limited paths (Ruckig).

A motion is an iterator of joint targets, one per 120 Hz tick, that ends at rest. It starts from rest too,
unless the arm was under way when the expert took over: then it goes on from that velocity. Experts chain
motions with `yield from`. All poses are of the gripper in the base frame, in m and rad.

mink is imported where a pose is solved: it takes scipy along, and most processes that have a world (an arm's
twin, cameras, the policy's) solve none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from ruckig import InputParameter, Result, Ruckig, Trajectory

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.sim.paths import derivatives, eased, momentum
from ideomotor.sim.rendering.mujoco_gl import mujoco  # before mink, which imports it
from ideomotor.sim.so101 import add_so101

if TYPE_CHECKING:
    import mink

PAD_TO_SITE = 0.0125  # from the fixed finger's pad to the gripper site [m]
PAN_AXIS = np.array([0.0388, 0.0])  # where the shoulder pan's axis meets the table [m]
POSITION_TOLERANCE = 2e-3  # [m]
ANGLE_TOLERANCE = 0.05  # [rad]
SPEED = 0.55  # share of the embodiment's velocity limits that experts use
ACCELERATION = 0.40
JERK = 0.15

TILT = 0.20  # of the fingers from straight down, which the wrist's range asks for [rad]
OPEN = 0.75  # gripper joint, wide enough for every graspable object [rad]
SHUT = -0.05  # gripper joint, fingers together [rad]


class Unreachable(RuntimeError):
    """A pose that the arm cannot take; layouts are drawn so that this never happens to an expert."""


class Arm:
    """Inverse kinematics and paths for one SO-101; keeps the last target, from which motions start."""

    def __init__(
        self, embodiment: Embodiment, target: np.ndarray, generator: np.random.Generator | None = None,
        noise: float = 0.0, past_commands: np.ndarray | None = None,
    ):  # fmt: skip
        """Args:
        target: (A,) [rad] that motions start from.
        generator, noise: of the first `detour`.
        past_commands: (P, A) [rad], P at least 3, one a tick, the newest last; None: the arm is at rest.
        """
        self.embodiment = embodiment
        self.target = np.array(target, dtype=np.float64)  # (A,) [rad], the last one yielded
        self.velocity, self.acceleration = derivatives(past_commands, self.target, embodiment.control_hz)
        self._generator = generator or np.random.default_rng(0)
        self._noise = noise  # probability that the first `detour` is one
        self.detouring = False  # whether the targets of the moment lead to a wrong pose on purpose

    def detour(
        self,
        low: np.ndarray,
        high: np.ndarray,
        roll: float = 0.0,
        tilt: float = TILT,
        grip: float | None = None,
        offset: float | None = None,
    ) -> Iterator[np.ndarray]:
        """The first one may go to a wrong pose near the way from `high` down to `low` (both (3,) [m]).

        What follows then shows a recovery. The farther up, the farther off: 5 mm at `low`, 25 mm at `high`.
        """
        noise, self._noise = self._noise, 0.0
        if self._generator.random() >= noise:
            return
        share = self._generator.random() ** 0.7
        spread = (0.005 + 0.020 * share) * np.array([1.0, 1.0, 0.5])
        wrong = low + share * (high - low) + self._generator.normal(0.0, spread)
        wrong[2] = max(wrong[2], low[2] - 0.002)
        wrong_roll = roll + self._generator.normal(0.0, 0.25)
        self.detouring = True
        with suppress(Unreachable):
            if wrong[2] < high[2]:
                yield from self.move_to(np.array([*wrong[:2], high[2]]), wrong_roll, tilt, grip, offset)
            yield from self.move_to(wrong, wrong_roll, tilt, grip, offset)
        self.detouring = False

    def move(self, goal: np.ndarray, speed: float = 1.0) -> Iterator[np.ndarray]:
        """Straight in joint space from the last target to `goal`, every joint arriving together.

        Args:
            goal: (A,) [rad].
            speed: factor on the experts' usual velocity.
        """
        limits = self.embodiment
        goal = np.clip(goal, limits.lower, limits.upper)
        planner = Ruckig(len(goal))
        problem = InputParameter(len(goal))
        problem.current_position, problem.target_position = self.target.tolist(), goal.tolist()
        problem.current_velocity, problem.current_acceleration = self._take_momentum()
        problem.max_velocity = (SPEED * speed * limits.max_velocity).tolist()
        problem.max_acceleration = (ACCELERATION * limits.max_acceleration).tolist()
        problem.max_jerk = (JERK * limits.max_jerk).tolist()
        path = Trajectory(len(goal))
        if planner.calculate(problem, path) not in (Result.Working, Result.Finished):
            raise Unreachable(f"no path from {self.target} to {goal}")
        for tick in range(1, int(np.ceil(path.duration * limits.control_hz)) + 1):
            position, _, _ = path.at_time(min(tick / limits.control_hz, path.duration))
            self.target = np.array(position)
            yield self.target

    def move_to(
        self, position: np.ndarray, roll: float = 0.0, tilt: float = TILT, grip: float | None = None,
        offset: float | None = None, speed: float = 1.0,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """To a gripper pose, straight in joint space; arguments as in `solve`."""
        yield from self.move(self.solve(position, roll, tilt, grip, offset), speed)

    def rise(self, height: float) -> Iterator[np.ndarray]:
        """Straight up to `height` [m], if the fingertips are lower: nothing on the table is swept along."""
        tip, _ = self.pose()
        if tip[2] < height - 0.005:
            with suppress(Unreachable):
                yield from self.line_to(np.array([*tip[:2], height]), self.roll(), speed=0.2)

    def line_to(
        self, position: np.ndarray, roll: float = 0.0, tilt: float = TILT, grip: float | None = None,
        offset: float | None = None, speed: float = 0.12,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """To a gripper pose along a straight line of the fingertips, at most `speed` [m/s]."""
        start, _ = self.pose(offset)
        goal = np.asarray(position, dtype=np.float64)
        length = float(np.linalg.norm(goal - start))
        # Postures at Chebyshev-Lobatto points, joined by the polynomial through them: smooth, and exact
        # at both ends.
        knots = max(3, min(6, int(np.ceil(length / 0.02)) + 2))
        shares = 0.5 - 0.5 * np.cos(np.pi * np.arange(knots) / (knots - 1))
        last = self.solve(goal, roll, tilt, grip, offset)
        postures = [self.target.copy()]
        for share in shares[1:-1]:
            guess = (1 - share) * self.target + share * last
            postures.append(self.solve(start + share * (goal - start), roll, tilt, None, offset, guess))
            # Whatever the wrist's orientation and the fingers still have to turn, they turn on the way.
            postures[-1][4:] = guess[4:]
        postures.append(last)
        coefficients = np.linalg.solve(np.vander(shares), np.stack(postures))  # (knots, A)
        turn = float(np.max(np.abs(last - self.target))) * 0.08  # a turn on the spot also takes time [m]
        distance = max(length, turn, 1e-4)
        # What of the arm's velocity lies along the path is kept, the rest fades beside it.
        slope, bend = coefficients[-2], 2 * coefficients[-3]  # (A,), by the share of the path
        velocity, acceleration = (np.array(value) for value in self._take_momentum())
        along = float(np.clip(slope @ velocity / max(slope @ slope, 1e-9) * distance, 0.0, speed))
        along = min(along, float(np.sqrt(6 * speed * distance)))
        faster = float(slope @ acceleration / max(slope @ slope, 1e-9)) * distance if along else 0.0
        faster = float(np.clip(faster, -6 * speed, 6 * speed))
        rest = acceleration - slope * faster / distance - bend * (along / distance) ** 2
        fading = momentum(velocity - slope * along / distance, rest, self.embodiment.control_hz)
        for tick, share in enumerate(
            eased(distance, speed, self.embodiment.control_hz, along, faster), start=1
        ):
            share = min(share, 1.0)
            extra = fading[tick] if tick < len(fading) else 0.0
            self.target = share ** np.arange(knots - 1, -1, -1) @ coefficients + extra
            yield self.target

    def grip(self, angle: float, seconds: float = 0.0) -> Iterator[np.ndarray]:
        """Moves the fingers to `angle` [rad], then stays for `seconds`."""
        goal = self.target.copy()
        goal[-1] = angle
        yield from self.move(goal, speed=0.8)
        yield from self.wait(seconds)

    def wait(self, seconds: float) -> Iterator[np.ndarray]:
        """Stays where it is, or comes to rest."""
        velocity, acceleration = (np.array(value) for value in self._take_momentum())
        start, fading = self.target, momentum(velocity, acceleration, self.embodiment.control_hz)
        for tick in range(1, round(seconds * self.embodiment.control_hz) + 1):
            self.target = start + fading[min(tick, len(fading) - 1)]
            yield self.target

    def _take_momentum(self) -> tuple[list[float], list[float]]:
        """Velocity and acceleration that the next motion begins with; those after it begin at rest."""
        momentum = self.velocity.tolist(), self.acceleration.tolist()
        self.velocity, self.acceleration = np.zeros_like(self.velocity), np.zeros_like(self.acceleration)
        return momentum

    def pose(self, offset: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The fingertips' position (3,) and the gripper's rotation (3, 3) at the last target."""
        configuration = _solver(self.embodiment.name)
        configuration.update(self.target)
        transform = configuration.get_transform_frame_to_world("gripper", "site")
        rotation = transform.rotation().as_matrix()
        return transform.translation() + rotation @ _shift(offset), rotation

    def roll(self) -> float:
        """Of the fingers' opening direction from the radial direction, at the last target [rad]."""
        tip, rotation = self.pose()
        bearing = np.arctan2(tip[1] - PAN_AXIS[1], tip[0] - PAN_AXIS[0])
        heading = np.arctan2(rotation[1, 0], rotation[0, 0])
        return float((heading - bearing + np.pi) % (2 * np.pi) - np.pi)

    def solve(
        self, position: np.ndarray, roll: float = 0.0, tilt: float = TILT, grip: float | None = None,
        offset: float | None = None, guess: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Joint positions that put the fingertips at `position`.

        Args:
            position: (3,) [m] of the point between the fingertips.
            roll: of the fingers' opening direction about the vertical, from the radial direction [rad].
            tilt: of the fingers from straight down, outwards [rad].
            grip: angle of the gripper joint; unchanged by default [rad].
            offset: distance of the point from the fixed finger's pad [m]; the gripper site's by default.
            guess: (A,) posture to start from.

        Raises:
            Unreachable: if no posture comes within 2 mm and 0.05 rad.
        """
        import mink

        position = np.asarray(position, dtype=np.float64)
        bearing = float(np.arctan2(position[1] - PAN_AXIS[1], position[0] - PAN_AXIS[0]))
        rotation = gripper_rotation(bearing, roll, tilt)
        goal = mink.SE3.from_rotation_and_translation(
            mink.SO3.from_matrix(rotation), position - rotation @ _shift(offset)
        )
        configuration = _solver(self.embodiment.name)
        fingers = self.target[-1] if grip is None else grip
        seed = np.array([-bearing, -0.9, 0.8, 1.3, roll, fingers])
        for start in (seed, self.target if guess is None else guess):
            configuration.update(np.clip(start, self.embodiment.lower + 1e-6, self.embodiment.upper - 1e-6))
            solution = _converge(configuration, goal)
            if solution is not None:
                solution = solution.copy()
                solution[-1] = fingers
                return solution
        raise Unreachable(
            f"no posture for the gripper at {np.round(position, 3)} m, roll {roll:.2f}, tilt {tilt:.2f}"
        )


def gripper_rotation(bearing: float, roll: float, tilt: float) -> np.ndarray:
    """(3, 3) rotation_gripper_to_base: fingers down and `tilt` outwards along `bearing`, then rolled."""
    outwards = np.array([np.cos(bearing), np.sin(bearing), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    axis_z = np.cos(tilt) * up - np.sin(tilt) * outwards  # against the fingers
    radial = np.cos(tilt) * outwards + np.sin(tilt) * up
    sideways = np.cross(axis_z, radial)
    axis_x = np.cos(roll) * radial + np.sin(roll) * sideways
    return np.stack([axis_x, np.cross(axis_z, axis_x), axis_z], axis=1)


def can_reach(position: np.ndarray, roll: float = 0.0, tilt: float = TILT) -> bool:
    """Whether the SO-101 can put its fingertips at `position` in that orientation."""
    embodiment = load_embodiment("so101")
    try:
        Arm(embodiment, embodiment.home_position).solve(position, roll, tilt)
    except Unreachable:
        return False
    return True


def _shift(offset: float | None) -> np.ndarray:
    """From the gripper site to the point `offset` away from the fixed finger, in the gripper's frame."""
    return np.zeros(3) if offset is None else np.array([offset - PAD_TO_SITE, 0.0, 0.0])


@lru_cache(maxsize=1)
def _solver(name: str) -> mink.Configuration:
    """The arm alone, for kinematics."""
    import mink

    spec = mujoco.MjSpec()
    add_so101(spec, load_embodiment(name))
    return mink.Configuration(spec.compile())


def _converge(configuration: mink.Configuration, goal: mink.SE3) -> np.ndarray | None:
    """Gauss-Newton steps as quadratic programs within the joint limits; None if they do not arrive."""
    import mink

    task = mink.FrameTask("gripper", "site", position_cost=1.0, orientation_cost=0.2, lm_damping=1e-4)
    task.set_target(goal)
    limits = [mink.ConfigurationLimit(configuration.model)]
    error = np.full(6, np.inf)
    for _ in range(40):
        error = task.compute_error(configuration)
        if np.linalg.norm(error[:3]) < 2e-4 and np.linalg.norm(error[3:]) < 5e-3:
            break
        velocity = mink.solve_ik(configuration, [task], 1.0, "daqp", damping=1e-6, limits=limits)
        configuration.integrate_inplace(np.clip(velocity, -0.6, 0.6), 1.0)
    close = np.linalg.norm(error[:3]) < POSITION_TOLERANCE and np.linalg.norm(error[3:]) < ANGLE_TOLERANCE
    return configuration.q if close else None
