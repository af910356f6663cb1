"""How far a policy's chunks are from the demonstrated ones, in figures that are called by their unit."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.action_objective import ActionBatch, ActionObjective
from ideomotor.vla.decoder.decoder import DecoderInputs
from ideomotor.vla.decoder.sampler import sample_chunk, source_noise
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.processor import Processor

MILLI = {"rad": "mrad", "m": "mm"}  # {unit of a joint: a thousandth of it}


def units_of(loader: WindowLoader) -> list[str]:
    """Returns the units of the joints that commands are for; "1" of deltas."""
    return [joint.unit for joint in loader.embodiment.joints]


@torch.inference_mode()
def examine(
    objective: ActionObjective,
    batch: ActionBatch,
    processor: Processor,
    sampling: SamplingConfig,
    units: Sequence[str],
) -> dict[str, float]:
    """How far sampled chunks are from the demonstrated ones, without a committed prefix.

    Args:
        units: of the joints: the figures are of milliradians or millimetres where all have one of these
            units, and are called so; of pixels, deltas and different units they are as the commands are.
    """
    decoder, plan_features = objective.decoder, batch.plan_features
    assert plan_features is not None
    device = next(decoder.parameters()).device
    ones = torch.ones(len(batch.state), device=device)
    plan, _ = objective.plan_head(*(part.to(device) for part in vars(plan_features).values()))
    inputs = DecoderInputs(
        plan=plan,
        has_plan=ones,
        pixels=batch.pixels.to(device),
        has_camera=ones[:, None].expand(-1, batch.pixels.shape[1]),
        state=batch.state.to(device),
        has_state=ones,
        past_commands=batch.past_commands.to(device),
        has_past_commands=ones,
    )
    actions = batch.actions
    noise = sampling.noise * source_noise(*actions.shape, knots=sampling.noise_knots).to(device)
    sampled = sample_chunk(
        decoder, objective.embodiment, inputs, noise[:, :0], noise, sampling.steps, sampling.sampler
    ).cpu()
    spread = torch.tensor(processor.action_std)
    error = ((sampled - actions) * spread).abs().mean(-1) * batch.counted  # (B, H) [unit of the joints]
    share = batch.counted.sum(0).clamp_min(1.0)
    name, scale = figure(units)
    by_tick = error.sum(0) / share * scale
    last = by_tick.shape[0] - 1
    return {f"{name}_tick_{tick}": float(by_tick[min(tick, last)]) for tick in (0, 12, 24, 48, 95)}


def figure(units: Sequence[str]) -> tuple[str, float]:
    """The name of an error's figure, and what the error is multiplied by."""
    if len(set(units)) == 1 and units[0] in MILLI:
        return f"error_{MILLI[units[0]]}", 1000.0
    return "error", 1.0
