"""`ideomotor teleop`, `launch --leader`: what is refused before any torque, and a session each over twins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ideomotor.control.calibration import default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.person_rows import PersonRows
from ideomotor.launch.runtime.recording.session_recorder import TICKS

pytest.importorskip("scservo_sdk")
ROBOT, LEADER = load_embodiment("so101"), load_embodiment("so101_leader")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def calibrated(folders: None) -> None:
    """Both arms, as built by the book."""
    for arm in (ROBOT, LEADER):
        save_calibration(replace(default_calibration(arm), made_at="for a test"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("leader: missing", "--leader so101_leader@/dev/ttyACM1")),
        (("--leader", "so101_leader@/dev/x"), ("port: missing",)),
        (("--port", "/dev/y", "--leader", "so101_leader"), ("leader: got 'so101_leader' without a device",)),
        (
            ("--port", "/dev/y", "--leader", "so102@/dev/x"),
            ("unknown name 'so102'", "so101_leader"),
        ),
        (("--port", "/dev/y", "--leader", "vx300s@/dev/x"), ("leader: vx300s is no leader arm",)),
        (("--port", "/dev/y", "--leader", "koch@/dev/x"), ("koch_leader leads koch", "leader of so101")),
        (("--port", "/dev/x", "--leader", "so101@/dev/x"), ("leader: /dev/x is the follower's port too",)),
        (
            ("--port", "/dev/y", "--leader", "so101@/dev/x", "--leader-arm", "left"),
            (
                "calibration: ",
                "so101_leader/left.yaml does not exist",
                "ideomotor calibrate so101_leader --arm left",
            ),
        ),
        (("--port", "/dev/y", "--leader", "so101@/dev/x"), ("'/dev/x'",)),
        (("--twin", "--leader-fault", "ded"), ("unknown name 'ded'",)),
        (("--twin", "--port", "/dev/y"), ("exclude each other",)),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_are_refused_at_once(in_process, calibrated, arguments, words) -> None:
    in_process("teleop", "so101", *arguments).assert_refused(*words)


def test_an_arm_that_is_not_calibrated_is_refused(in_process) -> None:
    done = in_process("teleop", "so101", "--port", "/dev/y", "--leader", "so101@/dev/x")
    done.assert_refused("calibration", "so101/main.yaml does not exist")


def test_a_leader_that_cannot_lead_now_is_refused_before_any_torque(
    in_process, calibrated, emulated_arm
) -> None:
    follower, leader = emulated_arm(), emulated_arm()

    def refused(*words: str) -> None:
        done = in_process(
            "teleop", "so101", "--port", follower.port, "--leader", f"so101@{leader.port}", "--yes"
        )
        done.assert_refused(*words)
        assert not any(follower.torque().values())

    leader.put(4, "torque_enable", 1)
    refused("leader: the motors of wrist_flex are on", f"ideomotor release so101_leader --port {leader.port}")
    leader.put(4, "torque_enable", 0)
    leader.set(6, silent=True)
    refused("no answer", "gripper (id 6)", "expected 6 servos")
    leader.set(6, silent=False)
    lifted = emulated_arm(angles=[2048 + 652 * turned for turned in (0, 0.3, 0.7, 1.45, 0.05, 0.3)])
    leader.close()
    leader = lifted
    refused("leader: shoulder_lift is 1.", "away from the arm's, expected at most 0.8 rad: bring it closer")
    in_process("launch", "so101_leader", "--port", leader.port).assert_refused("so101_leader")
    assert not any(leader.torque().values())


def within_limits(ticks) -> None:
    """No command of a session jumps, whoever drove."""
    commands = np.array(ticks["command"].to_pylist())
    for order, limit in ((1, ROBOT.max_velocity), (2, ROBOT.max_acceleration), (3, ROBOT.max_jerk)):
        rates = np.abs(np.diff(commands, order, axis=0)) * ROBOT.control_hz**order
        assert (rates <= limit * 1.001).all(), order


@pytest.mark.realtime
@pytest.mark.session
def test_a_person_drives_the_twin_by_a_leaders_twin_that_is_unplugged_for_a_while(
    ideomotor, tmp_path
) -> None:
    log = tmp_path / "log"
    shown = ideomotor(
        *("teleop", "so101", "--twin", "--countdown", "0", "--max-seconds", "7", "--log", log),
        *("--leader-fault", "unplug at=2 for=1", "--json", "-", "--web", ":0"),
    )
    result = shown.json
    assert "web: http://127.0.0.1:" in shown.stderr
    assert result["stop_reason"] == "finished" and result["stage"] == "off" and result["faults"] == []
    assert "leader" in shown.stderr and "so101_leader at " in result["leader"]
    stops = [stop["reason"] for stop in result["stops"]]
    assert any(stop.startswith("teleoperator: leader: unplugged") for stop in stops), stops
    assert set(result["added_delay_ms"]) == {"p50", "p99", "max"} and result["added_delay_ms"]["p50"] > 0
    assert result["tracking_error_rad"]["p50"] > 0 and result["achieved_hz"] > 0
    assert result["late_share"] is not None and result["takeovers"] == 0
    assert 0 <= result["solved"] <= result["attempts"]

    ticks = pq.read_table(log / TICKS)
    assert set(ticks["driver"].to_pylist()) == {"person"}
    within_limits(ticks)
    stages, seconds = np.array(ticks["stage"].to_pylist()), np.arange(len(ticks)) / ROBOT.control_hz
    assert "run" in stages[seconds > 4]  # it went on by itself
    commands = np.array(ticks["command"].to_pylist())
    assert np.ptp(commands[:, 1]) > 0.3  # the hand reached down to the table
    assert validate(log) == []
    columns = Dataset(log).columns(0)
    assert set(columns["driver"].tolist()) == {1} and not columns["intervention"].any()


@pytest.mark.realtime
@pytest.mark.session
def test_a_launch_is_corrected_by_a_leaders_twin(ideomotor, swaying_policy, tmp_path) -> None:
    log = tmp_path / "log"
    shown = ideomotor(
        *("launch", "so101", "--twin", "--leader", "so101", "--help-after", "1.5", "--countdown", "0"),
        *("--policy", swaying_policy, "--max-seconds", "6", "--log", log, "--json", "-"),
    )
    result = shown.json
    assert result["stop_reason"] == "finished" and result["faults"] == []
    assert result["takeovers"] >= 1 and "driver: the person" in shown.stderr
    ticks = pq.read_table(log / TICKS)
    within_limits(ticks)
    drivers = np.array(ticks["driver"].to_pylist())
    assert drivers[0] == "policy" and "person" in drivers
    columns = Dataset(log).columns(0)
    assert set(columns["driver"].tolist()) == {0, 1}
    np.testing.assert_array_equal(columns["intervention"], columns["driver"] == 1)
    runs = np.array(columns["stage"]) == "run"
    loader = WindowLoader([log], ROBOT, 24, 8, cache_root=tmp_path, person=PersonRows(only=True))
    begun = loader.batch(0).now.index
    assert (columns["driver"][begun] == 1).all() and runs[begun].all()
