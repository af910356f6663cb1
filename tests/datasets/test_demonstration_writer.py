"""A person's demonstrations: safe when saved, and what they say of themselves is what happened."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot import demonstration_writer as demonstrations
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row
from ideomotor.datasets.lerobot.live_film import QUICK, SMALL
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.trajectory import read_trajectory

K = 4
SIZES = {"front": (480, 640), "wrist": (120, 160)}


@pytest.fixture(scope="module")
def robot(so101):
    cameras = (dataclasses.replace(c, height=SIZES[c.name][0], width=SIZES[c.name][1]) for c in so101.cameras)
    return dataclasses.replace(so101, cameras=tuple(cameras))


def picture(name: str, shade: int) -> np.ndarray:
    height, width = SIZES[name]
    ramp = np.linspace(0, 80, width, dtype=np.uint8)
    return np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2) + np.uint8(shade)


def rows(robot, count: int, seed: int = 0, missing: tuple[int, ...] = ()) -> list[Row]:
    """Rows at 30 Hz from time 100 s on; at those that are missing the wrist camera had nothing new."""
    made, shade, at = [], 0, 0.0
    rng = np.random.default_rng(seed)
    walk = robot.home_position + np.cumsum(rng.normal(0, 1e-3, (count * K, len(robot.joints))), axis=0)
    for i in range(count):
        time = 100 + i / 30
        if i not in missing:
            shade, at = (5 * i) % 170, time - 0.011
        images = {"front": picture("front", (3 * i) % 170), "wrist": picture("wrist", shade)}
        captured = {"front": time - 0.004, "wrist": at}
        ticks = slice(i * K, (i + 1) * K)
        made.append(Row(time, images, captured, walk[ticks] + 0.01, walk[ticks]))
    return made


def saved(writer: DemonstrationWriter, made: list[Row], task: str = "lift it", **facts) -> None:
    writer.begin()
    for row in made:
        writer.add(row)
    writer.save(task, facts)


def test_a_row_says_what_really_happened(robot, tmp_path):
    made = rows(robot, 12, missing=(5, 6))
    with DemonstrationWriter(tmp_path / "data", robot, 30) as writer:
        saved(writer, made)
        assert (writer.episodes, writer.frames, writer.length) == (1, 12, 0)
    dataset = Dataset(tmp_path / "data")
    columns = dataset.columns(0)
    np.testing.assert_allclose(columns["measured_time"], np.arange(12) / 30, atol=1e-6)
    front, wrist = columns["capture_time"].T
    np.testing.assert_allclose(front, np.arange(12) / 30 - 0.004, atol=1e-5)
    assert wrist[4] == wrist[5] == wrist[6] < wrist[7]  # what was not renewed is there again, as old as it is
    commands = np.concatenate([row.commands for row in made]).astype(np.float32)
    np.testing.assert_array_equal(columns["action.high_rate"].reshape(-1, 6), commands)
    np.testing.assert_array_equal(columns["action"], commands[::K])
    states = columns["observation.state.high_rate"].reshape(-1, 6)
    np.testing.assert_allclose(states, commands + 0.01, atol=1e-6)
    np.testing.assert_array_equal(columns["observation.state"], states[::K])
    assert (columns["driver"] == 1).all() and not columns["intervention"].any()
    shown = dataset.frames(0, "wrist", [4, 6, 7]).astype(int)
    assert np.abs(shown[1] - shown[0]).max() <= 2 and np.abs(shown[2] - made[7].images["wrist"]).max() <= 8
    assert dataset.frames(0, "front", [3]).shape[1:] == (480, 640, 3)
    assert validate(tmp_path / "data") == []
    features = dataset.meta.features
    assert features["observation.images.front"]["info"]["video.preset"] == QUICK
    assert 120 * 160 < SMALL and features["observation.images.wrist"]["info"]["video.preset"] != QUICK
    np.testing.assert_array_equal(read_trajectory(tmp_path / "data", 0, robot).commands, commands)


def test_an_episode_in_hand_can_be_dropped_and_the_recording_resumed(robot, tmp_path, hashes):
    with DemonstrationWriter(tmp_path / "data", robot, 30) as writer:
        saved(writer, rows(robot, 6))
        writer.begin()
        for row in rows(robot, 20, seed=1):
            writer.add(row)
        writer.discard()
        assert writer.length == 0
        saved(writer, rows(robot, 5, seed=2), task="push it")
    before = hashes(tmp_path / "data")
    with pytest.raises(UserError, match="not empty; resume"):
        DemonstrationWriter(tmp_path / "data", robot, 30)
    with DemonstrationWriter(tmp_path / "data", robot, 30, resume=True) as writer:
        writer.begin()
        writer.add(rows(robot, 1)[0])
    assert hashes(tmp_path / "data") == before
    with DemonstrationWriter(tmp_path / "data", robot, 30, resume=True) as writer:
        saved(writer, rows(robot, 7, seed=3))
        assert (writer.episodes, writer.frames, writer.tasks) == (3, 18, ["lift it", "push it"])
    dataset = Dataset(tmp_path / "data")
    assert [len(dataset.columns(i)["action"]) for i in range(3)] == [6, 5, 7]
    assert validate(tmp_path / "data") == []


def test_nothing_is_left_of_a_recording_without_an_episode(robot, tmp_path):
    with DemonstrationWriter(tmp_path / "data", robot, 30) as writer:
        writer.begin()
        writer.save("lift it", {})  # no row came
    assert not (tmp_path / "data").exists()


def test_a_folder_of_something_else_is_refused_with_what_it_is(robot, so101, make_episode, tmp_path):
    with demonstrations.DatasetWriter(tmp_path / "expert", so101) as writer:
        writer.add_episode(make_episode(0, index=0))
    with pytest.raises(UserError, match="expected a dataset of `ideomotor record --robot`"):
        DemonstrationWriter(tmp_path / "expert", robot, 30, resume=True)
    with DemonstrationWriter(tmp_path / "mine", robot, 30) as writer:
        saved(writer, rows(robot, 3))
    other = dataclasses.replace(robot, name="other")
    with pytest.raises(UserError, match=r"recorded with robot 'so101'.*expected 'other'"):
        DemonstrationWriter(tmp_path / "mine", other, 30, resume=True)
    with pytest.raises(UserError, match="recorded with front 640x480, wrist 160x120, now front 96x96, wrist"):
        DemonstrationWriter(tmp_path / "mine", so101, 30, resume=True)
