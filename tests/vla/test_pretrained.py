"""Every family of pretrained models, tiny and random, loaded from disk by the path that real ones take."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoConfig

from ideomotor.control.errors import UserError
from ideomotor.vla.checkpoint import load_interpreter, save_interpreter
from ideomotor.vla.families import FAMILIES, axis_positions, sight, within_budget
from ideomotor.vla.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.language import ADDED_TOKENS, IMAGE_TOKEN
from ideomotor.vla.pretrained import TUNING, adopt, check

SPOKEN = ["reach the red cube. next: hold still."]
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def tiny_bases():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        import tiny_bases

        yield tiny_bases


@pytest.fixture(scope="module")
def bases(tiny_bases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: tiny_bases.save_tiny_base(family, root / family) for family in FAMILIES}


def make(folder: Path, tuning: str = "frozen", image_tokens: int = 9, cameras=("front",), **config):
    torch.manual_seed(0)
    vlm, tokenizer, base = adopt(str(folder), tuning, SPOKEN, image_tokens, lora_rank=2)
    config = InterpreterConfig(cameras=cameras, plan_dim=24, pretrained=base, **config)
    interpreter = Interpreter(vlm, tokenizer, config).eval()
    for name, parameter in interpreter.named_parameters():  # what starts at zero would hide mistakes
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return interpreter


def pictures(count: int = 2, cameras: int = 1) -> torch.Tensor:
    return torch.rand(count, cameras, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1


def own_inputs(vlm, ids: torch.Tensor, here: torch.Tensor, pixels: torch.Tensor) -> dict:
    """What a family's own processor would give its model: (1, L) ids, pictures (n, 3, S, S) uint8."""
    kind, shown = vlm.config.model_type, pixels.float() / 127.5 - 1
    if FAMILIES[kind].axes:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        vision, row = vlm.config.vision_config, FAMILIES[kind]
        processor = Qwen2VLImageProcessorPil(
            patch_size=vision.patch_size,
            temporal_patch_size=vision.temporal_patch_size,
            merge_size=vision.spatial_merge_size,
            image_mean=list(row.mean),
            image_std=list(row.std),
            do_resize=False,
        )
        given = processor(list(pixels.movedim(1, -1).numpy()), return_tensors="pt")
        return dict(given, mm_token_type_ids=here.int())
    if kind == "paligemma":
        return dict(pixel_values=shown, token_type_ids=torch.zeros_like(ids))
    return dict(pixel_values=shown if kind == "llama4" else shown.unsqueeze(0))


@every_family
@pytest.mark.parametrize("cameras", [("front",), ("front", "wrist")])
@torch.inference_mode()
def test_a_prompt_is_read_as_the_model_reads_it_from_its_own_processor(family, cameras, bases) -> None:
    size, _ = within_budget(AutoConfig.from_pretrained(bases[family]), 36)
    interpreter = make(bases[family], image_tokens=36, cameras=cameras, image_size=size)
    vlm = interpreter.vlm
    raw = torch.randint(0, 256, (len(cameras), 3, size, size), generator=torch.Generator().manual_seed(2))
    raw = raw.to(torch.uint8)
    prompts = interpreter.prompts(["reach the red cube"], [True])
    vision = interpreter.see((raw.float() / 127.5 - 1).unsqueeze(0))
    last, _, _ = interpreter._run(*interpreter.embed(vision, prompts.ids), keep=False)
    end = int(prompts.plan_at[0, 0])  # what follows are tokens the base does not have
    ids = prompts.ids[:, :end]
    here = ids == interpreter.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert int(here.sum()) == interpreter.image_tokens
    ids = ids.masked_fill(here, vlm.config.image_token_id)
    logits = vlm(input_ids=ids, **own_inputs(vlm, ids, here, raw)).logits
    mine = vlm.get_output_embeddings()(last[:, :end])
    torch.testing.assert_close(mine, logits, atol=2e-4, rtol=1e-3)
    assert logits.std() > 0.05


@every_family
@torch.inference_mode()
def test_the_plan_is_written_as_without_a_cache(family, bases) -> None:
    interpreter = make(bases[family])
    pixels, limit = pictures(1), 5
    interpreter.tokenizer.eos_token = "<pad>"  # a random model may say <eos> at once, and never <pad>
    written = interpreter.describe(pixels, "reach the red cube", limit=limit)
    ids, vision = interpreter.prompts(["reach the red cube"], [True]).ids, interpreter.see(pixels)
    words: list[int] = []
    for _ in range(limit):
        last, _, _ = interpreter._run(*interpreter.embed(vision, ids), keep=False)
        words.append(int(interpreter.vlm.get_output_embeddings()(last[:, -1]).argmax(-1)))
        ids = torch.cat([ids, torch.tensor([words[-1:]])], dim=1)
    assert written == interpreter.tokenizer.decode(words, skip_special_tokens=True).strip()


@every_family
@torch.inference_mode()
def test_pictures_and_words_matter_and_padding_and_company_do_not(family, bases) -> None:
    interpreter, pixels = make(bases[family]), pictures()
    told = ["reach the red cube", "put the blue ball into the bowl and hold it there until told otherwise"]

    def plan(pixels, told, seen) -> torch.Tensor:
        return interpreter(pixels, interpreter.prompts(told, seen)).hidden

    both = plan(pixels, [*told, *told], [True, True, True, False])
    alone = plan(pixels[:1], told[:1], [True])
    torch.testing.assert_close(both[:1], alone, atol=2e-4, rtol=1e-3)
    for other in (1, 2):  # another instruction, another picture
        assert (both[other] - both[0]).abs().max() > 1e-3
    blind = plan(pixels.flip(0), [*told, *told], [True, False, True, True])
    torch.testing.assert_close(plan(pixels, [*told, *told], [True, False, True, True])[1], blind[1])


@every_family
@pytest.mark.parametrize("tuning", TUNING)
def test_what_is_loaded_says_what_was_saved(family, tuning, bases, tmp_path: Path) -> None:
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


def test_a_frozen_base_can_be_copied(bases, tmp_path: Path) -> None:
    base = shutil.copytree(bases["qwen3_vl"], tmp_path / "base")
    torch.manual_seed(0)
    vlm, tokenizer, described = adopt(str(base), "lora", SPOKEN, 9, lora_rank=2, stored=True)
    interpreter = Interpreter(vlm, tokenizer, InterpreterConfig(pretrained=described)).eval()
    save_interpreter(interpreter, tmp_path / "saved")
    shutil.rmtree(base)
    loaded, pixels = load_interpreter(tmp_path / "saved"), pictures()
    prompts = interpreter.prompts(["reach the red cube"] * 2, [True] * 2)
    with torch.inference_mode():
        assert torch.equal(interpreter(pixels, prompts).hidden, loaded(pixels, prompts).hidden)


def test_a_base_that_is_gone_or_another_one_is_refused(bases, tiny_bases, tmp_path: Path) -> None:
    base = shutil.copytree(bases["smolvlm"], tmp_path / "base")
    save_interpreter(make(base), tmp_path / "saved")
    shutil.rmtree(base)
    with pytest.raises(UserError, match=r"cannot load '.*/base'"):
        load_interpreter(tmp_path / "saved")
    tiny_bases.save_tiny_base("smolvlm", base, seed=1)
    with pytest.raises(UserError, match="has other weights"):
        load_interpreter(tmp_path / "saved")


def test_what_cannot_be_a_base_is_refused(bases, tmp_path: Path, monkeypatch) -> None:
    smol = str(bases["smolvlm"])
    with pytest.raises(UserError, match="cannot load 'nobody/nothing'"):
        check("nobody/nothing", "frozen")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match=r"model type: unknown name 'bert'.*valid: glm4v_moe"):
        check(str(tmp_path), "frozen")
    with pytest.raises(UserError, match=r"tuning: unknown name 'frozn'; did you mean 'frozen'"):
        check(smol, "frozn")
    with pytest.raises(UserError, match="image_tokens: got 0"):
        check(smol, "full", image_tokens=0)
    with pytest.raises(UserError, match="lora_rank: got 0"):
        check(smol, "lora", lora_rank=0)
    with pytest.raises(UserError, match=r"layer: got 4, expected -1 or 0 to 3"):
        make(bases["smolvlm"], layer=4)
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
@settings(max_examples=20)
@given(budget=st.integers(1, 2000))
def test_a_picture_has_no_more_tokens_than_the_budget(family, bases, budget: int) -> None:
    config = AutoConfig.from_pretrained(bases[family])
    size, side = within_budget(config, budget)
    grid, native = sight(config, size), FAMILIES[family].native(config)
    assert side**2 <= budget and side <= grid.tokens
    assert not native or size <= native
    if not native:
        assert (side + 1) ** 2 > budget  # none of it is wasted


@every_family
@torch.inference_mode()
def test_a_small_budget_is_kept_by_the_prompt(family, bases) -> None:
    interpreter = make(bases[family], image_tokens=4)
    prompts = interpreter.prompts(["reach"], [True])
    assert (prompts.ids == interpreter.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)).sum() == 4
    assert torch.isfinite(interpreter(pictures(1), prompts).hidden).all()


@every_family
@torch.inference_mode()
def test_the_plan_is_read_from_the_chosen_layer(family, bases) -> None:
    """Layer 1's hidden states do not depend on layer 2, the last ones do."""
    early, last = make(bases[family], layer=1), make(bases[family])
    prompts, pixels = early.prompts(["reach the red cube"], [True]), pictures(1)
    before = early(pixels, prompts).hidden, last(pixels, prompts).hidden
    for interpreter in (early, last):
        block = interpreter.family.language(interpreter.vlm).layers[2]
        for parameter in block.parameters():
            parameter.add_(0.1)
    after = early(pixels, prompts).hidden, last(pixels, prompts).hidden
    assert torch.equal(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 1e-3


@every_family
def test_the_added_tokens_leave_the_base_alone(family, bases) -> None:
    interpreter = make(bases[family])
    table, vocabulary = interpreter.vlm.get_input_embeddings(), interpreter.tokenizer.get_vocab()
    assert len({vocabulary[token] for token in ADDED_TOKENS}) == len(ADDED_TOKENS)
    saved = load_file(bases[family] / "model.safetensors")
    key = next(key for key in saved if key.endswith("embed_tokens.weight"))
    assert torch.equal(table.weight, saved[key])
    ids = torch.arange(table.weight.shape[0]).unsqueeze(0)
    mine = torch.isin(ids, interpreter.added.ids)
    assert torch.equal(interpreter._words(ids)[~mine], table(ids)[~mine])
    spread = interpreter.added.rows.std(), table(ids).std()
    assert 0.5 < spread[0] / spread[1] < 2.0  # as large as words are in this model


def test_normalisation_is_the_processors(bases, tmp_path: Path) -> None:
    folder = shutil.copytree(bases["qwen2_5_vl"], tmp_path / "base")
    told = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    base = make(folder).config.pretrained
    assert (base.mean, base.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert make(bases["smolvlm"]).config.pretrained.mean == (0.5, 0.5, 0.5)


@given(st.integers(0, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6))
def test_positions_are_those_of_qwen(opening: int, shown: int, side: int, text: int) -> None:
    """Against a loop over the rule: rows and columns count from where a picture starts."""
    image, expected, at = [], [], 0
    for part in [opening] + [-1] * shown + [text]:
        for index in range(side**2 if part < 0 else part):
            image.append(part < 0)
            expected.append([at, at + index // side, at + index % side] if part < 0 else [at + index] * 3)
        at += side if part < 0 else part
    positions = axis_positions(torch.tensor([image]), side)
    np.testing.assert_array_equal(positions[:, 0].T, expected)


def test_a_bfloat16_base_is_kept_as_it_is(bases, tmp_path: Path) -> None:
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
