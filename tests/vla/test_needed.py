"""What a run does not ask for is not loaded and not computed, and answers are those without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Observation
from ideomotor.launch.api import load_policy
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.needed import Needed
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy
from ideomotor.vla.processor import Processor


@pytest.fixture(scope="module", params=["keypoints", "grid"])
def checkpoint(
    request, so101: Embodiment, processor: Processor, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two cameras in both networks, two embodiments, and a plan from below the last layer."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["reach the red cube"] * 3, 300)
    looks = InterpreterConfig(cameras=("front", "wrist"), plan_dim=24, layer=1)
    interpreter = Interpreter(nano_vlm(tokenizer, 32, 32, 3), tokenizer, looks)
    bodies = (("so101", 6), ("dual", 14))
    shape = DecoderConfig(bodies, plan_dim=24, width=32, heads=2, blocks=2, vision=request.param)
    decoder = Decoder(shape)
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path_factory.mktemp("needed") / "policy"
    PolicyNetworks(interpreter, decoder, processor, usual_timing(so101)).save_pretrained(folder)
    return folder


def count(*modules: torch.nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def answers(networks: PolicyNetworks, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    policy = EpisodePolicy(networks, seed=5)
    plan = policy.plan(observation, describe=False)
    return plan.tokens, policy.act(observation, plan, np.zeros((3, 6))).actions


@pytest.mark.parametrize("cameras", [("front",), ("wrist",), ()])
def test_a_camera_that_is_never_shown_is_not_loaded_and_answers_are_those_without_it(
    checkpoint: Path, observation: Observation, cameras: tuple[str, ...]
) -> None:
    whole = PolicyNetworks.from_pretrained(checkpoint)
    some = PolicyNetworks.from_pretrained(checkpoint, needed=Needed(cameras))
    left = replace(observation, images={name: observation.images[name] for name in cameras})
    for ours, theirs in zip(answers(some, observation), answers(whole, left), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)
    absent = [name for name in ("front", "wrist") if name not in cameras]
    encoders = [whole.decoder.visual_encoders[name] for name in absent]
    kept = sum(encoder.missing.numel() for encoder in encoders)
    gone = count(*encoders) - kept + count(whole.decoder.projections["dual"])
    assert count(some.decoder) == count(whole.decoder) - gone
    assert some.cameras == cameras
    with pytest.raises(RuntimeError, match="only what a run needs was loaded"):
        some.save_pretrained(checkpoint)


def test_without_text_the_layers_above_the_plan_are_not_loaded(
    checkpoint: Path, observation: Observation
) -> None:
    whole = PolicyNetworks.from_pretrained(checkpoint)
    silent = PolicyNetworks.from_pretrained(checkpoint, needed=Needed(text=False))
    layers = whole.interpreter.vlm.model.text_model.layers
    assert count(silent.interpreter) == count(whole.interpreter) - count(*layers[1:])
    for ours, theirs in zip(answers(silent, observation), answers(whole, observation), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert EpisodePolicy(silent).plan(observation, describe=True).text == ""


def test_the_api_and_its_mistakes(checkpoint: Path, observation: Observation) -> None:
    policy = load_policy(checkpoint, cameras=["front"], text=False)
    assert policy.policy.networks.cameras == ("front",)
    seen = {**observation.images, "state": observation.state, "instruction": observation.instruction}
    assert np.isfinite(policy(seen)).all()
    with pytest.raises(UserError, match="cameras: .*'side'.*front, wrist"):
        load_policy(checkpoint, cameras=["side"])
    with pytest.raises(UserError, match="cameras: got front, expected front, wrist: an exported policy"):
        Needed(("front",)).check_exported(("front", "wrist"), True)
