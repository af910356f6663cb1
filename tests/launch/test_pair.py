"""Robots of two arms on the command line: what is refused, and one recording with two leaders over twins."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.pair import of_arm
from ideomotor.control.robots.drivers import ServoStatus
from ideomotor.control.teleop.jog import TipJog
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.demonstration_writer import DemonstrationWriter, Row
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.video import encode
from ideomotor.datasets.loading.trajectory import read_trajectory
from ideomotor.launch.command_line import joined_ports
from ideomotor.launch.runtime.preflight import unlike_a_launch

pytest.importorskip("scservo_sdk")
PAIR = load_embodiment("so101_pair")
PORTS = ("--port", "left=/dev/null", "right=/dev/full")
LEADERS = ("--leader", "so101_leader@left=/dev/zero,right=/dev/random")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def calibrated(*sides: str, robot: str = "so101") -> None:
    for side in sides:
        made = default_calibration(load_embodiment(robot))
        save_calibration(type(made)(made.robot, side, "today", made.joints))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("teleop", "so101_pair", *LEADERS), ("port: missing", "left=/dev/ttyACM0 right=/dev/ttyACM1")),
        (
            ("teleop", "so101_pair", "--port", "/dev/null", *LEADERS),
            ("port: got '/dev/null'", "left=/dev/ttyACM0,right=/dev/ttyACM1"),
        ),
        (
            ("teleop", "so101_pair", "--port", "left=/dev/null", "right=/dev/null", *LEADERS),
            ("both arms have the same",),
        ),
        (
            ("teleop", "so101_pair", *PORTS, "--leader", "so101_leader@left=/dev/full,right=/dev/zero"),
            ("/dev/full is a follower's port too",),
        ),
        (
            ("teleop", "so101_pair", *PORTS, "--leader", "so101_leader@/dev/zero"),
            ("leader: got '/dev/zero'", "left="),
        ),
        (
            ("teleop", "so101_pair", *PORTS, "--leader", "so101_leader"),
            ("leader: got 'so101_leader' without devices", "@left=/dev/ttyACM2,right=/dev/ttyACM3"),
        ),
        (
            ("teleop", "so101_pair", *PORTS, "--leader", "koch_leader@left=/dev/zero,right=/dev/random"),
            ("left arm: leader: koch_leader leads koch, expected a leader of so101",),
        ),
        (
            ("teleop", "so101_pair", *PORTS, *LEADERS),
            ("left arm: calibration:", "calibrate so101_leader --arm left"),
        ),
        (
            ("teleop", "so101_pair", "--twin", "--fault", "dead id=3"),
            ("fault: got 'dead id=3', expected the arm first (left or right)",),
        ),
        (
            ("teleop", "so101_pair", "--twin", "--fault", "left dead id=9"),
            ("no servo has the id 9",),
        ),
        (
            ("record", "--robot", "so101_pair", "--twin", "--out", "data", "--instruction", "hand over"),
            ("camera: front, left, right missing",),
        ),
        (
            ("calibrate", "so101_pair", "--port", "/dev/null"),
            ("arm: got 'main'", "--arm left or --arm right"),
        ),
        (("setup-motors", "so101_pair", "--port", "/dev/null"), ("made of two arms", "so101 --arm left")),
        (("launch", "so101_pair", *PORTS), ("policy",)),  # the bundled one is another robot's
    ],
)
def test_mistakes_are_refused_before_any_torque(in_process: Any, arguments: Any, words: Any) -> None:
    calibrated("left", "right")
    if arguments[0] == "launch":
        arguments = (*arguments, "--camera", "front=0", "--instruction", "hand over")
    done = in_process(*arguments)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith("error: ") and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in last


def test_one_hand_does_not_jog_two_tips() -> None:
    with pytest.raises(UserError, match="so101_pair has two tips .* a leader for each arm"):
        TipJog(PAIR)


def test_the_ports_of_a_pair_are_one_value_or_two_words() -> None:
    two = ["so101_pair", "--port", "right=/dev/b", "left=/dev/a", "--yes"]
    assert joined_ports(two) == ["so101_pair", "--port", "right=/dev/b,left=/dev/a", "--yes"]
    for other in (
        ["--port", "/dev/a", "so101"],
        ["--port", "left=/dev/a"],
        ["--camera", "left=0", "right=1"],
    ):
        assert joined_ports(other) == other


def test_both_arms_are_looked_at_and_calibrated_one_at_a_time(in_process: Any, emulated_arm: Any) -> None:
    arms = {"left": emulated_arm(), "right": emulated_arm()}
    arms["right"].set(3, celsius=68)
    calibrated("left")
    port = [f"{side}={arm.port}" for side, arm in arms.items()]
    done = in_process("robots", "check", "so101_pair", "--port", *port, "--seconds", "0.3", "--json", "-")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert [servo["joint"] for servo in found["servos"]] == list(PAIR.joint_names)
    assert any(
        said.startswith("right arm: elbow_flex (id 3): a servo is too hot") for said in found["problems"]
    )
    assert "right arm: not calibrated: ideomotor calibrate so101 --arm right" in found["notes"]
    assert not any("left arm: not calibrated" in said for said in found["notes"])
    missing = in_process(
        "calibrate", "so101_pair", "--arm", "right", "--port", "/nowhere", "--import", "x.json"
    )
    assert "so101_pair" not in missing.stderr and missing.returncode == 2


@pytest.mark.realtime
@pytest.mark.session
def test_a_recording_with_two_leaders_over_twins(ideomotor: Any, tmp_path: Path) -> None:
    """The left arm's adapter is pulled for a moment: both arms stand, and both go on."""
    (tmp_path / "film.mp4").write_bytes(encode(np.full((60, 48, 64, 3), 90, np.uint8), 30))
    done = ideomotor(
        "record", "--robot", "so101_pair", "--twin", "--camera", f"front=film:{tmp_path / 'film.mp4'}",
        "--instruction", "hand it over", "--episodes", 1, "--episode-seconds", 2.5, "--reset-seconds", 0.2,
        "--countdown", 0, "--max-seconds", 30, "--out", tmp_path / "data", "--json", tmp_path / "out.json",
        "--fault", "left unplug at=2 for=0.4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome = json.loads((tmp_path / "out.json").read_text())
    assert outcome["robot"] == "so101_pair" and outcome["recorded"] == 1 and not outcome["motors_on"]
    assert (
        outcome["leader"].startswith("left so101_leader at ") and "; right so101_leader" in outcome["leader"]
    )
    assert any(stop["reason"].startswith("robot: unplugged (left arm)") for stop in outcome["stops"]), outcome
    assert validate(tmp_path / "data") == []
    dataset = Dataset(tmp_path / "data")
    assert dataset.info["features"]["action"]["names"] == list(PAIR.joint_names)
    rows = dataset.columns(0, ["action", "observation.state"])
    actions, states = rows["action"], rows["observation.state"]
    for side in ("left", "right"):  # both were led, and both followed
        moved = np.ptp(of_arm(PAIR, actions, side), axis=0)
        assert (moved > 0.02).all(), (side, moved)
        error = of_arm(PAIR, states - actions, side)
        assert np.median(np.abs(error)) < 0.03


def test_a_dataset_with_lerobots_bimanual_names_is_read_for_the_pair(tmp_path: Path) -> None:
    """bi_so101_follower's features are left_shoulder_pan.pos … right_gripper.pos."""
    lerobots = dataclasses.replace(PAIR, name="bi_so101_follower", cameras=())
    pose = np.repeat((PAIR.home_position + np.linspace(0, 0.2, 12))[None], 4, axis=0)
    with DemonstrationWriter(tmp_path / "data", lerobots, 30) as writer:
        writer.begin()
        for i in range(20):
            writer.add(Row(i / 30, {}, {}, pose, pose))
        writer.save("hand it over", {})
    path = tmp_path / "data" / "meta" / "info.json"
    info = json.loads(path.read_text())
    for feature in ("action", "observation.state"):
        info["features"][feature]["names"] = [f"{name}.pos" for name in PAIR.joint_names]
    path.write_text(json.dumps(info))
    same = ("action=action", "observation.state=observation.state")
    found = read_trajectory(tmp_path / "data", 0, PAIR, same)
    np.testing.assert_allclose(found.commands, np.repeat(pose[:1], len(found.commands), axis=0), atol=1e-5)


def test_both_lines_wait_for_their_servos_at_once() -> None:
    servos = [
        ServoStatus(joint, 1, "sts3215", "3.10", 7.4, 30.0, 0.0, motor_on=False, return_delay_us=500)
        for joint in PAIR.joint_names
    ]
    (line,) = unlike_a_launch(servos, PAIR)
    assert "its ticks take 3.5 ms longer" in line  # six servos, and one of them a second time
