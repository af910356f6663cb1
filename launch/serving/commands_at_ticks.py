"""Commands of others' policies, 10 to 50 a second, as one for each of our ticks."""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.datasets.loading.resample import curve

_EPSILON = 1e-6


def at_ticks(commands: np.ndarray, hz: float, embodiment: Embodiment) -> np.ndarray:
    """(N, A) at `hz` -> (H, A) float32 at the robot's rate; the last is held for its frame.

    Joint targets follow the curve that demonstrations are resampled by, anything else is held until the next.
    """
    at = np.arange(int(len(commands) * embodiment.control_hz / hz + _EPSILON)) * (hz / embodiment.control_hz)
    if not embodiment.targets:
        return commands[np.floor(at + _EPSILON).astype(int)].astype(np.float32)
    if len(commands) == 1:
        return np.repeat(commands, len(at), axis=0).astype(np.float32)
    # One more at each end, straight on, since the curve stands still at its ends.
    ends = 2 * commands[[0, -1]] - commands[[1, -2]]
    whole = np.concatenate([ends[:1], commands, ends[1:]])
    return curve(whole, 1 + np.minimum(at, len(commands) - 1)).astype(np.float32)
