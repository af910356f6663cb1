"""A policy small enough to make in a moment: random weights, real code paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Observation
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.interpreter.families import FAMILIES
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy
from ideomotor.vla.processor import Processor, fit_processor

CORPUS = [
    "reach the red cube",
    "put the blue ball into the bowl",
    "scene: red cube. now: reach the red cube.",
] * 3

transformers.logging.set_verbosity_error()


@pytest.fixture(scope="session")
def so101() -> Embodiment:
    return load_embodiment("so101")


@pytest.fixture(scope="session")
def interpreter() -> Interpreter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(CORPUS, 320)
    return Interpreter(nano_vlm(tokenizer, 32, 32, 1), tokenizer, InterpreterConfig(plan_dim=24)).eval()


@pytest.fixture(scope="session")
def decoder() -> Decoder:
    torch.manual_seed(1)
    decoder = Decoder(DecoderConfig(plan_dim=24, width=32, heads=2, blocks=2))
    for parameter in decoder.parameters():  # the output layers start at zero, which would hide mistakes
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return decoder.eval()


@pytest.fixture(scope="session")
def processor(so101: Embodiment) -> Processor:
    rng = np.random.default_rng(0)
    states = rng.normal(0, 0.5, (200, 6))
    actions = states[:, None] + np.cumsum(rng.normal(0, 0.01, (200, 96, 6)), axis=1)
    return fit_processor(so101, "test", states, actions, np.ones((200, 96), bool))


@pytest.fixture
def policy(
    so101: Embodiment, interpreter: Interpreter, decoder: Decoder, processor: Processor
) -> EpisodePolicy:
    return EpisodePolicy(PolicyNetworks(interpreter, decoder, processor, usual_timing(so101)))


@pytest.fixture
def observation() -> Observation:
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for name in ("front", "wrist")}
    return Observation(0.5, 60, images, rng.normal(0, 0.3, 6).astype(np.float32), "reach the red cube")


@pytest.fixture(scope="session")
def tiny_bases():
    """The module tiny_bases.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        import tiny_bases

        yield tiny_bases


@pytest.fixture(scope="session")
def bases(tiny_bases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{family: folder of a tiny model}; to be changed only as a copy."""
    root = tmp_path_factory.mktemp("bases")
    return {family: tiny_bases.save_tiny_base(family, root / family) for family in FAMILIES}


@pytest.fixture
def make(tiny_bases):
    return tiny_bases.make


@pytest.fixture
def pictures(tiny_bases):
    return tiny_bases.pictures
