"""Interpreters around pretrained models are trained: what a tuning lets learn, does, and nothing else."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ideomotor.control.types import Observation
from ideomotor.launch import cli
from ideomotor.train.interpreter_metrics import examine
from ideomotor.train.interpreter_stage import new_interpreter
from ideomotor.train.recipe import InterpreterRecipe
from ideomotor.train.scenes.batch import scene_batch
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.train.scenes.pool import ScenePool
from ideomotor.vla.interpreter.families import FAMILIES
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.pretrained import TUNING
from ideomotor.vla.policy import EpisodePolicy

HEADS = ("added.rows", "point.", "say.", "rarely")


@pytest.fixture(scope="module")
def tiny_bases():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "vla")
        yield importlib.import_module("tiny_bases")


@pytest.fixture(scope="module")
def bases(tiny_bases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: tiny_bases.save_tiny_base(family, root / family) for family in FAMILIES}


def started(base: Path, tuning: str, squares: ScenePool, **stage) -> Interpreter:
    torch.manual_seed(0)
    recipe = InterpreterRecipe(base=str(base), tuning=tuning, lora_rank=2, image_tokens=9, **stage)
    interpreter = new_interpreter(recipe, squares, None)
    interpreter.plan_head.requires_grad_(False)  # as the stage does
    return interpreter.train()


def trained(interpreter: Interpreter, squares: ScenePool, steps: int = 2) -> list[float]:
    """Losses of some steps on one batch, with the readable plan."""
    objective = SceneObjective(interpreter, SceneWeights())
    optimizer = torch.optim.AdamW(interpreter.parameters(), lr=2e-3, weight_decay=0.0)
    rng, losses = np.random.default_rng(0), []
    images, questions = squares.draw(rng, 3, 2)
    batch = scene_batch(interpreter, images, questions)
    for _ in range(steps):
        result = objective(batch)
        result["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(result["loss"].detach()))
    return losses


@pytest.mark.parametrize("tuning", TUNING)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_changes_what_it_must_and_nothing_else(family, tuning, bases, squares) -> None:
    interpreter = started(bases[family], tuning, squares)
    before = {name: tensor.clone() for name, tensor in interpreter.state_dict().items()}
    losses = trained(interpreter, squares, 3)
    assert losses[-1] < losses[0]
    changed = {
        name for name, tensor in interpreter.state_dict().items() if not torch.equal(tensor, before[name])
    }
    learns = {name for name in changed if not name.startswith("vlm.")}
    assert {head for head in HEADS if any(name.startswith(head) for name in learns)} == set(HEADS)
    assert all(name.startswith(HEADS) for name in learns)
    of_base = changed - learns
    if tuning == "frozen":
        assert not of_base
    elif tuning == "lora":
        adapters = {name for name in before if "lora_" in name}
        assert of_base == adapters and len(adapters) > 10
    else:
        matrices = {name for name, tensor in before.items() if name.startswith("vlm.") and tensor.ndim > 1}
        assert len(of_base & matrices) > 0.9 * len(matrices)
        assert any("vis" in name for name in of_base) and any("embed_tokens" in name for name in of_base)


def test_adapters_around_a_base_learn_to_point_at_what_is_named(bases, squares) -> None:
    interpreter = started(bases["smolvlm"], "lora", squares)
    objective = SceneObjective(interpreter, SceneWeights())
    learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer, rng = torch.optim.AdamW(learned, lr=2e-3, fused=True), np.random.default_rng(0)
    for _ in range(100):
        images, questions = squares.draw(rng, 6, 4)
        objective(scene_batch(interpreter, images, questions, write=False))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    figures = examine(interpreter.eval(), squares, 48)
    assert figures["held_out_pixel_p50"] < 2.0, figures
    assert figures["held_out_swap_pixel_p50"] > 20.0, figures


def test_words_are_those_that_subtasks_are_told_in(bases, squares) -> None:
    interpreter = started(bases["qwen3_vl"], "frozen", squares)
    images, questions = squares.draw(np.random.default_rng(0), 1, 2)
    batch = scene_batch(interpreter, images, questions)
    assert batch.words.shape == (2, len(interpreter.words)) and len(interpreter.words) < 40
    for bag, question in zip(batch.words, questions, strict=True):
        named = [interpreter.words[column] for column in bag.nonzero().flatten().tolist()]
        spelled = interpreter.tokenizer(question.text.removeprefix("now: "), add_special_tokens=False)
        assert set(named) == set(spelled["input_ids"])


def test_a_frozen_base_has_no_dropout_in_training(bases, squares) -> None:
    assert not started(bases["smolvlm"], "frozen", squares).vlm.training
    assert started(bases["smolvlm"], "full", squares).vlm.training


@pytest.mark.slow
def test_the_command_line_trains_a_policy_around_a_base(bases, data, tmp_path: Path) -> None:
    """LoRA on Qwen3-VL, whose checkpoint names its base; then the same interpreter for another policy."""
    base = shutil.copytree(bases["qwen3_vl"], tmp_path / "base")
    environment = os.environ | {
        "IDEOMOTOR_CACHE": str(tmp_path / "cache" / "datasets"),
        "OMP_NUM_THREADS": "1",
    }

    def train(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("ideomotor"), "train", "--data", str(data)]
        return subprocess.run(
            [*command, "--config", "smoke", *arguments],
            capture_output=True,
            text=True,
            env=environment,
        )

    sets = [
        "--set",
        "interpreter.tuning=lora",
        "--set",
        "interpreter.image_tokens=9",
        "--set",
        "interpreter.layer=2",
    ]
    out = tmp_path / "policy"
    ran = train("--interpreter", str(base), "--out", str(out), *sets)
    assert ran.returncode == 0, ran.stderr[-3000:]
    config = json.loads((out / "config.json").read_text())["interpreter"]
    assert config["pretrained"]["source"] == str(base) and config["layer"] == 2
    assert not config["pretrained"]["stored"]
    stored = load_file(out / "model.safetensors")
    assert all("lora_" in key for key in stored if key.startswith("interpreter.vlm."))

    policy = EpisodePolicy.from_pretrained(out)
    images = {name: np.zeros((96, 96, 3), np.uint8) for name in ("front", "wrist")}
    observation = Observation(0.0, 0, images, np.zeros(6, np.float32), "reach the red cube")
    chunk = policy.act(observation, policy.plan(observation), np.zeros((4, 6)))
    assert np.isfinite(chunk.actions).all()
    plans = list((tmp_path / "cache").rglob("plans-*.npy"))
    assert len(plans) == 1  # what it says about every frame, read once

    again = train("--interpreter", str(out), "--out", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr[-3000:]
    assert list((tmp_path / "cache").rglob("plans-*.npy")) == plans  # not read again


def test_a_base_that_is_not_there_is_bad_input(data, tmp_path: Path, capsys) -> None:
    arguments = ["train", "--data", str(data), "--out", str(tmp_path / "out"), "--config", "smoke"]
    assert cli.main([*arguments, "--interpreter", "nobody/nothing"]) == 2
    assert "cannot load 'nobody/nothing'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
