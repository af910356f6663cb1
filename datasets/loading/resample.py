"""Recorded targets at control ticks: a smooth curve through the targets of frames, whatever their rate.

The curve is a piecewise cubic that keeps monotone stretches monotone (Fritsch and Butland, "A method for
constructing local monotone piecewise cubic interpolants", 1984; PCHIP elsewhere): it goes through every
target and never beyond two neighbours, so it stays within the joints' limits. Before the first and after
the last target it stands still. It is linear in targets and slopes, and ticks lie the same way around
every frame, so that a batch of windows is two matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_EPSILON = 1e-6  # [frames]: a tick this close to a frame is the frame's


@dataclass(frozen=True)
class Resampler:
    """Ticks around a frame, and how their values follow from frames and slopes; from `resampler`."""

    times: np.ndarray  # (T,) float64, of the ticks, from the window's frame on [frames]
    frames: np.ndarray  # (W,) int64, frames needed, from the window's frame on
    by_value: np.ndarray  # (T, W) float32
    by_slope: np.ndarray  # (T, W - 2) float32; slopes at all frames but the first and last


def resampler(fps: float, control_hz: float, first: int, count: int) -> Resampler:
    """Returns the resampler of `count` ticks from `first` on (0: the window's frame itself)."""
    times = np.arange(first, first + count) * (fps / control_hz)
    left = np.floor(times + _EPSILON).astype(np.int64)
    u = np.maximum(times - left, 0.0)
    u[u < _EPSILON] = 0.0
    frames = np.arange(left.min() - 1, left.max() + 3)
    by_value, by_slope = (np.zeros((count, len(frames))) for _ in range(2))
    tick, at = np.arange(count), left - frames[0]
    by_value[tick, at], by_value[tick, at + 1] = 2 * u**3 - 3 * u**2 + 1, 3 * u**2 - 2 * u**3
    by_slope[tick, at], by_slope[tick, at + 1] = u**3 - 2 * u**2 + u, u**3 - u**2
    return Resampler(times, frames, by_value.astype(np.float32), by_slope[:, 1:-1].astype(np.float32))


def resampled(
    how: Resampler, targets: np.ndarray, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Returns (B, T, A) float32, the targets at the ticks around B rows.

    Args:
        targets: (N, A), one a frame.
        rows, starts, ends: (B,), the windows' frames, and the first row of their episodes and of the next.
    """
    near = rows[:, None] + how.frames  # (B, W)
    values = targets[np.clip(near, starts[:, None], ends[:, None] - 1)].astype(np.float32, copy=False)
    steps = np.diff(values, axis=1)  # (B, W - 1, A)
    before, after = steps[:, :-1], steps[:, 1:]
    product, total = before * after, before + after
    slopes = np.divide(2 * product, total, out=np.zeros_like(product), where=product > 0)
    return how.by_value @ values + how.by_slope @ slopes


def curve(targets: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Returns (T, A) float64, the curve through targets (N, A) at times (T,) [frames] from the first on."""
    values = np.asarray(targets, dtype=np.float64)
    steps = np.diff(values, axis=0)
    product, total = steps[:-1] * steps[1:], steps[:-1] + steps[1:]
    slopes = np.zeros_like(values)  # it stands still at both ends
    slopes[1:-1] = np.divide(2 * product, total, out=np.zeros_like(product), where=product > 0)
    times = np.clip(at, 0.0, len(values) - 1.0)
    left = np.floor(times + _EPSILON).astype(np.int64)
    u = np.maximum(times - left, 0.0)[:, None]
    u[u < _EPSILON] = 0.0
    right = np.minimum(left + 1, len(values) - 1)
    return (
        (2 * u**3 - 3 * u**2 + 1) * values[left]
        + (3 * u**2 - 2 * u**3) * values[right]
        + (u**3 - 2 * u**2 + u) * slopes[left]
        + (u**3 - u**2) * slopes[right]
    )
