"""The Panda's hand, led to poses by LIBERO's own commands: what scripted experts move with.

A motion is a generator: each `next` looks at the present state and yields one command (7,). What it is led to
is the pose of the grip site, between the finger pads: its z axis points out of the hand, and the fingers
close along its x axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ideomotor.sim.environments.libero.controller import REACH
from ideomotor.sim.environments.libero.env import LiberoEnv
from ideomotor.sim.rendering.mujoco_gl import mujoco

BASE = "robot0_base"
OPEN, CLOSED = -1.0, 1.0
Motion = Iterator[np.ndarray]
DOWN = np.array([0.0, 0.0, -1.0])
PROGRESS, STALLED = 0.001, 10  # what counts as nearer [m], and steps without it
# The Panda, from its data sheet: shoulder above its base, wrist from the grip site, arm stretched.
SHOULDER_HEIGHT, WRIST_UP, WRIST_BACK, ARM_LENGTH = 0.333, 0.205, 0.088, 0.675  # [m]
LEANS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75)  # [rad]
CLOSING_STEPS = 12  # until the fingers have closed from wide open
OPENING_STEPS = 8


@dataclass(frozen=True)
class Pose:
    """Of the grip site, in the world."""

    position: np.ndarray  # (3,) [m]
    rotation: np.ndarray  # (3, 3)

    def raised(self, height: float) -> Pose:
        return Pose(self.position + [0.0, 0.0, height], self.rotation)

    def moved(self, by: np.ndarray) -> Pose:
        return Pose(self.position + by, self.rotation)


def facing(ahead: np.ndarray, closing: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of a grip site that points `ahead` and closes along `closing`, both directions (3,)."""
    z = ahead / np.linalg.norm(ahead)
    x = closing - z * float(closing @ z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def turn_about(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation about an axis (3,) by an angle [rad]."""
    quaternion, matrix = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quaternion, axis / np.linalg.norm(axis), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


class Hand:
    """The hand of one environment."""

    def __init__(self, env: LiberoEnv):
        self._env = env
        robot = env.scene.facts["robot"]
        self._site = env.model.site(robot["grip_site"]).id
        self._fingers = [env.model.joint(name).qposadr[0] for name in robot["fingers"]]
        self._shoulder = env.data.body(BASE).xpos + [0.0, 0.0, SHOULDER_HEIGHT]
        self.grip = OPEN  # what the fingers are commanded

    @property
    def pose(self) -> Pose:
        data = self._env.data
        return Pose(data.site_xpos[self._site].copy(), data.site_xmat[self._site].reshape(3, 3).copy())

    @property
    def opening(self) -> float:
        """Between the fingers [m]."""
        first, second = self._env.data.qpos[self._fingers]
        return float(first - second)

    def nearest(self, rotation: np.ndarray) -> np.ndarray:
        """The rotation, or the same with the fingers exchanged, whichever is nearer to the present one."""
        other = rotation * [-1.0, -1.0, 1.0]
        now = self.pose.rotation
        return max((rotation, other), key=lambda option: float(np.trace(option.T @ now)))

    def toward(self, pose: Pose, gain: float = 1.0) -> np.ndarray:
        """(7,) the command that leads to a pose."""
        now = self.pose
        turn = np.empty(3)
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, (pose.rotation @ now.rotation.T).ravel())
        mujoco.mju_quat2Vel(turn, quaternion, 1.0)
        delta = np.concatenate([pose.position - now.position, turn]) * gain / REACH
        delta[:3] /= max(1.0, float(np.abs(delta[:3]).max()))  # straight, where it is far
        delta[3:] /= max(1.0, float(np.abs(delta[3:]).max()))
        return np.append(delta, self.grip)

    def off(self, pose: Pose) -> tuple[float, float]:
        """Distance [m] and angle [rad] to a pose."""
        now = self.pose
        cosine = (float(np.trace(pose.rotation @ now.rotation.T)) - 1.0) / 2.0
        angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
        return float(np.linalg.norm(pose.position - now.position)), angle

    def reach(
        self, pose: Pose, near: float = 0.008, turned: float = 0.1, steps: int = 70, gain: float = 1.0
    ) -> Motion:
        """Until the pose is reached, or the hand comes no nearer, or `steps` are over."""
        best, since = np.inf, 0
        for _ in range(steps):
            distance, angle = self.off(pose)
            if distance < near and angle < turned:
                return
            left = distance + 0.1 * min(angle, turned * 10)
            best, since = (left, 0) if left < best - PROGRESS else (best, since + 1)
            if since > STALLED:
                return
            yield self.toward(pose, gain)

    def leaned(self, pose: Pose) -> Pose:
        """A pose that points down, leaning outward as far as it takes for the arm to get there."""
        if pose.rotation[2, 2] > -0.9:
            return pose
        outward = pose.position - self._shoulder
        outward = np.array([*outward[:2], 0.0]) / np.linalg.norm(outward[:2])
        axis, rotation = np.cross(DOWN, outward), pose.rotation
        for lean in LEANS:
            rotation = turn_about(axis, lean) @ pose.rotation
            ahead = rotation[:, 2]
            level = outward - ahead * float(outward @ ahead)  # the wrist is behind the fingers
            wrist = pose.position - WRIST_UP * ahead - WRIST_BACK * level / np.linalg.norm(level)
            if np.linalg.norm(wrist - self._shoulder) < ARM_LENGTH:
                break
        return Pose(pose.position, rotation)

    def hold(self, pose: Pose, steps: int) -> Motion:
        """Stays there."""
        for _ in range(steps):
            yield self.toward(pose)

    def close(self, steps: int = CLOSING_STEPS) -> Motion:
        """Closes the fingers where the hand is."""
        self.grip = CLOSED
        yield from self.hold(self.pose, steps)

    def open(self, steps: int = OPENING_STEPS) -> Motion:
        """Opens the fingers where the hand is."""
        self.grip = OPEN
        yield from self.hold(self.pose, steps)
