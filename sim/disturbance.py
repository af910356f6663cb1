"""What disturbs an expert's commands in an environment, so that demonstrations show the way back (DART)."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np

from ideomotor.control.embodiment import Embodiment

DISTURBED_FOR = 0.1  # [s] correlation time


def disturbance(
    embodiment: Embodiment, space: gymnasium.spaces.Box, noise: float, seed: int
) -> Iterator[np.ndarray]:
    """What is added to the commands of one episode, (A,) each: it wanders about zero, grippers apart.

    Its standard deviation is drawn once, up to `noise` of half the commands' range.
    """
    rng = np.random.default_rng([seed, 13])
    moving = np.array([joint not in embodiment.grippers for joint in embodiment.joint_names])
    spread = moving * rng.uniform(0.0, noise) * (space.high - space.low) / 2
    kept = np.exp(-1.0 / (DISTURBED_FOR * embodiment.control_hz))
    value = rng.normal(size=len(spread))
    while True:
        yield spread * value
        value = kept * value + np.sqrt(1 - kept**2) * rng.normal(size=len(spread))
