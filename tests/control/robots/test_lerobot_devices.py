"""LeRobot's devices behind our adapters: its units, and the real lerobot over twins if it is there."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.driver_spec import DriverSpec
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.lerobot_config import LerobotUnits, import_lerobot, parse_device, units_of
from ideomotor.control.robots.lerobot_robot import LerobotRobot
from ideomotor.sim.twin.process import Twin

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("IDEOMOTOR_LEROBOT_PYTHON", "")
OURS = load_embodiment("so101")
SPAN = OURS.upper - OURS.lower


def test_their_values_become_radians_of_the_joints_range_and_back() -> None:
    koch = load_embodiment("koch")  # whose shoulder_lift and elbow_flex are not even about 0
    units = LerobotUnits(koch, {"gripper": "range_0_100", "elbow_flex": "range_m100_100"})
    ours = units.to_ours(np.array([90.0, 0.0, 50.0, -90.0, 180.0, 25.0]))
    middle, span = (koch.lower + koch.upper) / 2, koch.upper - koch.lower
    assert ours[:2] == pytest.approx([middle[0] + np.pi / 2, middle[1]])
    assert ours[2] == pytest.approx(middle[2] + span[2] / 4) and ours[5] == pytest.approx(-1.6 + 1.632 / 4)
    assert units.to_theirs(ours) == pytest.approx([90.0, 0.0, 50.0, -90.0, 180.0, 25.0])
    for wrong in ({"elbow": "degrees"}, {"gripper": "percent"}):
        with pytest.raises(UserError, match="lerobot: units"):
            LerobotUnits(koch, wrong)


def test_the_motors_say_what_they_are_in() -> None:
    modes = dict.fromkeys(OURS.joint_names, "degrees") | {"gripper": "range_0_100"}
    motors = {name: SimpleNamespace(norm_mode=SimpleNamespace(value=mode)) for name, mode in modes.items()}
    device = SimpleNamespace(bus=SimpleNamespace(motors=motors))
    assert units_of(device, OURS, {}) == modes
    assert units_of(device, OURS, {"wrist_roll": "range_m100_100"})["wrist_roll"] == "range_m100_100"
    assert units_of(SimpleNamespace(), OURS, {}) == {"gripper": "range_0_100"}


def test_a_device_is_a_port_and_fields() -> None:
    assert parse_device("/dev/ttyACM1,id=left,use_degrees=true") == (
        "/dev/ttyACM1",
        {"id": "left", "use_degrees": "true"},
    )
    assert parse_device(None) == parse_device("") == ("", {})
    assert parse_device("id=left") == ("", {"id": "left"})
    with pytest.raises(UserError, match="got 'left', expected KEY=VALUE"):
        parse_device("/dev/ttyACM1,left")


def test_without_lerobot_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lerobot", None)
    with pytest.raises(UserError, match="it is not installed"):
        import_lerobot()
    robot = replace(OURS, bus=None, driver=DriverSpec("lerobot", {"type": "so101_follower"}))
    with pytest.raises(UserError, match="it is not installed"):
        LerobotRobot(robot, "/dev/null")


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/interop/drive_with_lerobot.py found, and where the twins then were."""
    folder = tmp_path_factory.mktemp("lerobot")
    sdk = pytest.importorskip("scservo_sdk")
    (folder / "sdk").mkdir()
    (folder / "sdk" / "scservo_sdk").symlink_to(Path(sdk.__file__).parent)
    ranges = {joint.joint: [joint.lower, joint.upper] for joint in default_calibration(OURS).joints}
    script = ROOT / "tests" / "interop" / "drive_with_lerobot.py"
    with Twin("so101") as follower, Twin("so101_leader") as leader:
        given = {"follower": follower.port, "leader": leader.port, "folder": str(folder), "ranges": ranges}
        path = f"{ROOT / 'typings'}:{folder / 'sdk'}"
        environment = os.environ | {"PYTHONPATH": path, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"}
        environment.pop("PYTHONSAFEPATH", None)
        command = [PYTHON, "-W", "ignore", str(script), json.dumps(given)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout) | {"leader_at": leader.where()}


with_lerobot = [
    pytest.mark.interop,
    pytest.mark.realtime,
    pytest.mark.skipif(
        not Path(PYTHON or "/nowhere").exists(), reason="no Python with lerobot (make interop)"
    ),
]


class TestWithTheRealLerobot:
    pytestmark = with_lerobot

    def test_its_so101_follower_goes_where_it_is_told(self, driven: dict[str, Any]) -> None:
        assert "lerobot-calibrate --robot.type=so101_follower" in driven["uncalibrated"]
        assert np.abs(np.array(driven["end"]) - driven["start"]).min() > 0.05, "every joint moved"
        assert driven["end"] == pytest.approx(driven["target"], abs=0.03)

    def test_its_so101_leader_is_where_the_hand_has_it(self, driven: dict[str, Any]) -> None:
        assert driven["led"][:5] == pytest.approx(driven["leader_at"][:5], abs=0.01)

    def test_devices_of_others_behind_its_interfaces(self, driven: dict[str, Any]) -> None:
        middle = (OURS.lower + OURS.upper) / 2
        assert driven["before"][:5] == pytest.approx(middle[:5] + np.radians(50))
        assert driven["before"][5] == pytest.approx(OURS.lower[5] + SPAN[5] / 2)
        assert driven["read"] == pytest.approx(OURS.home_position)
        assert driven["sent"]["shoulder_lift.pos"] == pytest.approx(np.degrees(-1.3 - middle[1]))
        assert driven["action"][:5] == pytest.approx(middle[:5] - np.radians(20))
        assert driven["engaged"] and driven["off"] and driven["picture"] == [48, 64, 3, 7]

    def test_what_does_not_fit_is_refused(self, driven: dict[str, Any]) -> None:
        expected = (
            "expected gripper.pos",
            "did you mean 'fake_arm'",
            "not calibrated",
            "nonsense",
            "got typ",
        )
        expected += ("does not say what action_features", "expected KEY=VALUE")
        assert len(driven["refused"]) == len(expected)
        for said, words in zip(driven["refused"], expected, strict=True):
            assert words in said
