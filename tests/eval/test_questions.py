"""The question suite: exact answers, baselines that do not see, and the same figures every time."""

from __future__ import annotations

import pytest
import torch

from ideomotor.eval import questions as suite
from ideomotor.eval.stats.measures import wilson
from ideomotor.sim.vqa.questions import Grounding
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["is the red cube left of the blue ball", "yes", "no"] * 3, 300)
    config = InterpreterConfig(cameras=("front", "wrist"), plan_dim=24, align_dim=16)
    return Interpreter(nano_vlm(tokenizer, 32, 40, 1), tokenizer, config).eval()


def row(said: str, text: str, form: str = "relation/holds", blind: str = "") -> suite.Answered:
    return suite.Answered(Grounding("q", text, {}, form), said, blind, ())


def test_only_what_the_simulator_says_is_right_but_lists_have_no_order() -> None:
    assert row("yes", "yes").right and not row("yes.", "yes").right and not row("", "yes").right
    things = "description/all"
    assert row("red cube, blue ball", "blue ball, red cube", things).right
    assert not row("red cube", "red cube, red cube", things).right
    assert not row("red cube, blue ball", "blue ball, red cube").right


def test_those_who_do_not_see_are_scored_beside() -> None:
    rows = [row("yes", text, blind="no") for text in ("yes", "yes", "yes", "no")]
    rows += [row("red", text, "colour/of", "blue") for text in ("red", "blue", "blue")]
    found = suite._kind(rows, {"relation/holds": "no", "colour/of": "red"})
    assert (found["questions"], found["right"]) == (7, 4)
    assert (found["low"], found["high"]) == wilson(4, 7)
    assert found["majority"] == pytest.approx(5 / 7)  # yes, and blue
    assert found["constant"] == pytest.approx(2 / 7)  # the one no, and the one red
    assert found["blind"] == pytest.approx(3 / 7)


def test_retrieval_counts_pictures_nearest_to_their_own_description(interpreter, monkeypatch) -> None:
    texts = ["red cube", "blue ball", "green bowl", "red cube"]
    with torch.inference_mode():
        vectors = interpreter.embed_texts(*interpreter.encoded(texts))
    perfect = suite.retrieval(interpreter, list(vectors), texts)
    assert (perfect["among"], perfect["questions"], perfect["right"]) == (3, 3, 3)
    swapped = suite.retrieval(interpreter, [vectors[1], vectors[0], *vectors[2:]], texts)
    assert swapped["right"] == 1


def test_the_suite_is_a_function_of_its_arguments(interpreter, monkeypatch) -> None:
    monkeypatch.setattr(suite, "FITTED_ON", 8)
    monkeypatch.setattr(suite, "LONG", 6)
    monkeypatch.setattr(suite, "SHORT", 3)
    first = suite.evaluate_questions(interpreter, 8, 1_000_000, "mixed")
    assert first == suite.evaluate_questions(interpreter, 8, 1_000_000, "mixed")
    assert first != suite.evaluate_questions(interpreter, 8, 1_000_001, "mixed")
    assert first["scenes"] == 8 and first["retrieval"]["among"] == 2
    kinds = first["kinds"]
    assert {"description", "reference", "counting", "subtask"} <= set(kinds)
    assert sum(kind["questions"] for kind in kinds.values()) == first["mean"]["questions"]
    assert kinds["reference"]["pixel_p50"] > 5 and kinds["counting"]["pixel_p50"] is None
