"""Jogging the tip of a gripper: from the velocities that a person wants to joint targets.

The velocity has five parts in the robot's base frame, after what a hand at an arm's side thinks in:

    forward, left, up [m/s]; pitch and roll of the gripper [rad/s]

Pitch turns about the horizontal axis across the line from the base's axis to the tip, roll about the line
from the gripper's link to the tip. How the gripper turns about the vertical besides is left to the arm: one
with five joints has just these five. Joint velocities are the damped least squares solution

    dq = J^T (J J^T + λ² I)^-1 v,    λ² = λ0² (1 - (σ / σ0)²) below a smallest singular value σ of σ0

(Nakamura and Hanafusa, "Inverse kinematic solutions with singularity robustness", 1986), so that they stay
finite near a singular pose; joints at the end of their range are taken out, and all are slowed down together
when one would be too fast. A stretched arm goes no further out: at a singular pose it would stay. The target
never leads what was sent to the motors by more than `LEAD`: where the safety filter stands the arm still, it
does not run away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.geometry import Geometry
from ideomotor.control.safety.kinematics import Kinematics
from ideomotor.control.teleop.teleoperator import FollowerState

AXES = ("forward", "left", "up", "pitch", "roll")
LEAD = 0.12  # [rad or m] of a target before the last command
DAMPING, SINGULAR = 0.01, 0.03  # λ0 and σ0, with turns weighed by `ARM_M`
LEAST = 0.01  # smallest singular value that a jog goes on to: from less an arm would not come back
AHEAD_S = 0.05  # that is looked ahead for it
ARM_M = 0.15  # [m] at which a turn weighs as much as a way
WEIGHT = np.array([1.0, 1.0, 1.0, ARM_M, ARM_M])  # of `AXES`
SPEED_SHARE = 0.7  # of a joint's highest velocity
MARGIN = 0.01  # [rad or m] inside a joint's range
LEVER_M = 0.25  # from the wrist to the tip, at most: what a turn moves it by
LONGEST_S = 0.05  # a reading that came later than this after the last one counts as this much


@dataclass(frozen=True)
class JogLimits:
    """The highest rates of a person who jogs, and how fast they change."""

    way: float = 0.15  # [m/s]
    turn: float = 1.0  # [rad/s]
    grip: float = 0.8  # [shares of the range of a gripper a second]
    rise_s: float = 0.12  # from standing to the highest rate

    @property
    def axes(self) -> np.ndarray:
        """(5,), of `AXES`."""
        return np.array([self.way] * 3 + [self.turn] * 2)


class TipJog:
    """The target of one robot, moved on by `step`.

    Attributes:
        target: (A,) [rad or m].
        velocity: (5,), of `AXES`, that the last step had; `seconds`: how long it was.
    """

    def __init__(self, embodiment: Embodiment, limits: JogLimits | None = None) -> None:
        """Raises UserError for a robot whose file does not say where its links are."""
        if embodiment.geometry is None:
            raise UserError(
                f"leader: jogging the tip of {embodiment.name} needs the section geometry in its file, "
                "expected one (imitate so101.yaml), or a leader arm"
            )
        if len(embodiment.geometry.tips) > 1:
            raise UserError(
                f"leader: {embodiment.name} has two tips and a jog moves one, expected a leader for each "
                "arm, e.g. --leader so101_leader@left=/dev/ttyACM2,right=/dev/ttyACM3"
            )
        self.limits = limits or JogLimits()
        self._tip = TipKinematics(embodiment, embodiment.geometry)
        self._grips = np.array([name in embodiment.grippers for name in embodiment.joint_names])
        self._lower, self._upper = embodiment.lower + MARGIN, embodiment.upper - MARGIN
        self._grip_range = embodiment.upper - embodiment.lower
        self._max_speed = SPEED_SHARE * embodiment.max_velocity
        self.velocity, self._grip = np.zeros(len(AXES)), np.zeros(1)
        self.seconds = 0.0
        self.target = np.array(embodiment.home_position)

    @property
    def grip(self) -> float:
        """How fast the gripper opened in the last step [shares of its range a second]."""
        return float(self._grip[0])

    def stand(self, command: np.ndarray) -> np.ndarray:
        """Nobody jogs: the target is what was sent last, (A,), and velocities are none."""
        if np.isfinite(command).all():
            self.target = command.copy()
        self.velocity[:], self._grip[:] = 0.0, 0.0
        return self.target.copy()

    def step(self, wanted: np.ndarray, grip: float, state: FollowerState, seconds: float) -> np.ndarray:
        """Moves the target on and returns it, (A,).

        Args:
            wanted: (5,), of `AXES` [m/s and rad/s]; held to the limits.
            grip: rate that the gripper opens at [shares of its range a second]; below 0 it closes.
            state: of the follower.
            seconds: since the last step.
        """
        self.seconds = seconds = min(max(seconds, 0.0), LONGEST_S)
        fastest = self.limits.axes
        rise = seconds / self.limits.rise_s
        self.velocity = _towards(self.velocity, np.clip(wanted, -fastest, fastest), rise * fastest)
        rate = np.clip([grip], -self.limits.grip, self.limits.grip)
        self._grip = _towards(self._grip, rate, np.array([rise * self.limits.grip]))
        speed = self._joint_velocity(self.velocity)
        speed[self._grips] = self._grip * self._grip_range[self._grips]
        target = self.target + np.clip(speed, -self._max_speed, self._max_speed) * seconds
        # A joint that stands outside its range already is not pulled in by a jump.
        target = np.clip(target, np.minimum(self._lower, self.target), np.maximum(self._upper, self.target))
        if np.isfinite(state.command).all():
            target = np.clip(target, state.command - LEAD, state.command + LEAD)
        self.target = self.target + self._held_back(target - self.target, seconds)
        return self.target.copy()

    def _held_back(self, moved: np.ndarray, seconds: float) -> np.ndarray:
        """A step (A,) of the joints, shorter where it would take the tip further than it may go.

        Near a singular pose joints move fast against each other; one that meets its end leaves the others'
        motion to the tip.
        """
        most = (np.sqrt(3) * self.limits.way + LEVER_M * self.limits.turn) * seconds
        way = float(np.linalg.norm(self._tip.jacobian(self.target)[:3] @ moved))
        return np.where(self._grips, moved, moved * most / way) if way > most else moved

    def _joint_velocity(self, tip_velocity: np.ndarray) -> np.ndarray:
        """(A,) [rad/s or m/s] for (5,); grippers stand."""
        speed = np.zeros(len(self.target))
        if not tip_velocity.any():
            return speed
        jacobian, free = self._tip.jacobian(self.target), ~self._grips
        for _ in range(len(self.target)):
            speed = _damped(jacobian * free, tip_velocity)
            above, below = self.target >= self._upper, self.target <= self._lower
            out = free & ((speed > 0) & above | (speed < 0) & below)
            if not out.any():
                break
            free = free & ~out
        speed = speed / max(np.max(np.abs(speed) / self._max_speed), 1.0)
        now = _least_singular(jacobian)
        then = _least_singular(self._tip.jacobian(self.target + AHEAD_S * speed))
        return speed * (np.clip(then / LEAST - 1, 0.0, 1.0) if then < now else 1.0)


class TipKinematics:
    """Where a robot's tip is, and how its joints move it."""

    def __init__(self, embodiment: Embodiment, geometry: Geometry) -> None:
        self._kinematics = Kinematics(embodiment, geometry)
        self._link = self._kinematics.names.index(geometry.tip_link)
        self._point = np.array([*geometry.tip_position, 1.0])
        units = {joint.name: joint.unit for joint in embodiment.joints}
        columns = {joint.name: i for i, joint in enumerate(embodiment.joints)}
        self._moves = []  # (joint, frame, axis in it, whether it slides) of all joints that move the tip
        name = geometry.tip_link
        while name in self._kinematics.names[1:]:
            link = geometry.link(name)
            if link.joint:
                axis = np.array(link.axis) / np.linalg.norm(link.axis)
                frame = self._kinematics.names.index(name)
                self._moves.append((columns[link.joint], frame, axis, units[link.joint] == "m"))
            name = link.parent

    def tip(self, position: np.ndarray) -> np.ndarray:
        """(3,) [m] in the base frame, for joints (A,)."""
        return self._frames(position)[self._link] @ self._point

    def jacobian(self, position: np.ndarray) -> np.ndarray:
        """(5, A): `AXES` [m/s, rad/s] for each joint's velocity, at joints (A,)."""
        frames = self._frames(position)
        tip = frames[self._link] @ self._point
        across, along = _axes(frames[self._link], tip)
        result = np.zeros((len(AXES), len(position)))
        for column, frame, axis, slides in self._moves:
            turned = frames[frame][:, :3] @ axis
            if slides:
                result[:3, column] = turned
                continue
            x, y, z = turned
            lever = tip - frames[frame][:, 3]
            result[0, column] = y * lever[2] - z * lever[1]
            result[1, column] = z * lever[0] - x * lever[2]
            result[2, column] = x * lever[1] - y * lever[0]
            result[3, column], result[4, column] = across @ turned, along @ turned
        return result

    def _frames(self, position: np.ndarray) -> np.ndarray:
        """(F, 3, 4)."""
        return self._kinematics.frames(position[None])[:, 0].transpose(1, 0, 2)


def _axes(frame: np.ndarray, tip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3,) unit vectors about which pitch and roll turn, for the tip's link (3, 4) and the tip (3,)."""
    across = np.array([-tip[1], tip[0], 0.0])
    if (size := np.linalg.norm(across)) < 1e-6:  # right above the base's axis there is no side
        across, size = np.array([0.0, 1.0, 0.0]), 1.0
    along = tip - frame[:, 3]
    length = np.linalg.norm(along)
    return across / size, along / length if length > 1e-6 else frame[:, 2]


def _damped(jacobian: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """The joint velocities (A,) of the module's formula, turns weighed by `ARM_M`."""
    u, sigma, vt = np.linalg.svd(WEIGHT[:, None] * jacobian, full_matrices=False)
    damping = np.where(sigma < SINGULAR, DAMPING**2 * (1 - (sigma / SINGULAR) ** 2), 0.0)
    gain = sigma / (sigma**2 + damping + 1e-12)
    return vt.T @ (gain * (u.T @ (WEIGHT * velocity)))


def _least_singular(jacobian: np.ndarray) -> float:
    return float(np.linalg.svd(WEIGHT[:, None] * jacobian, compute_uv=False)[-1])


def _towards(now: np.ndarray, wanted: np.ndarray, step: np.ndarray) -> np.ndarray:
    return now + np.clip(wanted - now, -step, step)
