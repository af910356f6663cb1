"""Each family of pretrained models is used as its own processor and its own model use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig

from ideomotor.vla.interpreter.families import FAMILIES, axis_positions, patch_grid, within_budget
from ideomotor.vla.interpreter.language import IMAGE_TOKEN
from ideomotor.vla.interpreter.pretrained import fitted
from ideomotor.vla.interpreter.text_generation import write_answers, write_plan

every_family = pytest.mark.parametrize("family", FAMILIES)


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
def test_a_prompt_is_read_as_the_model_reads_it_from_its_own_processor(family, cameras, bases, make) -> None:
    size, _ = within_budget(AutoConfig.from_pretrained(bases[family]), 36)
    interpreter = make(bases[family], image_tokens=36, cameras=cameras, image_size=size)
    vlm = interpreter.vlm
    raw = torch.randint(0, 256, (len(cameras), 3, size, size), generator=torch.Generator().manual_seed(2))
    raw = raw.to(torch.uint8)
    prompts = interpreter.prompts(["reach the red cube"], [True])
    vision = interpreter.encode_images((raw.float() / 127.5 - 1).unsqueeze(0))
    last = interpreter.hidden_states(*interpreter.embed(vision, prompts.ids, prompts.state)).last_hidden_state
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
def test_texts_are_written_as_without_a_cache_and_without_company(family, bases, make, pictures) -> None:
    interpreter, limit = make(bases[family]), 5
    interpreter.tokenizer.eos_token = "<pad>"  # a random model may say <eos> at once, and never <pad>
    asked = ["reach the red cube", "put the blue ball into the bowl and hold it there"]
    pixels, vision = pictures(1), interpreter.encode_images(pictures(1))
    together = write_answers(interpreter, pixels, interpreter.prompts(asked, [True, True]), limit)
    assert write_plan(interpreter, vision, asked[0], limit=limit) == together[0]
    for question, answer in zip(asked, together, strict=True):
        prompts = interpreter.prompts([question], [True])
        ids = prompts.ids
        words: list[int] = []
        for _ in range(limit):
            last = interpreter.hidden_states(*interpreter.embed(vision, ids, prompts.state)).last_hidden_state
            logits = interpreter.added.unsaid(interpreter.vlm.get_output_embeddings()(last[:, -1]))
            words.append(int(logits.argmax(-1)))
            ids = torch.cat([ids, torch.tensor([words[-1:]])], dim=1)
        assert not set(words) & set(interpreter.added.ids.tolist())
        assert answer == interpreter.tokenizer.decode(words, skip_special_tokens=True).strip()


@every_family
@torch.inference_mode()
def test_pictures_and_words_matter_and_padding_and_company_do_not(family, bases, make, pictures) -> None:
    interpreter, pixels = make(bases[family]), pictures()
    instructions = [
        "reach the red cube",
        "put the blue ball into the bowl and hold it there until told otherwise",
    ]

    def plan(pixels, instructions, seen) -> torch.Tensor:
        return interpreter(pixels, interpreter.prompts(instructions, seen)).hidden

    both = plan(pixels, [*instructions, *instructions], [True, True, True, False])
    alone = plan(pixels[:1], instructions[:1], [True])
    torch.testing.assert_close(both[:1], alone, atol=2e-4, rtol=1e-3)
    for other in (1, 2):  # another instruction, another picture
        assert (both[other] - both[0]).abs().max() > 1e-3
    assert torch.isfinite(plan(pixels, instructions, [False, False])).all()  # no picture in the whole batch
    blind = plan(pixels.flip(0), [*instructions, *instructions], [True, False, True, True])
    torch.testing.assert_close(
        plan(pixels, [*instructions, *instructions], [True, False, True, True])[1], blind[1]
    )


@every_family
@settings(max_examples=20)
@given(budget=st.integers(1, 2000))
def test_a_picture_has_no_more_tokens_than_the_budget(family, bases, budget: int) -> None:
    config = AutoConfig.from_pretrained(bases[family])
    size, side = within_budget(config, budget)
    grid, native = patch_grid(config, size), FAMILIES[family].native(config)
    assert side**2 <= budget and side <= grid.tokens
    assert not native or size <= native
    if not native:
        assert (side + 1) ** 2 > budget  # none of it is wasted


@every_family
@torch.inference_mode()
def test_a_small_budget_is_kept_by_the_prompt(family, bases, make, pictures) -> None:
    interpreter = make(bases[family], image_tokens=4)
    prompts = interpreter.prompts(["reach"], [True])
    assert (prompts.ids == interpreter.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)).sum() == 4
    assert torch.isfinite(interpreter(pictures(1), prompts).hidden).all()


@every_family
@pytest.mark.parametrize("layer", [0, 1, 2])
@torch.inference_mode()
def test_the_plan_is_read_from_the_chosen_layer(family, layer, bases, make, pictures) -> None:
    """The same whether the layers above are run too, for the text, or not; and the model stays whole."""
    interpreter = make(bases[family], layer=layer)
    instructions, pixels = ["reach the red cube"], pictures(1)
    above = interpreter.family.language(interpreter.vlm).layers[layer]
    ran = []
    above.register_forward_hook(lambda *_: ran.append(1))
    short = interpreter(pixels, interpreter.prompts(instructions, [True])).hidden
    assert not ran
    long = interpreter(pixels, interpreter.prompts(instructions, [True], ["now: reach"])).hidden
    assert len(ran) == 1
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-4)
    if layer:
        for parameter in interpreter.family.language(interpreter.vlm).layers[layer - 1].parameters():
            parameter.add_(0.1)
        assert (
            interpreter(pixels, interpreter.prompts(instructions, [True])).hidden - short
        ).abs().max() > 1e-3


@every_family
@torch.inference_mode()
def test_features_lie_where_the_picture_has_them(family, bases, make) -> None:
    """What changes in one place changes the token and the patch of that place most."""
    interpreter = make(bases[family], image_tokens=36, map_width=8)
    plain = torch.zeros(1, 1, 3, 96, 96) + 0.1
    before = interpreter.family.encode(
        interpreter.vlm, fitted(plain[0], interpreter.config.pretrained, torch.float32)
    )
    for u, v in ((0.1, 0.1), (0.9, 0.1), (0.4, 0.6), (0.1, 0.9)):
        spotted = plain.clone()
        column, row = round(96 * u), round(96 * v)
        spotted[..., row - 4 : row + 4, column - 4 : column + 4] = torch.tensor([1.0, -1, 1]).view(3, 1, 1)
        after = interpreter.family.encode(
            interpreter.vlm, fitted(spotted[0], interpreter.config.pretrained, torch.float32)
        )
        for name in ("tokens", "patches"):
            moved = (getattr(after, name) - getattr(before, name)).norm(dim=-1)[0]
            side = round(len(moved) ** 0.5)
            where = divmod(int(moved.argmax()), side)
            assert abs((where[1] + 0.5) / side - u) < 1 / side, (name, where, side)
            assert abs((where[0] + 0.5) / side - v) < 1 / side, (name, where, side)


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


def test_the_document_names_every_family() -> None:
    document = (Path(__file__).parents[2] / "docs/interpreters.md").read_text(encoding="utf-8")
    assert all(f"`{family}`" in document for family in FAMILIES)
