"""The sampler follows the flow to the data, keeps what is committed, and repeats itself exactly."""

import numpy as np
import pytest
import torch

from ideomotor.vla.decoder import Decoder, DecoderInputs
from ideomotor.vla.sampler import sample_chunk, source_noise


def inputs(decoder: Decoder, batch: int = 1) -> DecoderInputs:
    config, seeded = decoder.config, torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=seeded)

    ones, cameras = torch.ones(batch), len(config.cameras)
    return DecoderInputs(
        plan=draw(config.plan_tokens, config.plan_dim),
        has_plan=ones,
        pixels=draw(cameras, 3, config.image_size, config.image_size),
        has_camera=torch.ones(batch, cameras),
        state=draw(6),
        has_state=ones,
        history=draw(config.history, 6),
        has_history=ones,
    )


class Straight:
    """Stands in for a decoder that knows where the flow ends."""

    def __init__(self, chunk: torch.Tensor):
        self.chunk = chunk

    def context(self, embodiment: str, inputs: object) -> list:
        return []

    def __call__(self, embodiment, actions, committed, time, context):
        return self.chunk


@pytest.mark.parametrize("steps", [1, 4, 5, 10])
def test_euler_steps_arrive_where_the_flow_leads(steps: int) -> None:
    chunk = torch.randn(2, 96, 6)
    sampled = sample_chunk(Straight(chunk), "x", None, chunk[:, :0], torch.randn(2, 96, 6), steps)
    torch.testing.assert_close(sampled, chunk, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("delay", [0, 1, 8, 30])
def test_committed_commands_come_back_bit_for_bit(decoder: Decoder, delay: int) -> None:
    prefix, noise = torch.randn(1, delay, 6), torch.randn(1, 96, 6)
    sampled = sample_chunk(decoder, "so101", inputs(decoder), prefix, noise)
    assert torch.equal(sampled[:, :delay], prefix)
    assert torch.equal(sampled, sample_chunk(decoder, "so101", inputs(decoder), prefix, noise))


@pytest.mark.parametrize("name", ["plan", "pixels", "state", "history"])
def test_a_missing_sense_is_not_looked_at(decoder: Decoder, name: str) -> None:
    there = inputs(decoder)
    flag = "has_camera" if name == "pixels" else f"has_{name}"
    off = {flag: torch.zeros_like(getattr(there, flag))}
    blind = DecoderInputs(**{**vars(there), **off})
    garbage = DecoderInputs(**{**vars(blind), name: 5 * torch.ones_like(getattr(there, name))})
    noise = torch.randn(1, 96, 6)
    without = sample_chunk(decoder, "so101", blind, noise[:, :0], noise)
    assert torch.equal(without, sample_chunk(decoder, "so101", garbage, noise[:, :0], noise))
    assert not torch.equal(without, sample_chunk(decoder, "so101", there, noise[:, :0], noise))


@pytest.mark.parametrize("knots", [0, 12, 24])
def test_source_noise_has_unit_variance_at_every_tick(knots: int) -> None:
    noise = source_noise(4000, 96, 2, knots, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(noise.std(axis=(0, 2)), 1.0, atol=0.05)
