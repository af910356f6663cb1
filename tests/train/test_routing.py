"""Where recorded windows go among experts, by task and phase, and what that page says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.train.reporting.routing_page import routing_page
from ideomotor.train.routing import Routing, routing
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.processor import fit_processor


def networks(experts: int) -> PolicyNetworks:
    torch.manual_seed(0)
    so101, rng = load_embodiment("so101"), np.random.default_rng(0)
    tokenizer = train_tokenizer(["reach the red cube"] * 3, 300)
    interpreter = Interpreter(nano_vlm(tokenizer, 32, 32, 1), tokenizer, InterpreterConfig(plan_dim=24))
    states = rng.normal(0, 0.1, (50, 6))
    actions = states[:, None] + np.cumsum(rng.normal(0, 0.01, (50, 96, 6)), axis=1)
    processor = fit_processor(so101, "test", states, actions, np.ones((50, 96), bool))
    decoder = Decoder(DecoderConfig(plan_dim=24, width=32, heads=2, blocks=2, experts=experts))
    timing = usual_timing(so101)
    return PolicyNetworks(interpreter, decoder, processor, timing, SamplingConfig(steps=2))


def test_tokens_are_counted_by_task_and_phase(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDEOMOTOR_CACHE", str(tmp_path / "cache"))
    found = routing(networks(5), [data], 6)
    assert found.windows == {("reach", "reach"): 6}
    assert found.total.shape == (2, 5)
    assert found.total.sum(1).tolist() == [6 * 2 * 12] * 2  # windows, passes, tokens; in each block
    assert set(found.unused()) == {
        f"{block}.{number}" for block in range(2) for number in range(5) if not found.total[block, number]
    }
    with pytest.raises(UserError, match="has no experts"):
        routing(networks(0), [data], 1)


def test_what_a_place_tells_and_what_the_page_shows() -> None:
    counts = {
        ("lift", "grasp"): np.array([[30, 0, 0], [10, 10, 10]]),
        ("lift", "reach"): np.array([[0, 30, 0], [10, 10, 10]]),
    }
    found = Routing(counts, dict.fromkeys(counts, 5))
    assert found.explained_by_place() == pytest.approx([1.0, 0.0])
    assert found.unused() == ["0.2"]
    page = routing_page(found, "runs/<mine>")
    assert "runs/&lt;mine&gt;" in page and "<script" not in page
    assert "Nothing went to: 0.2" in page and "lift, grasp (5)" in page
    assert "Block 0: 100 % of where" in page and ">33</td>" in page
