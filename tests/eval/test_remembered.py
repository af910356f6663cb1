"""Remembered intervals are scored by their overlap with the true ones."""

import pytest

from ideomotor.eval.goals.remembered import TrueMemory
from ideomotor.vla.planner.memory import Memory

HELD, INSIDE = ("held", "red cube"), ("inside", "red cube", "blue bowl")


def test_intervals_that_overlap_by_half_are_right():
    truth, memory = TrueMemory(), Memory()
    for tenth in range(201):
        now = tenth / 10
        truth.see(now, frozenset({HELD} if 2 <= now < 8 else {INSIDE} if now >= 8 else ()))
    for second in range(21):
        memory.see(float(second), frozenset({HELD} if 2 <= second < 8 else {INSIDE} if second >= 15 else ()))
    found = truth.compared(memory)
    assert (found.asked, found.right) == (2, 1)
    assert found.iou == pytest.approx((1.0 + 5 / 12) / 2, abs=0.02)


def test_what_was_not_remembered_is_wrong_and_what_was_too_short_is_not_asked():
    truth = TrueMemory()
    for now, facts in ((0.0, {HELD}), (1.0, {INSIDE}), (9.0, {INSIDE})):
        truth.see(now, frozenset(facts))
    found = truth.compared(Memory(keep=False))
    assert (found.asked, found.right, found.iou) == (1, 0, 0.0)
