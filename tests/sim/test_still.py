"""Still scenes: seeded, labelled, and asking about what is there."""

from __future__ import annotations

import numpy as np

from ideomotor.sim.still import still_scenes


def test_scenes_are_a_pure_function_of_seed_and_index() -> None:
    first = list(still_scenes(5, 6))
    again = list(still_scenes(5, 6))
    for one, other in zip(first, again, strict=True):
        assert one.items == other.items
        np.testing.assert_array_equal(one.images["front"], other.images["front"])
        np.testing.assert_array_equal(one.state, other.state)
    assert [scene.items for scene in still_scenes(6, 6)] != [scene.items for scene in first]


def test_every_scene_asks_about_several_things() -> None:
    scenes = list(still_scenes(1, 40))
    assert np.mean([len(scene.items) for scene in scenes]) > 2
    assert any("place" in item.keypoints for scene in scenes for item in scene.items)
    for scene in scenes:
        assert scene.images["front"].shape == scene.images["wrist"].shape == (96, 96, 3)
        assert len({item.instruction for item in scene.items}) == len(scene.items)
        for item in scene.items:
            assert item.text.startswith("scene: ") and ". now: " in item.text and ". next: " in item.text
