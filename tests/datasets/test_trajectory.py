"""An episode as commands at the robot's own rate, whoever recorded it."""

import dataclasses

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.datasets.loading.resample import curve, resampled, resampler
from ideomotor.datasets.loading.trajectory import read_trajectory


@pytest.fixture(scope="module")
def ours(make_episode, so101, tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "ours"
    with DatasetWriter(root, so101) as writer:
        for seed in range(2):
            writer.add_episode(make_episode(seed))
    return root


def test_commands_recorded_at_the_robots_rate_come_back_to_the_bit(ours, so101, make_episode):
    episode, found = make_episode(1), read_trajectory(ours, 1, so101)
    np.testing.assert_array_equal(found.commands, episode.action_high_rate.reshape(-1, 6).astype(float))
    np.testing.assert_array_equal(found.states, episode.state.astype(np.float32))
    np.testing.assert_array_equal(found.state_ticks, np.arange(12) * 4)
    assert found.recorded_hz == 120 and found.instruction == episode.task
    assert found.facts == {"task_name": "push", "seed": 1001, "success": True}


def test_those_of_a_slower_recording_lie_on_a_curve_through_its_targets(foreign, so101, tmp_path):
    recordings = foreign.recordings()
    root = foreign.write_v3(tmp_path / "foreign", recordings)
    recorded = recordings[2].action
    found = read_trajectory(root, 2, so101)
    step = 120 / found.recorded_hz
    assert step > 1 and step == int(step)
    np.testing.assert_allclose(found.commands[:: int(step)], recorded, atol=1e-6)
    between = np.sort(np.stack([recorded[:-1], recorded[1:]]), axis=0)  # (2, T - 1, A)
    middle = found.commands[int(step) // 2 :: int(step)][: len(recorded) - 1]
    assert (middle >= between[0] - 1e-6).all() and (middle <= between[1] + 1e-6).all()


def test_the_curve_of_a_whole_episode_is_the_one_that_training_sees(ours, so101):
    targets = read_trajectory(ours, 0, so101).commands[::4]
    rows, ends = np.array([4]), np.array([len(targets)])
    window = resampled(resampler(30, 120, -8, 24), targets, rows, np.array([0]), ends)[0]
    whole = curve(targets, np.arange(len(targets) * 4) / 4)
    np.testing.assert_allclose(window, whole[8:32], atol=1e-6)


def test_units_are_converted_where_the_user_says_them(foreign, so101, tmp_path):
    recordings = [
        dataclasses.replace(r, state=np.degrees(r.state), action=np.degrees(r.action))
        for r in foreign.recordings()
    ]
    root = foreign.write_v3(tmp_path / "degrees", recordings)
    with pytest.raises(UserError, match=":deg"):
        read_trajectory(root, 0, so101)
    pairs = ("action=action:deg", "observation.state=observation.state:deg")
    found = read_trajectory(root, 0, so101, pairs)
    np.testing.assert_allclose(found.states, np.radians(recordings[0].state), atol=1e-5)


def test_what_cannot_be_played_is_refused(ours, so101):
    with pytest.raises(UserError, match="episode: got 2, expected 0 to 1"):
        read_trajectory(ours, 2, so101)
    renamed = dataclasses.replace(so101, name="other")
    with pytest.raises(UserError, match="recorded with robot 'so101'"):
        read_trajectory(ours, 0, renamed)
