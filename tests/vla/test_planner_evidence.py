"""What is taken to be so without being seen: by what the hand did, and by what the goal names."""

from dataclasses import replace

import pytest

from ideomotor.vla.planner.perception.perception import SeenPerception
from tests.vla.fake_detector import CAMERA, HOME, FakeDetector, look, lowered


def _carried(low, high):
    """A perception of a cube around which the hand has closed low down, and opened high up over a bowl."""
    fake = FakeDetector()
    (x, y, _), (away, aside, _) = CAMERA.fingertips(low), CAMERA.fingertips(high)
    fake.put("blue bowl", float(away), float(aside), height=0.0)
    fake.put("red cube", float(x), float(y))
    perception = SeenPerception(fake)
    look(perception, _opened(low, 0.5))
    perception.notice(low)  # it closes around it; whether it holds it is not seen
    perception.notice(high)
    perception.notice(_opened(high, 0.5))
    return fake, perception


def _opened(state, by):
    wide = state.copy()
    wide[-1] += by
    return wide


def _inside(perception, state):
    return ("inside", "red cube", "blue bowl") in look(perception, _opened(state, 0.5)).facts


def _turned(state, by):
    aside = state.copy()
    aside[0] += by
    return aside


def test_what_is_found_nowhere_after_the_hand_closed_around_it_lies_where_it_opened():
    low, high = lowered(HOME), _turned(HOME, 0.7)
    fake, perception = _carried(low, high)
    fake.things.pop()
    assert not _inside(perception, high)  # once may be an oversight
    assert _inside(perception, high)


def test_what_is_still_there_after_the_hand_closed_was_not_taken():
    low, high = lowered(HOME), _turned(HOME, 0.7)
    fake, perception = _carried(low, high)
    assert not _inside(perception, high)
    fake.things.pop()  # only now it is hidden
    assert not any(_inside(perception, high) for _ in range(4))


def test_what_the_arm_hides_may_still_be_there():
    low = lowered(HOME)
    high = _turned(HOME, 0.7)
    fake, perception = _carried(low, high)
    fake.things.pop()
    before = low.copy()
    before[2] -= 0.4  # stretched out, the fingertips are nearer to the camera
    assert CAMERA.project(CAMERA.fingertips(before))[1] > CAMERA.project(CAMERA.fingertips(low))[1]
    assert not any(_inside(perception, before) for _ in range(4))
    assert [_inside(perception, high) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("goal", "chance", "expected"),
    [
        ("put the red cube into the bowl", 0.2, "red cube"),
        ("put the red cube into the bowl", 0.001, "red cylinder"),  # it is sure of what it sees
        ("put the red cube and the red cylinder into the bowl", 0.2, "red cylinder"),  # both are named
        ("put the blue cube into the bowl", 0.2, "red cylinder"),
        ("put all cubes into the bowl", 0.2, "red cylinder"),
        ("frobnicate the red cube", 0.2, "red cylinder"),
    ],
)
def test_what_a_goal_names_is_believed_where_the_kind_is_in_doubt(goal, chance, expected):
    fake = FakeDetector()
    fake.put("green bowl", 0.20, -0.15, height=0.0)
    fake.put("red cylinder", 0.20, 0.05)
    fake.things[-1] = replace(fake.things[-1], kinds={"cube": chance, "cylinder": 1 - chance, "ball": 0.0})
    perception = SeenPerception(fake)
    perception.reset(goal)
    assert set(look(perception).things) == {"green bowl", expected}


def test_two_that_are_asked_for_are_two():
    fake = FakeDetector()
    for name, y, chance in (("large red cube", 0.05, 0.9), ("small red cylinder", -0.05, 0.3)):
        fake.put(name, 0.20, y)
        fake.things[-1] = replace(fake.things[-1], kinds={"cube": chance, "cylinder": 1 - chance})
    for goal, things in (
        ("put the red cube onto the plate", {"red cube", "red cylinder"}),
        ("put exactly two red cubes onto the plate", {"large red cube", "small red cube"}),
    ):
        perception = SeenPerception(fake)
        perception.reset(goal)
        assert set(look(perception).things) == things
