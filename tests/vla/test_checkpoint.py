"""A checkpoint comes back the same, and a damaged one is refused with the file's name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla import checkpoint
from ideomotor.vla.checkpoint import load_interpreter, save_confidence, save_interpreter
from ideomotor.vla.decoder.confidence import ConfidenceConfig
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy
from ideomotor.vla.processor import Processor


@pytest.fixture
def folder(policy: EpisodePolicy, tmp_path: Path) -> Path:
    policy.networks.save_pretrained(tmp_path / "saved", "# card\n")
    return tmp_path / "saved"


def test_what_is_loaded_acts_as_what_was_saved(
    policy: EpisodePolicy, folder: Path, observation: Observation
) -> None:
    loaded = EpisodePolicy.from_pretrained(folder)
    actions = []
    for each in (policy, loaded):
        each.reset(7)
        plan = each.plan(observation)
        actions.append((plan.text, each.act(observation, plan, np.zeros((0, 6))).actions))
    assert actions[0][0] == actions[1][0]
    np.testing.assert_allclose(actions[0][1], actions[1][1], atol=1e-5)
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "interpreter", "model.safetensors", "processor.json"
    }  # fmt: skip
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pt")) + list(folder.rglob("*.pkl"))


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "processor.json", "interpreter/config.json"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "garbage"])
def test_damage_names_the_file(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "garbage": b"{]" * 20}[damage])
    with pytest.raises(UserError) as caught:
        EpisodePolicy.from_pretrained(folder)
    assert str(path.parent if "/" in name else path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    key = "decoder.token_at"
    save_file(weights | {key: weights[key][:5].clone()}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"decoder\.token_at: shape \(5, 32\), expected \(12, 32\)"):
        EpisodePolicy.from_pretrained(folder)
    save_file({k: v for k, v in weights.items() if k != key}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"missing tensor decoder\.token_at"):
        EpisodePolicy.from_pretrained(folder)


def test_a_missing_folder_and_an_unknown_field(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        EpisodePolicy.from_pretrained(tmp_path / "nowhere")
    config = json.loads((folder / "config.json").read_text())
    config["decoder"]["colour"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="colour"):
        EpisodePolicy.from_pretrained(folder)


def test_what_confidence_means_is_changed_alone_and_comes_back(folder: Path) -> None:
    others = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    save_confidence(folder, ConfidenceConfig(6, (0.25, 0.5), (0.1, 0.9)))
    loaded = EpisodePolicy.from_pretrained(folder)
    assert loaded.networks.confidence == ConfidenceConfig(6, (0.25, 0.5), (0.1, 0.9))
    changed = {path.name for path, content in others.items() if path.read_bytes() != content}
    assert changed == {"config.json"} and len(others) == len([p for p in folder.rglob("*") if p.is_file()])
    with pytest.raises(UserError, match="ascending"):
        ConfidenceConfig(4, (0.5, 0.25), (0.1, 0.9))


def test_a_checkpoint_from_before_samplers_and_confidence_still_loads(
    policy: EpisodePolicy, folder: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["confidence"]
    for name in ("objective", "sampler", "without"):
        del config["sampling"][name]
    (folder / "config.json").write_text(json.dumps(config))
    loaded = EpisodePolicy.from_pretrained(folder)
    assert (loaded.networks.sampling, loaded.networks.confidence) == (
        policy.networks.sampling,
        ConfidenceConfig(),
    )


def test_an_interpreter_alone(policy: EpisodePolicy, tmp_path: Path) -> None:
    save_interpreter(policy.networks.interpreter, tmp_path / "alone")
    assert load_interpreter(tmp_path / "alone").hidden_dim == policy.networks.interpreter.hidden_dim
    with pytest.raises(UserError, match="not a policy"):
        EpisodePolicy.from_pretrained(tmp_path / "alone")


def test_a_policy_leaves_out_the_alignment_that_an_interpreter_alone_keeps(
    policy: EpisodePolicy, tmp_path: Path
) -> None:
    plain = policy.networks.interpreter
    aligned = Interpreter(plain.vlm, plain.tokenizer, replace(plain.config, align_dim=8))
    save_interpreter(aligned, tmp_path / "alone")
    assert load_interpreter(tmp_path / "alone").align is not None
    replace(policy.networks, interpreter_or_config=aligned).save_pretrained(tmp_path / "whole")
    assert EpisodePolicy.from_pretrained(tmp_path / "whole").networks.interpreter.align is None
    assert not [key for key in load_file(tmp_path / "whole" / "model.safetensors") if "align" in key]


def test_another_robot_is_refused(processor: Processor, so101: Embodiment) -> None:
    processor.check(so101)
    with pytest.raises(UserError, match="trained for robot 'so101'"):
        processor.check(replace(so101, control_hz=100))


def test_the_processor_inverts_itself(processor: Processor) -> None:
    rng = np.random.default_rng(0)
    state, actions = rng.normal(0, 1, 6), rng.normal(0, 1, (96, 6))
    there = processor.absolute(processor.relative(actions, state), state)
    np.testing.assert_allclose(there, actions, atol=1e-5)


@pytest.mark.parametrize("part", ["interpreter", "decoder"])
def test_a_process_reads_the_tensors_of_its_own_network_alone(
    part: str, folder: Path, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    class Recorded:
        def __init__(self, *args: Any, **options: Any) -> None:
            self._file = safe_open(*args, **options)

        def __enter__(self) -> Recorded:
            return self

        def __exit__(self, *error: object) -> None: ...

        def keys(self) -> list[str]:
            return self._file.keys()

        def get_tensor(self, name: str) -> torch.Tensor:
            read.append(name)
            return self._file.get_tensor(name)

    monkeypatch.setattr(checkpoint, "safe_open", Recorded)
    others = {"interpreter": "Decoder", "decoder": "AutoModelForImageTextToText"}
    library = checkpoint if part == "interpreter" else transformers
    monkeypatch.setattr(library, others[part], None)  # the other network is not even made
    policy = EpisodePolicy(PolicyNetworks.from_pretrained(folder, parts=(part,)))
    assert read and all(name.startswith(f"{part}.") for name in read)
    no_plan = LatentPlan(np.empty((0, 0), np.float32), 0.0)
    if part == "interpreter":
        assert policy.plan(observation).tokens.shape == (8, 24)
        with pytest.raises(RuntimeError, match="the decoder is not loaded"):
            policy.act(observation, no_plan, np.zeros((0, 6)))
    else:
        assert np.isfinite(policy.act(observation, no_plan, np.zeros((0, 6))).actions).all()
        with pytest.raises(RuntimeError, match="the interpreter is not loaded"):
            policy.plan(observation)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("control_hz", 60, "timing.control_hz: got 60, expected 120"),
        ("past_command_ticks", 4, "timing.past_command_ticks: got 4, expected 8"),
        ("max_prefix_ticks", 96, "timing.max_prefix_ticks: got 96, expected 95"),
        ("act_every_ticks", 0, "timing.act_every_ticks: got 0, expected a number of at least 1"),
        ("plan_every_ticks", None, "Timing: .*missing"),
    ],
)
def test_a_timing_that_does_not_fit_is_refused(
    folder: Path, name: str, value: int | None, words: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["timing"][name] = value
    if value is None:
        del config["timing"][name]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=words):
        PolicyNetworks.from_pretrained(folder)
