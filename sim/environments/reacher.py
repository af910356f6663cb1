"""A scripted expert for Gymnasium's `Reacher-v5`: the joints of the two-link arm are led to the target.

Geometry: gymnasium/envs/mujoco/assets/reacher.xml (0.1 m from shoulder to elbow, 0.11 m to the fingertip).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

LINKS = (0.1, 0.11)  # [m]
STIFFNESS, DAMPING = 0.08, 0.008  # command per rad and per rad/s


def expert(env: Any) -> Callable[[Any], np.ndarray]:
    """How to act in the environment: (2,) torques in [-1, 1] for its present state."""

    def act(observation: Any) -> np.ndarray:
        del observation  # the angles in it are cosines and sines
        angles, speeds = env.data.qpos[:2], env.data.qvel[:2]
        error = np.stack([_turned(goal - angles) for goal in reaching(env.data.qpos[2:4])])
        nearest = error[np.abs(error).max(axis=1).argmin()]
        return np.clip(STIFFNESS * nearest - DAMPING * speeds, -1.0, 1.0)

    return act


def reaching(target: np.ndarray) -> np.ndarray:
    """(2, 2): both pairs of joint angles [rad] with which the fingertip is at `target` (2,) [m]."""
    first, second = LINKS
    cosine = (float(target @ target) - first**2 - second**2) / (2 * first * second)
    elbow = np.arccos(np.clip(cosine, -1.0, 1.0)) * np.array([1.0, -1.0])
    reach = np.arctan2(second * np.sin(elbow), first + second * np.cos(elbow))
    return np.stack([np.arctan2(target[1], target[0]) - reach, elbow], axis=1)


def _turned(angles: np.ndarray) -> np.ndarray:
    """The same rotations of the shoulder, the short way round; the elbow has stops and no other way."""
    return np.array([(angles[0] + np.pi) % (2 * np.pi) - np.pi, angles[1]])
