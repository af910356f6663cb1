"""Smoothing removes what no arm could follow, keeps what was said, and joins what came before."""

import numpy as np
import pytest

from ideomotor.vla.smoothing import smooth

HZ = 120.0
RNG = np.random.default_rng(0)


def motion(ticks: np.ndarray) -> np.ndarray:
    """(n, 2) [rad]: a quick but possible motion."""
    return np.stack(
        [0.5 * np.sin(2 * np.pi * 0.8 * ticks / HZ), 0.3 * np.cos(2 * np.pi * ticks / HZ)], axis=1
    )


def largest_jerk(commands: np.ndarray) -> float:
    return float(np.abs(np.diff(commands, n=3, axis=0)).max() * HZ**3)


@pytest.mark.parametrize("ticks", [1, 2, 66, 96])
def test_noise_stays_within_the_jerk_limit_and_the_motion_is_kept(ticks: int) -> None:
    time = np.arange(-3, ticks)
    clean = motion(time)
    noisy = clean[3:] + RNG.normal(0, 0.004, (ticks, 2))
    smoothed = smooth(noisy, clean[:3], 200.0)
    assert largest_jerk(np.concatenate([clean[:3], smoothed])) < 1200.0
    assert np.abs(smoothed - clean[3:]).max() < 0.008
    if ticks > 60:
        assert largest_jerk(noisy) > 10_000.0
        assert np.abs(smoothed - clean[3:]).mean() < 0.002


def test_a_quadratic_is_left_alone() -> None:
    time = np.arange(-3, 50)[:, None] / HZ
    curve = 0.2 + 0.5 * time - 2.0 * time**2
    np.testing.assert_allclose(smooth(curve[3:], curve[:3], 1000.0), curve[3:], atol=1e-9)
