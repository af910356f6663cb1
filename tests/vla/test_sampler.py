"""Samplers draw from what was learned, keep what is committed, and repeat themselves exactly."""

import numpy as np
import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.vla.decoder.decoder import Decoder, DecoderInputs
from ideomotor.vla.decoder.sampler import EulerSteps, noise_levels, sample_chunk, source_noise
from ideomotor.vla.decoder.sampling import NOISE_LEVELS, SAMPLERS, SamplingConfig

EVERY = [sampler for samplers in SAMPLERS.values() for sampler in samplers]


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
        past_commands=draw(config.past_command_ticks, 6),
        has_past_commands=ones,
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


@pytest.mark.parametrize("steps", [1, 3, 5, 10])
def test_eulers_steps_are_those_of_diffusers_to_the_bit(steps: int) -> None:
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    theirs, ours = FlowMatchEulerDiscreteScheduler(), EulerSteps(steps)
    theirs.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
    assert torch.equal(ours.timesteps, theirs.timesteps)
    x, seeded = torch.randn(2, 96, 6), torch.Generator().manual_seed(0)
    assert theirs.timesteps is not None
    for timestep in theirs.timesteps:
        slope = torch.randn(2, 96, 6, generator=seeded)
        expected = theirs.step(slope, timestep, x, return_dict=False)[0]
        (found,) = ours.step(slope, timestep, x)
        assert torch.equal(found, expected) and not torch.equal(found, x)
        x = expected


class Gaussian:
    """A decoder that has perfectly learned chunks of two ticks of two joints, from N(mean, covariance).

    Given a committed first tick, it denoises the second by its distribution in knowledge of the first.
    """

    mean = torch.tensor([0.8, -0.5, 0.2, 1.1], dtype=torch.float64)
    root = torch.tensor(
        [[0.9, 0.0, 0.0, 0.0], [0.3, 0.5, 0.0, 0.0], [0.6, -0.2, 0.4, 0.0], [-0.1, 0.7, 0.2, 0.3]],
        dtype=torch.float64,
    )
    covariance = root @ root.T

    def __init__(self, sampler: str):
        self.flow = sampler in SAMPLERS["flow"]
        self.times: list[float] = []

    def context(self, embodiment: str, inputs: object) -> list:
        return []

    def known(self, first: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (B, 2) and covariance (2, 2) of the second tick, given the first (B, 2)."""
        near = self.covariance[2:, :2] @ torch.linalg.inv(self.covariance[:2, :2])
        mean = self.mean[2:] + (first - self.mean[:2]) @ near.T
        return mean, self.covariance[2:, 2:] - near @ self.covariance[:2, 2:]

    def __call__(self, embodiment, actions, committed, time, context):
        x, free = actions.flatten(1), int(2 * (1 - committed[0]).sum())
        mean, covariance = self.mean, self.covariance
        if free == 2:
            mean, covariance = self.known(x[:, :2])
        if self.flow:
            alpha, sigma = time[0], 1 - time[0]
        else:
            level = round(float((1 - time[0]) * NOISE_LEVELS)) - 1
            alpha, sigma = (part[level] for part in noise_levels())
        self.times.append(float(time[0]))
        noisy = alpha**2 * covariance + sigma**2 * torch.eye(free, dtype=torch.float64)
        away = torch.linalg.solve(noisy, (x[:, -free:] - alpha * mean).T).T
        found = x.clone()
        found[:, -free:] = mean + alpha * away @ covariance if self.flow else sigma * away
        return found.view_as(actions)


def drawn(sampler: str, steps: int, prefix: torch.Tensor, pure: bool = False) -> torch.Tensor:
    """(400, 4) samples of `Gaussian` behind a prefix (d, 2).

    What is sampled from has exactly the mean and covariance that it should have, so that, every step being
    linear, those of the samples are exact but for the steps' own error. That is what training has at its last
    level, a little of the data in it, or pure noise.
    """
    source = torch.randn(400, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    source = source - source.mean(0)
    source = torch.linalg.solve_triangular(torch.linalg.cholesky(source.T.cov()), source.T, upper=False).T
    decoder = Gaussian(sampler)
    if not decoder.flow and not pure:
        alpha, sigma = (part[-1].double() for part in noise_levels())
        mean, covariance = decoder.mean.clone(), decoder.covariance.clone()
        if len(prefix):
            mean[2:], covariance[2:, 2:] = (part.squeeze(0) for part in decoder.known(prefix))
            covariance[2:, :2] = covariance[:2, 2:] = 0
        last = torch.linalg.cholesky(alpha**2 * covariance + sigma**2 * torch.eye(4))
        source = alpha * mean + source @ last.T
    prefix = prefix.expand(400, -1, -1)
    return sample_chunk(decoder, "x", None, prefix, source.view(400, 2, 2), steps, sampler).flatten(1)


NONE, FIRST = torch.empty(0, 2, dtype=torch.float64), torch.tensor([[1.5, -1.0]], dtype=torch.float64)


@pytest.mark.parametrize("sampler", EVERY)
def test_samples_have_mean_and_covariance_of_what_was_learned(sampler: str) -> None:
    samples = drawn(sampler, 200, NONE)
    torch.testing.assert_close(samples.mean(0), Gaussian.mean, atol=0.01, rtol=0)
    torch.testing.assert_close(samples.T.cov(), Gaussian.covariance, atol=0.02, rtol=0)


@pytest.mark.parametrize("sampler", EVERY)
def test_samples_behind_a_committed_tick_are_what_follows_it(sampler: str) -> None:
    samples = drawn(sampler, 200, FIRST)
    mean, covariance = Gaussian(sampler).known(FIRST)
    assert (mean - Gaussian.mean[2:]).abs().max() > 0.2  # the prefix says something
    assert torch.equal(samples[:, :2], FIRST.expand(400, -1))
    torch.testing.assert_close(samples[:, 2:].mean(0), mean[0], atol=0.01, rtol=0)
    torch.testing.assert_close(samples[:, 2:].T.cov(), covariance, atol=0.02, rtol=0)


@pytest.mark.parametrize("sampler", SAMPLERS["epsilon"])
def test_from_pure_noise_means_are_drawn_to_zero_by_what_is_left_of_the_data(sampler: str) -> None:
    left = float(noise_levels()[0][-1])
    assert 0.06 < left < 0.08
    assert (drawn(sampler, 200, NONE, pure=True).mean(0) - Gaussian.mean).abs().max() < 1.5 * left


def test_the_second_order_solver_needs_fewer_steps() -> None:
    def off(sampler: str, steps: int) -> float:
        return float((drawn(sampler, steps, NONE).T.cov() - Gaussian.covariance).abs().max())

    assert off("dpm-solver", 10) < off("ddim", 20)
    assert off("dpm-solver", 20) < off("ddim", 40)


@pytest.mark.parametrize("sampler", EVERY)
@pytest.mark.parametrize("steps", [1, 5])
def test_a_step_is_one_pass_from_all_noise_to_less(sampler: str, steps: int) -> None:
    decoder = Gaussian(sampler)
    chunk = torch.randn(1, 2, 2, dtype=torch.float64)
    assert sample_chunk(decoder, "x", None, chunk[:, :0], chunk, steps, sampler).isfinite().all()
    assert len(decoder.times) == steps
    assert decoder.times[0] == pytest.approx(0.0, abs=1e-3)
    assert decoder.times == sorted(decoder.times) and decoder.times[-1] < 1.0


@pytest.mark.parametrize("sampler", EVERY)
@pytest.mark.parametrize("delay", [0, 1, 8, 30])
def test_committed_commands_come_back_bit_for_bit(decoder: Decoder, delay: int, sampler: str) -> None:
    prefix, noise = torch.randn(1, delay, 6), torch.randn(1, 96, 6)
    sampled = sample_chunk(decoder, "so101", inputs(decoder), prefix, noise, 5, sampler)
    assert torch.equal(sampled[:, :delay], prefix)
    assert torch.equal(sampled, sample_chunk(decoder, "so101", inputs(decoder), prefix, noise, 5, sampler))


def test_a_sampler_that_the_objective_has_not_is_refused() -> None:
    with pytest.raises(UserError, match="'euler', expected one of ddim, dpm-solver"):
        SamplingConfig(objective="epsilon", sampler="euler")
    with pytest.raises(UserError, match="objective.*did you mean 'epsilon'"):
        SamplingConfig(objective="epsilom")
    with pytest.raises(UserError, match="steps: got 0"):
        SamplingConfig(steps=0)


@pytest.mark.parametrize("name", ["plan", "pixels", "state", "past_commands"])
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
