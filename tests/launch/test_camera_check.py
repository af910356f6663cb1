"""Cameras that look swapped are reported, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import pack_frames
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row
from ideomotor.launch.commands.record.camera_check import swapped, swapped_cameras
from ideomotor.sim.open_world import task_world

ROBOT = load_embodiment("so101")


@pytest.fixture(scope="module")
def scenes() -> list[dict[str, np.ndarray]]:
    """What both cameras see in three scenes of other things and other light."""
    seen = []
    for seed in (1, 2, 3):
        world = task_world("place", seed)
        seen.append(dict(world.observe().images))
        world.close()
    return seen


def test_pictures_of_other_scenes_are_told_apart_by_their_cameras(scenes):
    first, second, third = scenes
    before = {name: [first[name], second[name]] for name in first}
    assert swapped(before, third) == []
    assert swapped(before, {"front": third["wrist"], "wrist": third["front"]}) == [("front", "wrist")]


def test_pictures_that_say_nothing_are_no_reason_to_warn(scenes):
    before = {name: [picture] for name, picture in scenes[0].items()}
    black = {name: np.zeros_like(picture) for name, picture in scenes[0].items()}
    assert swapped(before, black) == []
    assert swapped({"front": [], "wrist": []}, scenes[1]) == []
    covered = {"front": scenes[1]["wrist"], "wrist": black["wrist"]}  # one of them only is elsewhere
    assert swapped(before, covered) == []


def test_a_dataset_that_is_resumed_with_its_cameras_swapped_is_a_warning(scenes, tmp_path):
    pose = np.repeat(ROBOT.home_position[None], 4, axis=0)
    with DemonstrationWriter(tmp_path / "data", ROBOT, 30) as writer:
        writer.begin()
        for i in range(3):
            writer.add(Row(i / 30, scenes[0], dict.fromkeys(scenes[0], i / 30), pose, pose))
        writer.save("place it", {})
    shared = shared_state.create(ROBOT)
    try:
        record = shared.frames.new()
        assert swapped_cameras(tmp_path / "data", shared) == []  # nothing was seen yet
        pack_frames(record, 1.0, scenes[1], shared.spec)
        shared.frames.write(record)
        assert swapped_cameras(tmp_path / "data", shared) == []
        assert swapped_cameras(tmp_path / "nothing", shared) == []
        pack_frames(record, 2.0, {"front": scenes[1]["wrist"], "wrist": scenes[1]["front"]}, shared.spec)
        shared.frames.write(record)
        [warning] = swapped_cameras(tmp_path / "data", shared)
        assert "front looks like wrist did" in warning and "are they swapped?" in warning
    finally:
        shared.close()
