"""Noise and samplers without torch are those of torch and diffusers."""

import numpy as np
import pytest
import torch

from ideomotor.vla.decoder import sampler as with_torch
from ideomotor.vla.decoder.sampling import NOISE_LEVELS, SAMPLERS
from ideomotor.vla.exported.noise import TorchGenerator, source_noise
from ideomotor.vla.exported.samplers import sample


@pytest.mark.parametrize("seed", [0, 1, 1_000_009, 2**33 + 5])
def test_normal_numbers_are_torchs(seed: int) -> None:
    ours, theirs = TorchGenerator(seed), torch.Generator().manual_seed(seed)
    for shape in [(1, 15, 6), (3, 96, 6), (16,), (17,), (5,), (4, 3), (1,), (2, 31)]:
        drawn = torch.randn(*shape, generator=theirs).numpy()
        np.testing.assert_allclose(ours.normal(*shape), drawn, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("knots", [0, 6, 12])
def test_source_noise_is_the_same(knots: int) -> None:
    ours, theirs = TorchGenerator(7), torch.Generator().manual_seed(7)
    for batch in (1, 3):
        expected = with_torch.source_noise(batch, 96, 6, knots, theirs).numpy()
        np.testing.assert_allclose(source_noise(batch, 96, 6, knots, ours), expected, atol=5e-6)


@pytest.mark.parametrize("sampler", [name for names in SAMPLERS.values() for name in names])
@pytest.mark.parametrize("steps", [1, 2, 5, 10, 20])
@pytest.mark.parametrize("prefix", [0, 7])
def test_samplers_are_diffusers(sampler: str, steps: int, prefix: int) -> None:
    """Of a decoder that is a fixed function of where and when it is asked."""
    generator = torch.Generator().manual_seed(steps)
    noise, committed = (
        torch.randn(2, 24, 3, generator=generator),
        torch.randn(2, prefix, 3, generator=generator),
    )
    times: list[float] = []

    def predict(x: torch.Tensor, time: float) -> torch.Tensor:
        return torch.tanh(0.7 * x + 0.3) * (0.5 + time)

    class Fake:
        def __call__(self, _name, x, _committed, time, _context):
            times.append(float(time[0]))
            return predict(x, float(time[0]))

    expected = with_torch.sample_in_context(Fake(), "arm", None, committed, noise, steps, sampler)
    ours: list[float] = []

    def asked(x: np.ndarray, time: float) -> np.ndarray:
        ours.append(time)
        return predict(torch.from_numpy(x), time).numpy()

    found = sample(asked, committed.numpy(), noise.numpy(), steps, sampler)
    assert ours == pytest.approx(times, abs=1e-6) and min(ours) >= 0 and max(ours) < 1 + 1 / NOISE_LEVELS
    np.testing.assert_allclose(found, expected.numpy(), atol=3e-5, rtol=1e-4)
    np.testing.assert_array_equal(found[:, :prefix], committed.numpy())
