"""Pictures pooled into a few tokens: which are missing is known, and the cost grows by the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ideomotor.control.errors import UserError
from ideomotor.train.scenes.batch import scene_batch
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.train.scenes.pool import Question
from ideomotor.vla.checkpoint import load_interpreter, save_interpreter
from ideomotor.vla.exported.graphs import check_family
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.interpreter.text_generation import write_plan

WORDS = ["reach the red cube", "put the blue ball into the bowl", ""]


def pooled(interpreter: Interpreter, pictures: int, tokens: int = 6) -> Interpreter:
    torch.manual_seed(3)
    names = tuple(f"picture{number}" for number in range(pictures))
    config = InterpreterConfig(cameras=names, plan_dim=24, context_tokens=tokens)
    made = Interpreter(nano_vlm(interpreter.tokenizer, 32, 32, 1), interpreter.tokenizer, config)
    return made.eval()


@torch.inference_mode()
def hidden(one: Interpreter, pixels: torch.Tensor, seen: list[bool]) -> torch.Tensor:
    return one(pixels, one.prompts(WORDS[:1], [seen])).hidden


def test_a_missing_picture_is_not_looked_at_and_the_others_are(interpreter: Interpreter) -> None:
    one, pixels = pooled(interpreter, 3), torch.rand(1, 3, 3, 96, 96) * 2 - 1
    changed, other = pixels.clone(), pixels.clone()
    changed[:, 1], other[:, 2] = -0.5, -0.5
    seen = [True, False, True]
    assert torch.equal(hidden(one, pixels, seen), hidden(one, changed, seen))
    assert (hidden(one, pixels, seen) - hidden(one, other, seen)).abs().max() > 1e-4
    assert (hidden(one, pixels, seen) - hidden(one, pixels, [True] * 3)).abs().max() > 1e-4
    swapped = pixels[:, [2, 1, 0]]
    assert (hidden(one, pixels, seen) - hidden(one, swapped, seen)).abs().max() > 1e-5  # whose it is counts
    blank = [False] * 3
    assert torch.equal(hidden(one, pixels, blank), hidden(one, other, blank))


def test_prompts_of_one_batch_may_miss_different_pictures(interpreter: Interpreter) -> None:
    one, pixels = pooled(interpreter, 2), torch.rand(1, 2, 3, 96, 96)
    seen = [[True, False], [False, True], [False, False]]
    with torch.inference_mode():
        together = one(pixels, one.prompts(WORDS, seen)).hidden
        for row in range(3):
            alone = one(pixels, one.prompts([WORDS[row]], [seen[row]])).hidden[0]
            torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)


def test_it_learns_everywhere_and_its_checkpoint_says_the_same(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    one, rng = pooled(interpreter, 2), np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 2, 96, 96, 3), dtype=np.uint8)
    spots, there = np.full((2, 2), 0.5, np.float32), np.ones(2, np.float32)
    asked = [Question(WORDS[0], "scene: red cube. now: reach.", spots, there) for _ in range(4)]
    one.plan_head.requires_grad_(False)
    SceneObjective(one.train(), SceneWeights())(scene_batch(one, images, asked))["loss"].backward()
    assert one.pool is not None
    assert all(part.grad is not None and part.grad.any() for part in one.pool.parameters())
    save_interpreter(one, tmp_path / "saved")
    again, pixels = load_interpreter(tmp_path / "saved"), torch.rand(1, 2, 3, 96, 96)
    assert torch.equal(hidden(again, pixels, [True, True]), hidden(one.eval(), pixels, [True, True]))
    with torch.inference_mode():
        assert isinstance(write_plan(again, again.encode_images(pixels), WORDS[0], [True, False]), str)
    with pytest.raises(UserError, match="pools its pictures"):
        check_family(again)


def test_what_the_language_model_costs_grows_by_the_picture_and_not_with_its_square(
    interpreter: Interpreter,
) -> None:
    def operations(pictures: int, tokens: int) -> float:
        one, pixels = pooled(interpreter, pictures, tokens), torch.rand(1, pictures, 3, 96, 96)
        with torch.no_grad():
            encoded = one.encode_images(pixels)
            with FlopCounterMode(display=False) as counted:
                one.read(encoded, one.prompts(WORDS[:1], [[True] * pictures]))
        return counted.get_total_flops()

    ours, every = ([operations(pictures, tokens) for pictures in (4, 8, 16)] for tokens in (8, 0))
    first, second = np.diff(ours)
    assert second == pytest.approx(2 * first, rel=0.1)  # twice as many more pictures, twice as much more
    first, second = np.diff(every)
    assert second > 2.3 * first
    assert ours[2] < 0.35 * every[2]
