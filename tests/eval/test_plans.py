"""Statements of readable plans are counted against the truth, facts when written, subtasks at every frame."""

from __future__ import annotations

import pytest

from ideomotor.eval.plans import PlanScore, figures, sentence, taken_apart

TRUTH = "scene: red ball, red ball, blue cube. now: touch the blue cube. next: push it to the left."


def test_a_plan_comes_apart_and_what_is_missing_is_empty() -> None:
    plan = taken_apart(TRUTH)
    assert plan.facts == ("red ball", "red ball", "blue cube")
    assert (plan.now, plan.next) == ("touch the blue cube", "push it to the left")
    assert taken_apart("scene: red ball").facts == ("red ball",)
    assert taken_apart("now: wait").now == "wait"
    for garbage in ("", "next:", "scene:.", ", , ."):
        assert taken_apart(garbage).now == ""


def test_facts_count_once_a_plan_and_subtasks_at_every_frame() -> None:
    score = PlanScore()
    written = "scene: red ball, green ball, blue cube. now: touch the blue cube. next: hold still."
    for _ in range(3):
        score.frame(written, TRUTH)
    score.frame(written, TRUTH.replace("now: touch", "now: push"))
    assert score.counts() == {
        "facts_written": 3,
        "facts_true": 3,
        "facts_right": 2,  # one of two red balls, and the cube
        "frames": 4,
        "now_right": 3,
        "next_right": 0,
    }


def test_shares_are_over_all_episodes_together() -> None:
    perfect, silent = PlanScore(), PlanScore()
    perfect.frame(TRUTH, TRUTH)
    silent.frame("hm", TRUTH)
    shares = figures([perfect.counts(), silent.counts()])
    assert shares is not None
    assert "50.0% of what is there" in sentence(shares)
    assert shares == pytest.approx({"facts_precision": 1.0, "facts_recall": 0.5, "now": 0.5, "next": 0.5})
    assert figures([]) is None
    assert figures([{}, PlanScore().counts()]) is None
