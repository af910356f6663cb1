"""Sensors with something wrong between the world and the policy: lost camera frames, noisy joint positions.

Only what the policy sees is affected; the controller and the safety filter read the true state. All
randomness follows from the episode.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.types import Observation

if TYPE_CHECKING:
    from ideomotor.eval.episode_spec import EpisodeSpec
    from ideomotor.sim.protocol import EpisodeWorld


class Sensors:
    """Cameras that lose frames, each on its own, and encoders with white noise.

    A lost frame leaves the one before it in place, as a driver that keeps the newest frame does; the first
    frame of each camera always arrives, since nobody starts without. Times are the present's: the policy
    does not know that a picture is old.

    Args:
        lost: probability of each frame to be lost.
        noise: standard deviation added to each joint position, drawn anew for each observation [rad or m].
        seed: of the episode.
    """

    def __init__(self, lost: float, noise: float, seed: tuple[int, ...]):
        self._lost, self._noise = lost, noise
        self._frames, self._encoders = (np.random.default_rng([*seed, stream]) for stream in (0, 1))
        self._images: dict[str, np.ndarray] = {}

    def expose(self, world: EpisodeWorld) -> None:
        """One camera frame; called at 30 Hz."""
        if not self._lost:
            return
        for camera, image in world.observe().images.items():
            arrives = self._frames.random() >= self._lost
            if arrives or camera not in self._images:
                self._images[camera] = image

    def observe(self, world: EpisodeWorld) -> Observation:
        """What the policy is given of the present."""
        seen = world.observe()
        noise = self._encoders.normal(0.0, 1.0, size=seen.state.shape) * self._noise
        return replace(
            seen, images={**seen.images, **self._images}, state=(seen.state + noise).astype(np.float32)
        )


def sensors_for(spec: EpisodeSpec) -> Sensors | None:
    """The sensors of an episode; None where nothing is wrong with them."""
    from ideomotor.sim.generalization.axes import AXES

    if spec.axis not in ("frames", "state"):
        return None
    value = AXES[spec.axis].values[spec.strength - 1][0]
    seed = (spec.seed, zlib.crc32(spec.task.encode()), zlib.crc32(spec.axis.encode()))
    if spec.axis == "frames":
        return Sensors(value, 0.0, seed)
    return Sensors(0.0, float(np.radians(value)), seed)
