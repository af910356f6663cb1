"""Commands that are deltas: learned as they are, whatever the state, and continued from rest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Observation
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy
from ideomotor.vla.processor import fit_processor, load_processor

REACHER = load_embodiment("reacher")


@pytest.fixture(scope="module")
def processor():
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (300, 96, 2))
    return fit_processor(REACHER, "test", rng.normal(2, 1, (300, 6)), actions, np.ones((300, 96), bool))


def test_deltas_are_normalised_without_the_state(processor, tmp_path):
    rng = np.random.default_rng(1)
    actions, states = rng.uniform(-1, 1, (5, 96, 2)), rng.normal(0, 9, (2, 5, 6))
    near, far = (processor.relative(actions, state) for state in states)
    assert np.array_equal(near, far) and abs(near.mean()) < 0.2 and abs(near.std() - 1) < 0.1
    assert np.allclose(processor.absolute(near, states[0]), actions, atol=1e-6)
    assert processor.state(states[0]).shape == (5, 6)
    processor.save(tmp_path / "processor.json")
    assert load_processor(tmp_path / "processor.json") == processor


def test_a_policy_of_deltas_acts_and_starts_from_rest(processor, interpreter: Interpreter):
    torch.manual_seed(0)
    config = DecoderConfig((("reacher", 2),), (6,), ("above",), plan_dim=24, width=32, heads=2, blocks=2)
    decoder = Decoder(config)
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    policy = EpisodePolicy(
        PolicyNetworks(interpreter, decoder, processor, usual_timing(REACHER), SamplingConfig(smoothing=0.0))
    )
    past, known = policy._own_past(0, np.full(6, 3.0))
    assert past.shape == (8, 2) and not past.any() and known
    picture = np.zeros((96, 96, 3), np.uint8)
    observation = Observation(0.0, 0, {"above": picture}, np.full(6, 3.0, np.float32), "reach")
    prefix = np.array([[0.5, -0.5], [0.25, 0.0]])
    chunk = policy.act(observation, policy.plan(observation), prefix)
    assert chunk.actions.shape == (96, 2) and np.array_equal(chunk.actions[:2], prefix.astype(np.float32))
    assert np.abs(chunk.actions).max() < 10  # not around the state, which is at 3 here
    # Far from what was commanded a robot with joint targets has not followed; deltas say nothing of that.
    later = replace(observation, time=10 / 50, tick=10)
    assert policy._own_past(later.tick, np.full(6, -30.0))[1]
