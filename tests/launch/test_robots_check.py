"""`ideomotor robots check`: a healthy arm and arms with faults, over their servos' own protocols."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ideomotor.control.calibration import Calibration, default_calibration, save_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.sim.twin.process import Twin

pytestmark = pytest.mark.realtime

pytest.importorskip("scservo_sdk")
pytest.importorskip("dynamixel_sdk")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def checked(command: Callable[..., Any], *words: object) -> tuple[int, dict[str, Any]]:
    done = command("robots", "check", *words, "--json", "-")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_faults_of_servos_are_said_in_words_and_nothing_is_written(emulated_arm, in_process) -> None:
    arm = emulated_arm()
    code, found = checked(in_process, "so101", "--port", arm.port, "--seconds", 1)
    assert code == 0 and found["problems"] == []
    assert [servo["joint"] for servo in found["servos"]] == list(load_embodiment("so101").joint_names)
    for servo in found["servos"]:
        assert servo["answers"] and not servo["motor_on"] and servo["lost"] == 0 and servo["asked"] > 20
        assert 0 < servo["reply_ms"]["p50"] <= servo["reply_ms"]["p99"]
    assert any(note.startswith("not calibrated") for note in found["notes"])
    assert arm.history() == [], "not one write to any servo"

    arm.set(2, silent=True)
    code, found = checked(in_process, "so101", "--port", arm.port, "--seconds", 0.5)
    assert code == 1 and not found["servos"][1]["answers"] and found["servos"][0]["answers"]
    assert found["problems"] == [
        "shoulder_lift (id 2): no answer, expected sts3215: check its cable, its supply and its id"
    ]


def test_heat_supply_and_lost_replies_of_a_twin(ideomotor: Callable[..., Any]) -> None:
    with Twin("so101") as twin:
        twin.inject("hot id=3 celsius=68")
        twin.inject("brownout id=1 volts=4.3")
        twin.inject("drop id=5 count=6")
        done = ideomotor("robots", "check", "so101", "--port", twin.port, "--seconds", 2)
        assert done.returncode == 1, done.stderr
        for said in (
            "problem: elbow_flex (id 3): a servo is too hot: 68 °C, limit 65 °C",
            "problem: shoulder_pan (id 1): the servos' supply is too low: 4.3 V, at least 4.5 V needed",
            "problem: wrist_roll (id 5): 6 of ",
            "3 problems",
        ):
            assert said in done.stdout, done.stdout
        assert done.stdout.count("problem: ") == 3
        ideomotor("robots", "check", "so101").assert_refused("port")
        ideomotor("robots", "check", "so101", "--port", twin.port, "--seconds", 0).assert_refused("seconds")
        missing = ("robots", "check", "so101", "--port", twin.port, "--arm", "left", "--seconds", 0.1)
        ideomotor(*missing).assert_refused("left.yaml does not exist")
    assert "shoulder_pan" in ideomotor("robots", "so101").stdout, "the listing goes on working"


def test_error_bits_and_shadows_of_dynamixel_servos(in_process) -> None:
    with Twin("vx300s") as twin:
        twin.inject("shutdown id=3 bits=32")
        code, found = checked(in_process, "vx300s", "--port", twin.port, "--seconds", 0.5)
    assert code == 1
    servos = {servo["id"]: servo for servo in found["servos"]}
    assert servos[3]["status"] == 32 and servos[3]["faults"] == ["overload"] and servos[2]["faults"] == []
    assert found["problems"] == ["shoulder (id 3, shadow): a servo reports too much load: status 0x20"]


def test_another_arm_than_the_calibrated_one_is_noticed(emulated_arm, in_process) -> None:
    robot = load_embodiment("so101")
    known = default_calibration(robot)
    elsewhere = [
        joint.__class__(**{**joint.__dict__, "offset": 85 if joint.joint == "elbow_flex" else 0})
        for joint in known.joints
    ]
    save_calibration(Calibration(robot.name, "left", "today", tuple(elsewhere)))
    arm = emulated_arm(angles=[2048 + 4096 / math.tau * q for q in (0, 0, 0, 0, 0, 0.3)])
    code, found = checked(in_process, "so101", "--port", arm.port, "--arm", "left", "--seconds", 0.2)
    assert code == 1
    assert found["problems"] == [
        "elbow_flex (id 3): offset 0 in the servo, 85 in the calibration of arm left: another arm, or "
        "another program changed it"
    ]
