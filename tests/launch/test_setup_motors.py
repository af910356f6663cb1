"""`ideomotor setup-motors` with one emulated servo on the line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")


def test_the_command_sets_one_joint_up_and_refuses_what_it_cannot(
    emulated_arm, ideomotor: Callable[..., Any]
) -> None:
    arm = emulated_arm(ids=[1], angles=[2048])
    command = ("setup-motors", "so101", "--port", arm.port)
    done = ideomotor(*command, "--joint", "gripper", "--json", "-")
    assert done.returncode == 0 and done.json["servos"][0]["id"] == 6 and arm.get(1, "id") == 6
    ideomotor(*command).assert_refused("terminal")
    ideomotor(*command, "--joint", "griper").assert_refused("did you mean 'gripper'")
    ideomotor("setup-motors", "so101").assert_refused("port", "--twin")


def test_new_servos_of_a_whole_arm_are_rehearsed_with_the_twin(in_process) -> None:
    servos = in_process("setup-motors", "vx300s", "--twin", "--json", "-").json["servos"]
    assert len({servo["id"] for servo in servos}) == 9
    for servo in servos:
        assert f"id: 1 becomes {servo['id']}" in servo["changed"] or servo["id"] == 1
        assert "baud rate: 57600 becomes 1000000" in servo["changed"]


def test_the_dialogue_asks_again_after_a_mistake(emulated_arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    terminal = importlib.import_module("terminal")
    arm = emulated_arm(ids=[1], angles=[2048])
    arm.put(1, "torque_enable", 1)
    shown = terminal.Terminal(
        [Path(sys.executable).parent / "ideomotor", "setup-motors", "so101", "--port", arm.port]
    )
    try:
        shown.wait_for("connect the servo of gripper alone (id 6)")
        shown.press("\n")
        shown.wait_for("its motor is on")
        arm.put(1, "torque_enable", 0)
        shown.press("\n")
        shown.wait_for("gripper: id 6: register 7: 250 becomes 0; id: 1 becomes 6")
        for joint in ("wrist_roll", "wrist_flex", "elbow_flex", "shoulder_lift", "shoulder_pan"):
            shown.wait_for(f"connect the servo of {joint} alone")
            shown.press("s\n")
        assert shown.wait() == 0
    finally:
        shown.close()
