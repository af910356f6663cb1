"""Policies to export: the bundled one, and a tiny one with everything that recipes may choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.timing import usual_timing
from ideomotor.vla.checkpoint_info import bundled_checkpoint
from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.decoder import Decoder
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.exported.export import export_policy
from ideomotor.vla.exported.networks import ExportedNetworks
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.processor import fit_processor

CORPUS = ["reach the red cube", "put the blue ball into the bowl", "scene: red cube. now: reach."] * 3


@dataclass(frozen=True)
class Exported:
    """A policy twice."""

    networks: PolicyNetworks
    exported: ExportedNetworks
    checkpoint: Path
    folder: Path


def tiny_networks() -> PolicyNetworks:
    """Pictures of two cameras in the prompt, the joint state too, a plan from below the last layer; the
    decoder with keypoints, chunks that begin at the last command, several passes."""
    torch.manual_seed(0)
    so101, rng = load_embodiment("so101"), np.random.default_rng(0)
    tokenizer = train_tokenizer(CORPUS, 320)
    looks = InterpreterConfig(cameras=("front", "wrist"), plan_dim=24, layer=1, proprio=6)
    interpreter = Interpreter(nano_vlm(tokenizer, 64, 80, 2), tokenizer, looks)
    states = rng.normal(0, 0.5, (200, 6))
    actions = states[:, None] + np.cumsum(rng.normal(0, 0.01, (200, 96, 6)), axis=1)
    past = states[:, None] + rng.normal(0, 0.01, (200, 8, 6))
    processor = fit_processor(so101, "test", states, actions, np.ones((200, 96), bool), past)
    shape = DecoderConfig(
        states=(processor.state_numbers,), plan_dim=24, width=32, heads=2, blocks=2, commands_per_token=16,
        vision="keypoints", queries=3, state_octaves=2,
    )  # fmt: skip
    decoder = Decoder(shape)
    for part in (interpreter, decoder):  # what starts at zero would hide mistakes
        for parameter in part.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    sampling = SamplingConfig(steps=3, past_commands=True)
    return PolicyNetworks(interpreter, decoder, processor, usual_timing(so101), sampling)


def export(networks: PolicyNetworks, folder: Path, tokenizer: Path, **choices) -> ExportedNetworks:
    export_policy(networks, tokenizer, "source", folder, **choices)
    return ExportedNetworks.from_exported(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    root, networks = tmp_path_factory.mktemp("tiny"), tiny_networks()
    networks.save_pretrained(root / "checkpoint")
    tokenizer = root / "checkpoint" / "interpreter" / "tokenizer.json"
    exported = export(networks, root / "exported", tokenizer)
    return Exported(networks, exported, root / "checkpoint", root / "exported")


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder, checkpoint = tmp_path_factory.mktemp("bundled") / "exported", bundled_checkpoint()
    networks = PolicyNetworks.from_pretrained(checkpoint)
    exported = export(networks, folder, checkpoint / "interpreter" / "tokenizer.json")
    return Exported(networks, exported, checkpoint, folder)
