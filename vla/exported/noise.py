"""torch's random numbers without torch, so that an exported policy draws what the checkpoint would.

torch's CPU generator is a Mersenne Twister (Matsumoto and Nishimura, 1998) seeded with 32 bits; its normal
numbers are Box and Muller's (1958): blocks of 16 from single-precision uniforms where at least 16 are drawn
at once, pairs from double-precision ones below. Equal to torch's to about 1e-6 (its logarithms are faster).
"""

from __future__ import annotations

import numpy as np

BLOCK = 16  # numbers that torch draws together


class TorchGenerator:
    """Draws what `torch.Generator().manual_seed(seed)` would."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937()
        self._bits._legacy_seeding(seed & 0xFFFFFFFF)
        self._spare: float | None = None  # second number of a pair

    def normal(self, *shape: int) -> np.ndarray:
        """`torch.randn(*shape)`: float32."""
        count = int(np.prod(shape))
        drawn = self._blocks(count) if count >= BLOCK else np.array([self._one() for _ in range(count)])
        return drawn.astype(np.float32).reshape(shape)

    def _blocks(self, count: int) -> np.ndarray:
        uniform = self._uniform(count)
        whole = count - count % BLOCK
        drawn = np.empty(count, np.float32)
        drawn[:whole] = _box_muller(uniform[:whole])
        if whole < count:  # the last block lies over the one before, from numbers of its own
            drawn[-BLOCK:] = _box_muller(self._uniform(BLOCK))
        return drawn

    def _uniform(self, count: int) -> np.ndarray:
        """(count,) float32 in [0, 1), of 24 bits each."""
        return (self._bits.random_raw(count) & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)

    def _one(self) -> float:
        if self._spare is not None:
            spare, self._spare = self._spare, None
            return spare
        angle, chance = (self._double() for _ in range(2))
        radius = np.sqrt(-2.0 * np.log1p(-chance))
        self._spare = float(radius * np.sin(2.0 * np.pi * angle))
        return float(radius * np.cos(2.0 * np.pi * angle))

    def _double(self) -> float:
        """In [0, 1), of 53 bits."""
        high, low = (int(word) for word in self._bits.random_raw(2))
        return ((high << 32 | low) & (2**53 - 1)) * 2.0**-53


def source_noise(
    batch: int, ticks: int, joints: int, knots: int, generator: TorchGenerator
) -> np.ndarray:  # (batch, ticks, joints)
    """As `vla.decoder.sampler.source_noise`."""
    if knots == 0:
        return generator.normal(batch, ticks, joints)
    basis = _spline_basis(ticks, knots)
    return np.einsum("tk,bkj->btj", basis, generator.normal(batch, basis.shape[1], joints))


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    """Of every block the first half gives radii and the second angles."""
    blocks = uniform.reshape(-1, 2, BLOCK // 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - blocks[:, 0]))
    angle = np.float32(2 * np.pi) * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()


def _spline_basis(ticks: int, knots: int) -> np.ndarray:
    """(ticks, knots + 3) float32: uniform cubic B-splines, rows scaled to unit length."""
    at = np.arange(ticks, dtype=np.float32) / ticks * knots
    distance = np.abs(at[:, None] - (np.arange(knots + 3, dtype=np.float32) - 1)[None, :])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clip(0.0) ** 3 / 6
    basis = np.where(distance < 1, inner, outer).astype(np.float32)
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)
