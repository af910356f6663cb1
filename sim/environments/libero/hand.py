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

OPEN, CLOSED = -1.0, 1.0
Motion = Iterator[np.ndarray]
DOWN = np.array([0.0, 0.0, -1.0])
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


class Hand:
    """The hand of one environment."""

    def __init__(self, env: LiberoEnv):
        self._env = env
        robot = env.scene.facts["robot"]
        self._site = env.model.site(robot["grip_site"]).id
        self._fingers = [env.model.joint(name).qposadr[0] for name in robot["fingers"]]
        self.grip = OPEN  # what the fingers are told

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
        """Until the pose is reached, or `steps` are over."""
        for _ in range(steps):
            distance, angle = self.off(pose)
            if distance < near and angle < turned:
                return
            yield self.toward(pose, gain)

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
