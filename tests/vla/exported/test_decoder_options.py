"""Experts and waypoints are exported too, and an expert that was dropped is not written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.decoder.decoder import Decoder
from ideomotor.vla.decoder.experts import drop_experts, observed
from ideomotor.vla.exported.export import export_policy
from ideomotor.vla.exported.networks import ExportedNetworks
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy


@pytest.fixture(scope="module")
def mixed(tiny) -> PolicyNetworks:
    """The tiny policy with another decoder."""
    torch.manual_seed(7)
    decoder = Decoder(replace(tiny.networks.decoder_config, blocks=4, experts=5, waypoints_every=24))
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return replace(tiny.networks, decoder_or_config=decoder)


def answers(networks, count: int = 8) -> list[np.ndarray]:
    found, rng = [], np.random.default_rng(0)
    for index in range(count):
        images = {name: rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for name in ("front", "wrist")}
        seen = Observation(0.0, 0, images, rng.normal(0, 0.4, 6).astype(np.float32), "reach the red cube")
        plan = LatentPlan(rng.normal(size=(8, 24)).astype(np.float32), 0.0)
        prefix = seen.state + rng.normal(0, 0.02, (4 * index, 6))
        found.append(EpisodePolicy(networks, seed=index).act(seen, plan, prefix).actions)
    return found


def test_what_is_exported_answers_alike_and_without_an_unused_expert_too(
    mixed: PolicyNetworks, tiny, tmp_path: Path
) -> None:
    tokenizer = tiny.checkpoint / "interpreter" / "tokenizer.json"
    with observed(mixed.decoder.mixtures()) as logs:
        theirs = answers(mixed)
    used = [{int(n) for passed in log for n in passed.flatten()} for log in logs]
    assert len(set().union(*used)) > 1
    export_policy(mixed, tokenizer, "", tmp_path / "whole")
    np.testing.assert_allclose(answers(ExportedNetworks.from_exported(tmp_path / "whole")), theirs, atol=1e-4)
    unused = [f"{b}.{n}" for b in range(4) for n in range(5) if n not in used[b]] or ["0.4"]
    drop_experts(mixed.decoder.mixtures(), unused)
    export_policy(mixed, tokenizer, "", tmp_path / "less")
    less = answers(ExportedNetworks.from_exported(tmp_path / "less"))
    np.testing.assert_allclose(less, answers(mixed), atol=1e-4)
    sizes = [(tmp_path / name / "step.onnx").stat().st_size for name in ("whole", "less")]
    one = sum(parameter.numel() for parameter in mixed.decoder.mixtures()[0].experts[0].parameters())
    assert sizes[0] - sizes[1] > 0.9 * 4 * one * len(unused)
