"""Chunks that begin at the last command: known exactly, whatever the joints are measured at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy
from ideomotor.vla.processor import Processor, fit_processor, load_processor


@pytest.fixture(scope="module")
def processor(so101: Embodiment) -> Processor:
    rng = np.random.default_rng(0)
    past = rng.normal(0, 0.5, (200, 1, 6)) + np.cumsum(rng.normal(0, 0.01, (200, 8, 6)), axis=1)
    states = past[:, -1] + rng.normal(0, 0.005, (200, 6))
    actions = past[:, -1:] + np.cumsum(rng.normal(0, 0.01, (200, 96, 6)), axis=1)
    return fit_processor(so101, "test", states, actions, np.ones((200, 96), bool), past)


@pytest.fixture(scope="module")
def policy(so101: Embodiment, interpreter: Interpreter, processor: Processor) -> EpisodePolicy:
    torch.manual_seed(1)
    shape = DecoderConfig(states=(processor.state_numbers,), plan_dim=24, width=32, heads=2, blocks=2)
    decoder = Decoder(shape)
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return EpisodePolicy(
        PolicyNetworks(
            interpreter,
            decoder,
            processor,
            usual_timing(so101),
            SamplingConfig(past_commands=True, smoothing=0.0),
        )
    )


PLAN = LatentPlan(np.ones((8, 24), np.float32), 0.0)
NONE = np.empty((0, 6))


def test_commands_come_back_and_a_chunk_keeps_its_origin_in_the_file(
    processor: Processor, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    past, state = rng.normal(0, 0.5, (8, 6)), rng.normal(0, 0.5, 6)
    origin = processor.origin_of(state, past)
    assert np.array_equal(origin, past[-1])
    actions = origin + rng.normal(0, 0.1, (96, 6))
    assert np.allclose(processor.absolute(processor.relative(actions, origin), origin), actions, atol=1e-6)
    assert np.array_equal(processor.past_commands(past, origin)[-1], np.zeros(6))
    processor.save(tmp_path / "processor.json")
    assert load_processor(tmp_path / "processor.json") == processor


def test_the_state_is_told_as_its_distance_from_the_command(processor: Processor) -> None:
    origin = np.zeros(6)
    same, held = processor.state(origin, origin), processor.state(origin + (0, 0, 0, 0, 0, 0.3), origin)
    assert same.shape == held.shape == (processor.state_numbers,) == (18,)
    assert np.array_equal(same[:6], held[:6]) and np.array_equal(same[6:], np.zeros(12))
    assert held[11] == 3.0 and held[17] == pytest.approx(1.5)  # cut off in the fine unit, told in the coarse


def test_noise_in_the_joints_does_not_shift_a_chunk(policy: EpisodePolicy, observation: Observation) -> None:
    """Withheld from the network, another measured state gives the same commands to the bit."""
    policy.run_without(["state"])
    sent = np.repeat(observation.state[None].astype(float), 8, axis=0)
    chunks = []
    for noise in (0.0, 0.05):
        policy.reset(0)
        noisy = replace(observation, state=observation.state + np.float32(noise), past_commands=sent)
        chunks.append(policy.act(noisy, PLAN, NONE).actions)
    policy.run_without([])
    assert np.array_equal(*chunks)


def test_what_was_sent_counts_and_not_what_was_meant(policy: EpisodePolicy, observation: Observation) -> None:
    def begins(sent: np.ndarray | None) -> np.ndarray:
        policy.reset(0)
        policy.act(observation, PLAN, NONE)
        later = replace(
            observation, time=observation.time + 16 / 120, tick=observation.tick + 16, past_commands=sent
        )
        return policy.act(later, PLAN, NONE).actions[0]

    sent = np.repeat(observation.state[None].astype(float), 8, axis=0)
    moved = begins(sent + 0.1) - begins(sent)
    assert np.allclose(moved, 0.1, atol=0.03)  # the network sees the difference to the state, too
    assert not np.allclose(begins(None), begins(sent), atol=1e-4)  # its own chunk, where nobody says


def test_more_past_commands_than_are_needed_are_as_good_and_fewer_are_refused(
    policy: EpisodePolicy, observation: Observation
) -> None:
    def begins(past: np.ndarray) -> np.ndarray:
        policy.reset(0)
        return policy.act(replace(observation, past_commands=past), PLAN, NONE).actions

    needed = policy.timing.past_command_ticks
    sent = observation.state + 0.01 * np.arange(needed)[:, None]
    longer = np.concatenate([np.full((5, 6), 9.0), sent])
    assert np.array_equal(begins(longer), begins(sent))
    not_finite = sent.copy()
    not_finite[2, 3] = np.nan
    for past, words in (
        (sent[1:], rf"shape \({needed - 1}, 6\), expected \({needed}, 6\)"),
        (sent[:0], rf"shape \(0, 6\), expected \({needed}, 6\)"),
        (sent[:, :5], rf"shape \({needed}, 5\)"),
        (sent[-1], r"shape \(6,\)"),
        (not_finite, "not finite"),
    ):
        with pytest.raises(UserError, match=f"observation.past_commands: .*{words}"):
            begins(past)


def test_an_unknown_origin_in_a_file_is_refused(processor: Processor, tmp_path: Path) -> None:
    replace(processor, origin="home").save(tmp_path / "processor.json")
    with pytest.raises(UserError, match=r"processor.json.*origin 'home'.*state, command"):
        load_processor(tmp_path / "processor.json")
