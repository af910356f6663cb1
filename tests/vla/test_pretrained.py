"""Pretrained models become interpreters and come back from checkpoints; what cannot be one is refused.

The models are tiny and random, and loaded from disk by the path that real ones take.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ideomotor.control.errors import UserError
from ideomotor.vla.checkpoint import load_interpreter, save_interpreter
from ideomotor.vla.interpreter.families import FAMILIES
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import ADDED_TOKENS, decode_text
from ideomotor.vla.interpreter.pretrained import TUNING, adopt, check

every_family = pytest.mark.parametrize("family", FAMILIES)


@every_family
@pytest.mark.parametrize("tuning", TUNING)
def test_what_is_loaded_says_what_was_saved(family, tuning, bases, tmp_path: Path, make, pictures) -> None:
    interpreter = make(bases[family], tuning, layer=2)
    save_interpreter(interpreter, tmp_path / "saved")
    loaded, pixels = load_interpreter(tmp_path / "saved"), pictures()
    prompts = interpreter.prompts(["reach the red cube", "", "x", "y"], [True, False] * 2, ["now: reach"] * 4)
    with torch.inference_mode():
        before, after = interpreter(pixels, prompts), loaded(pixels, prompts)
    for name in ("hidden", "words", "meaning", "logits"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name
    assert torch.equal(before.pointing.points, after.pointing.points)
    assert loaded.config == interpreter.config
    learned = [
        {name for name, p in each.named_parameters() if p.requires_grad} for each in (interpreter, loaded)
    ]
    assert learned[0] == learned[1]
    stored = load_file(tmp_path / "saved" / "model.safetensors")
    of_base = {key for key in stored if key.startswith("interpreter.vlm.")}
    if tuning == "frozen":
        assert not of_base
    elif tuning == "lora":
        assert of_base and all("lora_" in key and "language" in key or "text" in key for key in of_base)
    else:
        published = load_file(bases[family] / "model.safetensors")
        parameters = {f"interpreter.vlm.{name}" for name, _ in interpreter.vlm.named_parameters()}
        assert parameters <= of_base
        buffers = {key for key in published if key.endswith("e_score_correction_bias")}  # a router's
        assert len(of_base - parameters) == len(buffers) == (2 if family == "glm4v_moe" else 0)


def test_a_frozen_base_can_be_copied(bases, tmp_path: Path, pictures) -> None:
    base = shutil.copytree(bases["qwen3_vl"], tmp_path / "base")
    torch.manual_seed(0)
    vlm, tokenizer, described = adopt(str(base), "lora", ["reach the red cube"], 9, lora_rank=2, stored=True)
    interpreter = Interpreter(vlm, tokenizer, InterpreterConfig(pretrained=described)).eval()
    save_interpreter(interpreter, tmp_path / "saved")
    shutil.rmtree(base)
    loaded, pixels = load_interpreter(tmp_path / "saved"), pictures()
    prompts = interpreter.prompts(["reach the red cube"] * 2, [True] * 2)
    with torch.inference_mode():
        assert torch.equal(interpreter(pixels, prompts).hidden, loaded(pixels, prompts).hidden)


def test_a_base_that_is_gone_or_another_one_is_refused(bases, tiny_bases, tmp_path: Path, make) -> None:
    base = shutil.copytree(bases["smolvlm"], tmp_path / "base")
    save_interpreter(make(base), tmp_path / "saved")
    shutil.rmtree(base)
    with pytest.raises(UserError, match=r"source: no folder '.*/base', which .*config.json"):
        load_interpreter(tmp_path / "saved")
    with pytest.raises(UserError, match=r"no folder '.*/base', expected one with a vision-language model"):
        check(str(base), "frozen")
    tiny_bases.save_tiny_base("smolvlm", base, seed=1)
    with pytest.raises(UserError, match="has other weights"):
        load_interpreter(tmp_path / "saved")


def test_what_cannot_be_a_base_is_refused(bases, tmp_path: Path, monkeypatch, make) -> None:
    smol = str(bases["smolvlm"])
    with pytest.raises(UserError, match="cannot load 'nobody/nothing'"):
        check("nobody/nothing", "frozen")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match=r"model type: unknown name 'bert'.*valid: glm4v, glm4v_moe"):
        check(str(tmp_path), "frozen")
    with pytest.raises(UserError, match=r"tuning: unknown name 'frozn'; did you mean 'frozen'"):
        check(smol, "frozn")
    with pytest.raises(UserError, match="image_tokens: got 0"):
        check(smol, "full", image_tokens=0)
    with pytest.raises(UserError, match="lora_rank: got 0"):
        check(smol, "lora", lora_rank=0)
    with pytest.raises(UserError, match=r"layer: got 4, expected -1 \(the last\) or 0 to 3"):
        check(smol, "frozen", layer=4)
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UserError, match=r"needs the extra 'peft': pip install 'ideomotor\[peft\]'"):
        check(smol, "lora")
    weights = bases["smolvlm"] / "model.safetensors"
    broken = shutil.copytree(bases["smolvlm"], tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot load") as caught:
        make(broken)
    assert "\n" not in str(caught.value)


@every_family
def test_the_added_tokens_leave_the_base_alone(family, bases, make) -> None:
    interpreter = make(bases[family])
    table, vocabulary = interpreter.vlm.get_input_embeddings(), interpreter.tokenizer.get_vocab()
    assert len({vocabulary[token] for token in ADDED_TOKENS}) == len(ADDED_TOKENS)
    saved = load_file(bases[family] / "model.safetensors")
    key = next(key for key in saved if key.endswith("embed_tokens.weight"))
    assert torch.equal(table.weight, saved[key])
    ids = torch.arange(table.weight.shape[0]).unsqueeze(0)
    mine = torch.isin(ids, interpreter.added.ids)
    assert torch.equal(interpreter.embed_words(ids)[~mine], table(ids)[~mine])
    spread = interpreter.added.rows.std(), table(ids).std()
    assert 0.5 < spread[0] / spread[1] < 2.0  # as large as words are in this model


@every_family
def test_the_tokenizer_comes_back_the_same(family, bases, tmp_path: Path, make) -> None:
    interpreter = make(bases[family])
    tokenizer = interpreter.tokenizer
    save_interpreter(interpreter, tmp_path / "saved")
    loaded = load_interpreter(tmp_path / "saved")
    assert type(loaded.tokenizer) is type(tokenizer)
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    asked, texts = ["reach the red cube!", "été 北", ""], ["now: reach", None, "scene: red cube"]
    first, second = (each.prompts(asked, [True] * 3, texts) for each in (interpreter, loaded))
    assert torch.equal(first.ids, second.ids) and torch.equal(first.labels, second.labels)
    assert decode_text(tokenizer, tokenizer(asked[0], add_special_tokens=False)["input_ids"]) == asked[0]
    known = tokenizer.convert_ids_to_tokens(first.ids[0].tolist())
    row = FAMILIES[family]
    for part in (*row.opening, *row.before, *row.after, *row.asking, *row.closing):
        assert part in known or not part.startswith("<")


def test_normalisation_is_the_processors(bases, tmp_path: Path, make) -> None:
    folder = shutil.copytree(bases["qwen2_5_vl"], tmp_path / "base")
    asked = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(asked))
    base = make(folder).config.pretrained
    assert (base.mean, base.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert make(bases["smolvlm"]).config.pretrained.mean == (0.5, 0.5, 0.5)


def test_a_bfloat16_base_is_kept_as_it_is(bases, tmp_path: Path, make, pictures) -> None:
    from transformers import AutoModelForImageTextToText

    folder = shutil.copytree(bases["qwen3_vl"], tmp_path / "half")
    AutoModelForImageTextToText.from_pretrained(folder).bfloat16().save_pretrained(folder)
    interpreter = make(folder, "lora")
    kinds = {parameter.dtype for name, parameter in interpreter.vlm.named_parameters() if "lora" not in name}
    assert kinds == {torch.bfloat16}
    learned = [parameter for parameter in interpreter.parameters() if parameter.requires_grad]
    assert {parameter.dtype for parameter in learned} == {torch.float32}
    prompts = interpreter.prompts(["reach the red cube"], [True], ["now: reach"])
    reading = interpreter(pictures(1), prompts)
    assert reading.hidden.dtype == torch.float32
    assert torch.isfinite(reading.pointing.points).all()
    assert make(folder, "full").vlm.dtype == torch.float32
    assert replace(interpreter.config, pretrained=None) == InterpreterConfig(plan_dim=24)
