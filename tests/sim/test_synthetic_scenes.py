"""Still scenes: seeded, labelled, and asking about what is there."""

from __future__ import annotations

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.sim.vqa.questions import KINDS
from ideomotor.sim.vqa.synthetic_scenes import MIXED, synthetic_scenes


def test_scenes_are_a_pure_function_of_seed_and_index() -> None:
    first = list(synthetic_scenes(5, 6))
    again = list(synthetic_scenes(5, 6))
    for one, other in zip(first, again, strict=True):
        assert one.items == other.items
        np.testing.assert_array_equal(one.images["front"], other.images["front"])
        np.testing.assert_array_equal(one.state, other.state)
    assert [scene.items for scene in synthetic_scenes(6, 6)] != [scene.items for scene in first]


def test_every_scene_asks_about_several_things() -> None:
    scenes = list(synthetic_scenes(1, 40))
    assert np.mean([len(scene.items) for scene in scenes]) > 2
    assert any("place" in item.keypoints for scene in scenes for item in scene.items)
    for scene in scenes:
        assert scene.images["front"].shape == scene.images["wrist"].shape == (96, 96, 3)
        instructions = [item for item in scene.items if item.kind == "instruction"]
        assert len({item.instruction for item in instructions}) == len(instructions) > 0
        for item in instructions:
            assert item.text.startswith("scene: ") and ". now: " in item.text and ". next: " in item.text


def test_every_kind_is_asked_and_things_get_done_and_held() -> None:
    items = [item for scene in synthetic_scenes(2, 48, MIXED) for item in scene.items]
    assert {item.kind for item in items} == {"instruction", *KINDS}
    for form in ("done/all", "done/step", "held/this", "relation/holds"):
        assert {item.text for item in items if item.form == form} == {"yes", "no"}, form
    assert any("now: hold still" in item.text for item in items)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UserError, match="level"):
        list(synthetic_scenes(0, 1, "lihgt"))
