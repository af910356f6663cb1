"""Counts, shares and steps of an arm's servos as radians, rad/s and N m of its joints; nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.calibration import Calibration
from ideomotor.control.servo_bus import ServoBus

JUMP_MARGIN = 0.05  # [rad of the servo], besides what its speed allows between two measurements


@dataclass(frozen=True)
class JointScale:
    """Of all joints, each (A,)."""

    scale: np.ndarray  # [counts per rad or m], signed
    zero: np.ndarray  # [counts] at position 0
    lower: np.ndarray  # [counts], the calibrated range
    upper: np.ndarray
    full_effort: np.ndarray  # [N m] of a motor at its stall torque, signed
    max_speed: np.ndarray  # [counts/s]
    jump: np.ndarray  # [counts] by which two measurements may differ besides

    def goals(self, position: np.ndarray) -> np.ndarray:
        """Returns the counts of a position (A,) [rad or m], within the calibrated range."""
        return np.clip(np.rint(self.zero + self.scale * position), self.lower, self.upper)

    def position(self, counts: np.ndarray) -> np.ndarray:
        return (counts - self.zero) / self.scale

    def velocity(self, speed: np.ndarray) -> np.ndarray:
        return speed / self.scale

    def effort(self, load: np.ndarray) -> np.ndarray:
        """Returns the efforts of loads (A,), shares of the stall torque."""
        return load * self.full_effort


def joint_scale(layout: ServoBus, calibration: Calibration) -> JointScale:
    """Returns that of one very arm."""
    servos, joints = layout.servos, calibration.joints
    scale = np.array([servo.counts_per_unit for servo in servos])
    turn = np.array([servo.model.counts_per_turn for servo in servos])
    torque = [servo.model.stall_torque * servo.gear_ratio for servo in servos]
    twice = np.array([1 if servo.shadow is None else 2 for servo in servos])  # a shadow does its part
    return JointScale(
        scale=scale,
        zero=np.array([joint.zero for joint in joints], dtype=np.float64),
        lower=np.array([joint.lower for joint in joints]),
        upper=np.array([joint.upper for joint in joints]),
        full_effort=np.sign(scale) * torque * twice,
        max_speed=np.array([servo.model.max_speed / (2 * np.pi) for servo in servos]) * turn,
        jump=JUMP_MARGIN / (2 * np.pi) * turn,
    )
