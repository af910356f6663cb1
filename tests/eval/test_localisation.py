"""Temporal localisation: true intervals, overlap, and those who do not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ideomotor.eval import localisation as suite
from ideomotor.eval.localisation import Moments, longest, overlap, runs, scored
from ideomotor.eval.stats.measures import wilson
from ideomotor.sim.vqa.phrasings import PHRASINGS
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["is the red cube in the hand", "yes", "no"] * 3, 300)
    config = InterpreterConfig(cameras=("front", "wrist"), plan_dim=24)
    return Interpreter(nano_vlm(tokenizer, 32, 40, 1), tokenizer, config).eval()


@pytest.fixture(scope="module")
def video() -> suite.Video:
    return suite.film("place", 1_000_000)


def test_runs_and_overlaps() -> None:
    assert list(runs([0, 1, 1, 0, 1])) == [(1, 3), (4, 5)]
    assert longest([0, 1, 1, 0, 1]) == (1, 3) and longest([False]) is None and longest([1, 0, 1]) == (0, 1)
    assert overlap((2, 6), (4, 8)) == 2 / 6 and overlap((2, 6), (2, 6)) == 1.0
    assert overlap((0, 2), (2, 4)) == 0.0 and overlap((0, 2), None) == 0.0


def test_a_held_thing_is_in_the_hand_then_and_not_before(video) -> None:
    held = next(moments for moments in video.asked if moments.kind == "held")
    first, last = held.interval
    assert 0 < first < last < held.pictures == len(video.seen)
    assert held.answer == "yes"
    steps = {m.answer.split()[0]: m.interval for m in video.asked if m.kind == "subtask"}
    assert abs(steps["grasp"][1] - first) <= 1  # grasping ends when it is held
    assert steps["carry"][0] == steps["grasp"][1] and steps["put"][1] >= last
    wrist = [seen.images["wrist"].astype(int) for seen in video.seen]
    assert np.abs(wrist[first + 1] - wrist[0]).mean() > 5


def test_questions_are_in_held_out_phrasings(video) -> None:
    frames = {kind: [p.partition("{")[0] for p in PHRASINGS[form][-2:]] for kind, form in FORMS.items()}
    for moments in video.asked:
        assert any(moments.question.startswith(start) for start in frames[moments.kind])


FORMS = {"held": "held/this", "subtask": "subtask/now"}


class Knowing:
    """An interpreter that knows the answers, and is asked picture by picture."""

    def __init__(self, interpreter: Interpreter, video: suite.Video):
        self.config, self._video, self._at = interpreter.config, video, -1

    def prompts(self, words, has_image, state=None):
        return words

    def answers(self, pixels, words, limit):
        self._at += 1
        found = []
        for word in words:
            there = [m for m in self._video.asked if m.question == word]
            true = [m.answer for m in there if m.interval[0] <= self._at < m.interval[1]]
            found.append(true[0] if true else "no")
        return found


def test_whoever_knows_is_right_and_whoever_does_not_look_is_not(interpreter, video, monkeypatch) -> None:
    monkeypatch.setattr(suite, "write_answers", Knowing.answers)
    said = suite.answered(Knowing(interpreter, video), video)
    assert said == [moments.interval for moments in video.asked]
    blind = suite.answered(Knowing(interpreter, video), video, blind=True)
    assert set(blind) <= {None, (0, len(video.seen))}


def test_scores_are_of_overlaps_of_a_half() -> None:
    rows = [
        (Moments("held", "q", "yes", (10, 20), 40), (10, 20), None),
        (Moments("held", "q", "yes", (5, 10), 20), (5, 9), (0, 20)),
        (Moments("held", "q", "yes", (2, 4), 40), (3, 12), (0, 40)),
    ]
    found = scored(rows)
    assert (found["questions"], found["right"]) == (3, 2)
    assert (found["low"], found["high"]) == wilson(2, 3)
    assert found["iou"] == pytest.approx((1 + 4 / 5 + 1 / 10) / 3)
    assert found["majority"] == pytest.approx(2 / 3)  # a quarter to a half of the video
    assert found["blind"] == 0.0


def test_the_suite_is_a_function_of_its_arguments(interpreter, monkeypatch) -> None:
    monkeypatch.setattr(suite, "SHORT", 2)
    monkeypatch.setattr(suite, "EVERY", 120)
    monkeypatch.setattr(suite, "SHORTEST", 1)
    first = suite.evaluate_localisation(interpreter, 2, 1_000_000)
    assert first == suite.evaluate_localisation(interpreter, 2, 1_000_000)
    assert first["videos"] == 2 and first["kinds"]["subtask"]["questions"] >= 1
