"""`ideomotor replay` in simulation, and what it refuses before anything moves."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.trajectory import read_trajectory
from ideomotor.launch.runtime.replaying.lockstep_replay import replay_in_world
from ideomotor.launch.runtime.replaying.replay_figures import PlayedTicks
from ideomotor.sim.open_world import task_world

ROBOT = load_embodiment("so101")
HZ = ROBOT.control_hz


@pytest.fixture(scope="module")
def recorded(ideomotor, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "data"
    assert ideomotor("record", "lift", "--episodes", 2, "--randomize", "full", "--out", out).returncode == 0
    return out


def test_a_recorded_task_is_solved_again_in_its_own_world(recorded, ideomotor):
    result = ideomotor("replay", recorded, "--episode", 1, "--sim", "--json", "-").json
    row = Dataset(recorded).episodes.slice(1, 1).to_pylist()[0]
    assert (result["task"], result["seed"], result["randomize"]) == ("lift", row["seed"], "full")
    assert result["success"] is True and result["recorded_success"] is True
    assert result["played_seconds"] == pytest.approx(result["recorded_seconds"])
    # The same commands in the same world measure the same joints, but for the rounding to float32.
    assert result["command_error_rad"]["p99"] < 1e-6 and result["state_error_rad"]["p99"] < 1e-4
    assert result["interventions"] == 0 and result["added_delay_ms"]["p99"] == pytest.approx(0, abs=1e-9)


def test_at_half_the_speed_it_takes_twice_as_long_along_the_same_path(recorded):
    trajectory, played = read_trajectory(recorded, 0, ROBOT), PlayedTicks()
    world = task_world("lift", 0, "full")
    result = replay_in_world(world, trajectory, ROBOT, 0.5, played)
    world.close()
    assert result.seconds == pytest.approx(2 * trajectory.ticks / HZ, abs=1.1)
    found = played.figures(trajectory, ROBOT, 0.5)
    assert found["command_error_rad"]["p99"] < 1e-3
    assert found["added_delay_ms"]["p99"] == pytest.approx(0, abs=1e-6)


def test_another_world_is_begun_in_from_where_the_arm_stands(recorded, ideomotor):
    result = ideomotor("replay", recorded, "--sim", "--task", "push", "--seed", 5, "--json", "-").json
    assert (result["task"], result["seed"], result["success"]) == ("push", 5, result["success"])
    assert result["played_seconds"] == pytest.approx(result["recorded_seconds"])
    assert result["command_error_rad"]["p99"] < 0.02


def test_what_was_sent_is_set_beside_what_was_recorded(recorded):
    """An arm that lags by 0.01 rad, and a filter that takes 0.02 rad off one joint of six."""
    trajectory, played = read_trajectory(recorded, 0, ROBOT), PlayedTicks()
    away = np.eye(6)[2] * 0.02
    for tick, command in enumerate(trajectory.commands):
        state = trajectory.states[min(round(tick / 4), len(trajectory.states) - 1)]
        played.add(tick, 10 + tick / HZ + 0.05 * (tick > 5), state, state - 0.01, command - away)
    first = trajectory.commands[0]
    played.add(-3.0, 0.0, first, first, first)  # on the way there: not the recording's
    found = played.figures(trajectory, ROBOT, 1.0)
    assert found["tracking_error_rad"] == pytest.approx({"p50": 0.01, "p99": 0.01, "max": 0.01})
    assert found["command_error_rad"] == pytest.approx({"p50": 0.0, "p99": 0.02, "max": 0.02}, abs=1e-9)
    assert found["added_delay_ms"] == pytest.approx({"p50": 50.0, "p99": 50.0, "max": 50.0})
    assert PlayedTicks().figures(trajectory, ROBOT, 1.0)["command_error_rad"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("expected one of --port DEV", "--twin", "--sim")),
        (("--twin", "--sim"), ("expected one of",)),
        (("--sim", "--episode", "7"), ("episode: got 7, expected 0 to 1",)),
        (("--sim", "--speed", "2"), ("speed: got 2.0",)),
        (("--sim", "--task", "lfit"), ("did you mean 'lift'",)),
        (("--sim", "--robot", "koch"), ("recorded with robot 'so101'", "expected 'koch'")),
        (("--sim", "--log", "here"), ("nothing is logged",)),
        (("--port", "/dev/null", "--seed", "1"), ("scenes are the twin's",)),
        (("--port", "/dev/null"), ("calibration",)),
        (("--twin", "--camera", "frnt=0"), ("did you mean 'front'",)),
    ],
)
def test_mistakes_are_refused_in_one_line(recorded, in_process, arguments, words, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = in_process("replay", recorded, *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_start_out_of_reach_is_refused(recorded, in_process, tmp_path):
    shutil.copytree(recorded, tmp_path / "data")
    [file] = (tmp_path / "data" / "data").rglob("*.parquet")
    table = pq.read_table(file)
    commands = np.stack(table["action.high_rate"].to_numpy()).astype(np.float32)
    commands[:, 2::6] = ROBOT.upper[2] + 0.05
    column = table.column_names.index("action.high_rate")
    beyond = pa.FixedSizeListArray.from_arrays(pa.array(commands.ravel()), commands.shape[1])
    pq.write_table(table.set_column(column, table.schema.field(column), beyond), file)
    done = in_process("replay", tmp_path / "data", "--sim")
    assert done.returncode == 2
    assert "episode 0 begins out of reach: elbow_flex: got 1.740 rad" in done.stderr
