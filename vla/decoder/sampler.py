"""From noise to a chunk: a few steps of a sampler, for decoders trained on either objective.

`flow`: the decoder predicts where the flow from noise to data ends. Sigma runs from 1 (noise) down to 0
(data) in equal Euler steps along d x / d sigma = (x - end) / sigma; our flow time is 1 - sigma.

`epsilon`: the decoder predicts the noise in x = alpha data + sigma noise (DDPM, arXiv 2006.11239), stepped
with DDIM (arXiv 2010.02502) or the second-order DPM-Solver++ (arXiv 2211.01095), both of diffusers. Its time
runs as the flow's: 1 where commands are clean, as only committed ones are, and 0 where they are noise.

Both keep committed commands clean (training-time real-time chunking, arXiv 2512.05964): the first d ticks are
given as they are, at time 1, before each step.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch

from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderInputs
from ideomotor.vla.decoder.sampling import BETA_END, BETA_START, NOISE_LEVELS, SAMPLERS

_LEVELS: dict[str, Any] = dict(
    num_train_timesteps=NOISE_LEVELS, beta_schedule="scaled_linear", beta_start=BETA_START, beta_end=BETA_END
)


def source_noise(
    batch: int, ticks: int, joints: int, knots: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """(batch, ticks, joints) Gaussian noise of unit variance at each tick.

    Args:
        knots: 0 for white noise; otherwise the noise is a cubic B-spline with so many random
            coefficients, as smooth as the motions it is turned into.
    """
    if knots == 0:
        return torch.randn(batch, ticks, joints, generator=generator)
    basis = _spline_basis(ticks, knots)
    return torch.einsum("tk,bkj->btj", basis, torch.randn(batch, basis.shape[1], joints, generator=generator))


@cache
def noise_levels() -> tuple[torch.Tensor, torch.Tensor]:
    """alpha and sigma, each (NOISE_LEVELS,), of the levels of the objective `epsilon`, the cleanest first.

    The decoder's time at level t is 1 - (t + 1) / NOISE_LEVELS.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    kept = DDIMScheduler(**_LEVELS).alphas_cumprod
    return kept.sqrt(), (1 - kept).sqrt()


def sample_chunk(
    decoder: Decoder,
    embodiment: str,
    inputs: DecoderInputs,
    committed_prefix: torch.Tensor,
    noise: torch.Tensor,
    steps: int = 5,
    sampler: str = "euler",
) -> torch.Tensor:
    """A chunk of normalised commands whose first d ticks are the committed prefix.

    Args:
        committed_prefix: (B, d, A) committed commands, normalised; d may be 0.
        noise: (B, H, A) from `source_noise`.
        steps: each is one pass of the decoder. The context is encoded once.
        sampler: one of those of the objective that the decoder was trained on.

    Returns:
        (B, H, A)
    """
    with torch.inference_mode():
        context = decoder.context(embodiment, inputs)
    return sample_in_context(decoder, embodiment, context, committed_prefix, noise, steps, sampler)


@torch.inference_mode()
def sample_in_context(
    decoder: Decoder,
    embodiment: str,
    context: Context,
    committed_prefix: torch.Tensor,
    noise: torch.Tensor,
    steps: int,
    sampler: str,
) -> torch.Tensor:
    """As `sample_chunk`, in a context that is encoded already."""
    is_committed = torch.zeros(noise.shape[:2], device=noise.device)
    is_committed[:, : committed_prefix.shape[1]] = 1.0
    flow, scheduler = sampler in SAMPLERS["flow"], _scheduler(sampler, steps)
    x = noise.clone()
    for timestep in scheduler.timesteps:
        x[:, : committed_prefix.shape[1]] = committed_prefix
        left = ((timestep if flow else timestep + 1) / NOISE_LEVELS).to(x)  # 1 where all is noise
        found = decoder(embodiment, x, is_committed, (1 - left).expand(len(x)), context)
        x = scheduler.step((x - found) / left if flow else found, timestep, x, return_dict=False)[0]
    x[:, : committed_prefix.shape[1]] = committed_prefix
    return x


class EulerSteps:
    """diffusers' FlowMatchEulerDiscreteScheduler with evenly spaced sigmas, to the bit.

    It is written out because importing diffusers takes 2.6 CPU seconds of every process that draws chunks.

    Attributes:
        timesteps: (steps,) NOISE_LEVELS times the sigmas, from NOISE_LEVELS down.
    """

    def __init__(self, steps: int) -> None:
        self._sigmas = torch.tensor([*(1 - i / steps for i in range(steps)), 0.0])
        self.timesteps = self._sigmas[:-1] * NOISE_LEVELS
        self._taken = 0

    def step(
        self, slope: torch.Tensor, timestep: torch.Tensor, x: torch.Tensor, return_dict: bool = False
    ) -> tuple[torch.Tensor]:
        """(x at the next sigma,); `timestep` is the next of `timesteps`, and the answer is always a tuple."""
        by = self._sigmas[self._taken + 1] - self._sigmas[self._taken]
        self._taken += 1
        return ((x.float() + by * slope).to(slope.dtype),)


def _scheduler(sampler: str, steps: int) -> Any:
    """What counts NOISE_LEVELS timesteps down to data in so many steps: ours, or a scheduler of diffusers.

    diffusers takes two to three seconds to import: only whoever draws with it does, and only what it needs.
    """
    scheduler: Any
    if sampler == "euler":
        return EulerSteps(steps)
    # `trailing` starts where there is nothing but noise (arXiv 2305.08891).
    options: dict[str, Any] = dict(**_LEVELS, prediction_type="epsilon", timestep_spacing="trailing")
    if sampler == "ddim":
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler

        scheduler = DDIMScheduler(**options, clip_sample=False)
    else:
        from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

        scheduler = DPMSolverMultistepScheduler(**options, algorithm_type="dpmsolver++", solver_order=2)
    with warnings.catch_warnings():  # diffusers makes an array of a tensor in a way that numpy 2 warns of
        warnings.simplefilter("ignore", DeprecationWarning)
        scheduler.set_timesteps(steps)
    return scheduler


def _spline_basis(ticks: int, knots: int) -> torch.Tensor:
    """(ticks, knots + 3) uniform cubic B-splines, rows scaled to unit length so that variance is one."""
    at = torch.arange(ticks) / ticks * knots
    distance = (at[:, None] - (torch.arange(knots + 3) - 1)[None, :]).abs()
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clamp_min(0.0) ** 3 / 6
    basis = torch.where(distance < 1, inner, outer)
    return basis / basis.norm(dim=1, keepdim=True)
