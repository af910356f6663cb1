"""Smoothing removes what no arm could follow, keeps what was said, and joins what came before."""

import numpy as np
import pytest

from ideomotor.vla.decoder.smoothing import ORDER, smooth

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
    time = np.arange(-ORDER, ticks)
    clean = motion(time)
    noisy = clean[ORDER:] + RNG.normal(0, 0.004, (ticks, 2))
    smoothed = smooth(noisy, clean[:ORDER], 200.0)
    assert largest_jerk(np.concatenate([clean[:ORDER], smoothed])) < 1200.0
    assert np.abs(smoothed - clean[ORDER:]).max() < 0.008
    if ticks > 60:
        assert largest_jerk(noisy) > 10_000.0
        assert np.abs(smoothed - clean[ORDER:]).mean() < 0.002


def test_a_quadratic_is_left_alone() -> None:
    time = np.arange(-ORDER, 50)[:, None] / HZ
    curve = 0.2 + 0.5 * time - 2.0 * time**2
    np.testing.assert_allclose(smooth(curve[ORDER:], curve[:ORDER], 1000.0), curve[ORDER:], atol=1e-9)


def test_a_change_of_mind_is_spread_over_the_chunk() -> None:
    """Where a chunk goes elsewhere, the jerk at the seam is about that of the ticks after it."""
    still = np.zeros((ORDER, 1))
    commands = np.concatenate([still, smooth(np.full((96, 1), 0.02), still, 5000.0)])
    jerk = np.diff(commands, n=3, axis=0)  # row i uses ticks i - ORDER ... i - ORDER + 3
    seam, after = jerk[ORDER - 3 : ORDER], jerk[ORDER : ORDER + 12]
    assert np.sqrt(np.mean(seam**2)) < 1.4 * np.sqrt(np.mean(after**2))
