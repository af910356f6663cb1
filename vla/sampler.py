"""From noise to a chunk: a few Euler steps of the flow, through a diffusers scheduler.

diffusers counts sigma from 1 (noise) down to 0 (data) and steps along d x / d sigma; our flow time is
1 - sigma. The decoder predicts where the flow ends, so that d x / d sigma = (x - end) / sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from ideomotor.vla.decoder import Decoder, DecoderInputs


@dataclass(frozen=True)
class SamplingConfig:
    """How chunks are drawn; part of the checkpoint."""

    steps: int = 5  # Euler steps
    noise_knots: int = 12  # 0: white source noise, otherwise a spline's; as in training
    history: bool = False  # whether past commands are given to the decoder; as in training
    smoothing: float = 5000.0  # strength of the smoothing of chunks; 0 for none
    describe_every: int = 0  # plans after which the readable plan is written anew in any case; 0: never


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


@torch.inference_mode()
def sample_chunk(
    decoder: Decoder,
    embodiment: str,
    inputs: DecoderInputs,
    prefix: torch.Tensor,
    noise: torch.Tensor,
    steps: int = 5,
) -> torch.Tensor:
    """A chunk of normalised commands whose first d ticks are the prefix.

    Args:
        prefix: (B, d, A) committed commands, normalised; d may be 0.
        noise: (B, H, A) from `source_noise`.
        steps: Euler steps; each is one pass of the decoder. The context is encoded once.

    Returns:
        (B, H, A)
    """
    context = decoder.context(embodiment, inputs)
    committed = torch.zeros(noise.shape[:2], device=noise.device)
    committed[:, : prefix.shape[1]] = 1.0
    scheduler: Any = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
    x = noise.clone()
    for timestep in scheduler.timesteps:
        x[:, : prefix.shape[1]] = prefix
        sigma = (timestep / 1000).to(x)
        end = decoder(embodiment, x, committed, (1 - sigma).expand(len(x)), context)
        x = scheduler.step((x - end) / sigma, timestep, x, return_dict=False)[0]
    x[:, : prefix.shape[1]] = prefix
    return x


def _spline_basis(ticks: int, knots: int) -> torch.Tensor:
    """(ticks, knots + 3) uniform cubic B-splines, rows scaled to unit length so that variance is one."""
    at = torch.arange(ticks) / ticks * knots
    distance = (at[:, None] - (torch.arange(knots + 3) - 1)[None, :]).abs()
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clamp_min(0.0) ** 3 / 6
    basis = torch.where(distance < 1, inner, outer)
    return basis / basis.norm(dim=1, keepdim=True)
