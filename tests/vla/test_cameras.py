"""An interpreter of two cameras: each may be missing by itself, answers are what is written one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ideomotor.control.timing import usual_timing
from ideomotor.control.types import Observation
from ideomotor.vla.checkpoint import load_interpreter, save_interpreter
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import PLAN_TOKENS
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.interpreter.text_generation import write_answers, write_plan
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.policy import EpisodePolicy

QUESTIONS = ["what is in the hand", "reach the red cube", "put the blue ball into the bowl"]


@pytest.fixture(scope="module")
def both(interpreter: Interpreter) -> Interpreter:
    torch.manual_seed(3)
    config = InterpreterConfig(cameras=("front", "wrist"), plan_dim=24, align_dim=16)
    made = Interpreter(nano_vlm(interpreter.tokenizer, 32, 32, 1), interpreter.tokenizer, config).eval()
    with torch.no_grad():  # else it goes on to write the last plan query, which is no text
        made.vlm.get_input_embeddings().weight[
            interpreter.tokenizer.convert_tokens_to_ids(PLAN_TOKENS[-1])
        ] = 0
    return made


@torch.inference_mode()
def hidden(both: Interpreter, pixels: torch.Tensor, seen: tuple[bool, bool]) -> torch.Tensor:
    return both(pixels, both.prompts(QUESTIONS[:1], [seen])).hidden


@pytest.mark.parametrize("lost", [0, 1])
def test_a_missing_camera_is_not_looked_at_and_the_other_is(both: Interpreter, lost: int) -> None:
    pixels = torch.rand(1, 2, 3, 96, 96) * 2 - 1
    one, other = pixels.clone(), pixels.clone()
    one[:, lost], other[:, 1 - lost] = -0.5, -0.5
    seen = (lost != 0, lost != 1)
    assert torch.equal(hidden(both, pixels, seen), hidden(both, one, seen))
    assert (hidden(both, pixels, seen) - hidden(both, other, seen)).abs().max() > 1e-4
    assert (hidden(both, pixels, seen) - hidden(both, pixels, (True, True))).abs().max() > 1e-4


def test_prompts_of_one_batch_may_miss_different_cameras(both: Interpreter) -> None:
    pixels, seen = torch.rand(1, 2, 3, 96, 96), [(True, False), (False, True), (False, False)]
    with torch.inference_mode():
        together = both(pixels, both.prompts(QUESTIONS, seen)).hidden
        for index, row in enumerate(seen):
            alone = both(pixels, both.prompts([QUESTIONS[index]], [row])).hidden[0]
            torch.testing.assert_close(together[index], alone, atol=1e-5, rtol=1e-4)


def test_answers_are_what_describe_writes(both: Interpreter) -> None:
    pixels = torch.rand(2, 2, 3, 96, 96) * 2 - 1
    answers = write_answers(both, pixels, both.prompts(QUESTIONS * 2, [True] * 6), limit=20)
    alone = [
        write_plan(both, both.encode_images(pixels[k // 3 : k // 3 + 1]), QUESTIONS[k % 3], limit=20)
        for k in range(6)
    ]
    assert answers == alone and any(answers)


def test_a_policy_without_its_wrist_camera_still_points(both, decoder, processor, so101) -> None:
    policy = EpisodePolicy(PolicyNetworks(both, decoder, processor, usual_timing(so101)))
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    state = np.zeros(6, np.float32)
    whole = policy.plan(Observation(0.0, 0, {"front": image, "wrist": image}, state, QUESTIONS[1]))
    front = policy.plan(Observation(0.0, 0, {"front": image}, state, QUESTIONS[1]))
    assert np.isfinite(front.tokens).all() and not np.allclose(front.tokens, whole.tokens)
    assert not policy.plan(Observation(0.0, 0, {"wrist": image}, state, QUESTIONS[1])).keypoints


def test_vectors_survive_a_checkpoint(both: Interpreter, tmp_path) -> None:
    save_interpreter(both, tmp_path / "kept")
    loaded, pixels = load_interpreter(tmp_path / "kept"), torch.rand(2, 2, 3, 96, 96)
    with torch.inference_mode():
        for one in (both, loaded):
            pictures, texts = (
                one.embed_pictures(one.encode_images(pixels)),
                one.embed_texts(*one.encoded(QUESTIONS)),
            )
            assert pictures.shape == (2, 16) and texts.shape == (3, 16)
            torch.testing.assert_close(texts.norm(dim=-1), torch.ones(3))
        assert torch.equal(both.embed_pictures(both.encode_images(pixels)), pictures)
    assert both.embed_texts(*both.encoded([QUESTIONS[0]]))[0].allclose(
        texts[0], atol=1e-5
    )  # padding is not read
