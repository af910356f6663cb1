"""Perceived facts from detections: where things lie, what is held, and what the joints tell."""

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation
from ideomotor.vla.planner.perception.detector import (
    DetectorNetwork,
    SceneDetector,
    hand_planes,
)
from ideomotor.vla.planner.perception.perception import SeenPerception
from ideomotor.vla.planner.perception.tracks import FAR
from tests.vla.fake_detector import CAMERA, HOME, ROBOT, FakeDetector, look, lowered


@pytest.fixture
def fake():
    detector = FakeDetector()
    detector.put("red cube", 0.20, 0.05)
    detector.put("small blue cube", 0.22, -0.08)
    detector.put("large blue cube", 0.16, -0.02, height=0.0175)
    detector.put("blue bowl", 0.25, 0.10, height=0.0)
    detector.put("green bowl", 0.20, -0.15, height=0.0)
    detector.put("yellow drawer", 0.25, 0.0, height=0.032, opening=0.07)
    return detector


def test_things_are_named_apart_and_stand_where_they_are(fake):
    seen = look(SeenPerception(fake))
    assert set(seen.things) == {
        "red cube", "small blue cube", "large blue cube", "blue bowl", "green bowl", "yellow drawer",
    }  # fmt: skip
    assert seen.facts == {("hand_empty",), ("open", "yellow drawer")}
    assert seen.positions["red cube"] == pytest.approx((0.20, 0.05), abs=1e-6)


def test_where_things_lie_is_told_by_the_nearest_place(fake):
    perception = SeenPerception(fake)
    look(perception)
    fake.things = fake.things[3:]
    fake.put("red cube", 0.255, 0.095, "inside")
    fake.put("small blue cube", 0.16, -0.02, "on_thing", height=0.048)
    fake.put("large blue cube", 0.16, -0.02, height=0.0175)
    facts = look(perception).facts
    assert ("inside", "red cube", "blue bowl") in facts and (
        "on",
        "small blue cube",
        "large blue cube",
    ) in facts
    fake.things.pop(-3)
    fake.put("red cube", 0.345, 0.01, "in_drawer", height=0.019)
    assert ("in_drawer", "red cube", "yellow drawer") in look(perception).facts


def test_a_drawer_is_open_closed_or_neither(fake):
    for opening, expected in ((0.07, {"open"}), (0.03, set()), (0.005, {"closed"})):
        fake.things.pop()
        fake.put("yellow drawer", 0.25, 0.0, height=0.032, opening=opening)
        assert {one[0] for one in look(SeenPerception(fake)).facts} - {"hand_empty"} == expected


def test_what_is_hidden_is_where_it_was_seen_last(fake):
    perception = SeenPerception(fake)
    fake.put("green ball", 0.25, 0.10, "inside")
    first = look(perception)
    fake.things = [one for one in fake.things if one.colour != "green"]
    assert look(perception).facts == first.facts


@pytest.mark.parametrize(
    ("place", "relation", "facts"),
    [
        ("blue bowl", "inside", {("inside", "red cube", "blue bowl")}),
        ("blue plate", "on_plate", {("on", "red cube", "blue plate")}),
        ("", "free", set()),
    ],
)
def test_what_the_hand_lets_go_of_unseen_lies_below_it(place, relation, facts):
    fake = FakeDetector()
    x, y, _ = CAMERA.fingertips(HOME)
    fake.put("red cube", float(x) - 0.08, 0.05)
    if place:
        fake.put(place, float(x) + 0.02, float(y), height=0.0)
    perception = SeenPerception(fake)
    look(perception)
    fake.things = fake.things[1:]
    fake.put("red cube", float(x), float(y), "held", height=0.08)
    assert ("held", "red cube") in look(perception).facts
    fake.things.pop()  # the arm is before it from now on
    shut, ajar, wide = (HOME.copy() for _ in range(3))
    ajar[-1] += 0.05
    wide[-1] += 0.4
    for state in (shut, ajar):
        perception.notice(state)
        assert ("held", "red cube") in look(perception, state).facts
    perception.notice(wide)
    assert look(perception, wide).facts == facts | {("hand_empty",)}
    assert look(perception).facts == facts | {("hand_empty",)}  # it closes again around nothing


def test_a_thing_that_was_lost_is_known_again_wherever_it_turns_up(fake):
    perception = SeenPerception(fake)
    rest = fake.things = fake.things[1:]
    fake.things = [*rest]
    fake.put("red cube", 0.20, 0.12)
    look(perception)
    fake.things = [*rest]
    look(perception)
    fake.put("red cube", 0.20, -0.145, "inside")
    before, now = (CAMERA.project(np.array([0.20, y, 0.013])) for y in (0.12, -0.145))
    assert np.hypot(*np.subtract(before, now)) > FAR
    assert ("inside", "red cube", "green bowl") in look(perception).facts


def test_one_thing_is_held_at_most(fake):
    perception = SeenPerception(fake)
    look(perception)
    fake.things = fake.things[2:]
    fake.put("red cube", 0.20, 0.05, "held", height=0.08)
    fake.put("small blue cube", 0.22, -0.08, "held", height=0.08)
    facts = look(perception).facts
    assert sum(one[0] == "held" for one in facts) == 1 and ("hand_empty",) not in facts


def test_what_the_joints_tell_between_looks_lasts():
    fake = FakeDetector()
    state = HOME.copy()
    perception = SeenPerception(fake)
    tip = CAMERA.fingertips(state)
    fake.put("red button", float(tip[0]), float(tip[1]), height=0.024)
    look(perception)
    perception.notice(state)  # far above it
    assert look(perception).facts == {("hand_empty",)}
    low = lowered(state)
    perception.notice(low)
    tip = CAMERA.fingertips(low)
    fake.things = []
    fake.put("red button", float(tip[0]), float(tip[1]), height=0.024)
    look(perception)
    perception.notice(low)
    assert ("pressed", "red button") in look(perception).facts
    perception.reset()
    assert look(perception).facts == {("hand_empty",)}


def test_a_push_is_told_by_where_a_thing_went(fake):
    perception = SeenPerception(fake)
    look(perception)
    fake.things[0] = fake.things[0].__class__(
        **{**fake.things[0].__dict__, "pixel": CAMERA.project(np.array([0.20, 0.12, 0.013]))}
    )
    assert ("pushed", "red cube", "left") in look(perception).facts


def test_pictures_and_robots_that_do_not_fit_are_refused(fake, tmp_path):
    perception = SeenPerception(fake)
    with pytest.raises(UserError, match="camera front: none"):
        perception.perceive(Observation(0.0, 0, {}, HOME, ""), None)
    with pytest.raises(UserError, match="64 x 48"):
        look(perception, shape=(48, 64, 3))
    with pytest.raises(UserError, match="no camera mounted in the world"):
        SeenPerception.of(load_embodiment("reacher"))
    with pytest.raises(UserError, match="holds no scene detector"):
        SeenPerception.of(ROBOT, tmp_path)


def test_the_camera_agrees_with_the_simulator_and_with_itself():
    from ideomotor.sim.open_world import task_world
    from ideomotor.sim.projection import project

    world = task_world("lift", 3, "none")
    try:
        for point in ((0.2, 0.1, 0.02), (0.3, -0.1, 0.0)):
            expected = project(world.model, world.data, "front", np.array(point))
            assert CAMERA.project(np.array(point)) == pytest.approx(expected, abs=1e-6)
            assert CAMERA.on_plane(*expected, point[2]) == pytest.approx(point[:2], abs=1e-6)
        assert CAMERA.fingertips(world.state().position) == pytest.approx(world.fingertips(), abs=2e-3)
    finally:
        world.close()


def test_a_detector_is_saved_and_read_back(tmp_path):
    detector = SceneDetector(DetectorNetwork(), CAMERA)
    detector.save(tmp_path, {"found": 0.5})
    again = SceneDetector.from_pretrained(tmp_path, CAMERA)
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    assert detector.detect(image, HOME, 0.0) == again.detect(image, HOME, 0.0)
    assert hand_planes(CAMERA, HOME).shape == (4, 24, 24)


def test_the_bundled_detector_sees_a_scene():
    from ideomotor.sim.open_world import task_world

    world = task_world("place", 1_000_001, "none")
    try:
        seen = SeenPerception.of(ROBOT).perceive(world.observe(), None)
        colours = {thing.colour for thing in world.scene.things}
        assert len(colours & {name.split()[-2] for name in seen.things}) >= len(colours) - 1
        assert ("hand_empty",) in seen.facts
    finally:
        world.close()
