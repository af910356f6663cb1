"""From noise to a chunk without torch: `vla.decoder.sampler` without diffusers' schedulers.

`euler` steps along the flow (arXiv 2209.03003); `ddim` (arXiv 2010.02502, equation 12 without noise) and
`dpm-solver` (second-order multistep DPM-Solver++, arXiv 2211.01095, algorithm 2) undo predicted noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from ideomotor.vla.decoder.sampling import BETA_END, BETA_START, NOISE_LEVELS, SAMPLERS

Predict = Callable[[np.ndarray, float], np.ndarray]  # (x (B, H, A), flow time) -> what the decoder predicts


def sample(
    predict: Predict, committed_prefix: np.ndarray, noise: np.ndarray, steps: int, sampler: str
) -> np.ndarray:
    """A chunk of normalised commands that begins with the committed prefix.

    Args:
        predict: one pass of the decoder.
        committed_prefix: (B, d, A); d may be 0.
        noise: (B, H, A).
        steps: passes.
        sampler: a name of `SAMPLERS`.

    Returns:
        (B, H, A) float32.
    """
    x, length = noise.astype(np.float32), committed_prefix.shape[1]
    step = _euler(steps) if sampler in SAMPLERS["flow"] else _denoised(steps, sampler == "dpm-solver")
    before: np.ndarray | None = None
    for each in step:
        x[:, :length] = committed_prefix
        found = predict(x, 1.0 - each.left)
        x, before = each.advance(x, found, before)
    x[:, :length] = committed_prefix
    return x


@dataclass(frozen=True)
class _Step:
    left: float  # 1 where all is noise
    advance: Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray | None]]


def _euler(steps: int) -> Iterator[_Step]:
    sigmas = np.append(np.array([1 - i / steps for i in range(steps)], np.float32), np.float32(0))
    for now, then in zip(sigmas[:-1], sigmas[1:], strict=True):

        def advance(
            x: np.ndarray,
            end: np.ndarray,
            before: np.ndarray | None,
            now: np.float32 = now,
            then: np.float32 = then,
        ) -> tuple[np.ndarray, None]:
            return x + (then - now) * ((x - end) / now), None

        yield _Step(float(now), advance)


def _denoised(steps: int, second_order: bool) -> Iterator[_Step]:
    """Of both samplers for predicted noise: they differ in what they keep of the step before."""
    kept = _alphas_cumprod()
    times = np.round(np.arange(NOISE_LEVELS, 0, -NOISE_LEVELS / steps)).astype(int) - 1
    if second_order:
        following = [*kept[times[1:]], 1.0]
    else:
        earlier = times - NOISE_LEVELS // steps
        following = [kept[time] if time >= 0 else 1.0 for time in earlier]
    shares = [(float(kept[time]), float(then)) for time, then in zip(times, following, strict=True)]
    for index, (time, (now, then)) in enumerate(zip(times, shares, strict=True)):
        ratio = 0.0  # of the step before to this one, in log signal-to-noise; 0: first order
        if second_order and 0 < index < len(times) - 1:
            ratio = (_snr(now) - _snr(shares[index - 1][0])) / (_snr(then) - _snr(now))
        yield _Step((int(time) + 1) / NOISE_LEVELS, _denoise(now, then, ratio))


def _denoise(
    now: float, then: float, ratio: float
) -> Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]]:
    """One step from the level that keeps `now` of the data's variance to the one that keeps `then`."""

    def advance(
        x: np.ndarray, epsilon: np.ndarray, before: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        clean = (x - np.float32((1 - now) ** 0.5) * epsilon) / np.float32(now**0.5)
        aim = clean
        if ratio and before is not None:
            aim = clean + np.float32(0.5 / ratio) * (clean - before)
        noise = (x - np.float32(now**0.5) * aim) / np.float32((1 - now) ** 0.5)
        return np.float32(then**0.5) * aim + np.float32((1 - then) ** 0.5) * noise, clean

    return advance


def _snr(share: float) -> float:
    """Half the logarithm of the signal-to-noise ratio: lambda of DPM-Solver."""
    return 0.5 * float(np.log(share / (1 - share)))


@cache
def _alphas_cumprod() -> np.ndarray:
    """(NOISE_LEVELS,) share of the data's variance at each level, the cleanest first."""
    betas = np.linspace(BETA_START**0.5, BETA_END**0.5, NOISE_LEVELS, dtype=np.float32) ** 2
    return np.cumprod(1 - betas)
