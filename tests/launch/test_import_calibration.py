"""`calibrate --import` and the whole dialogue, on an arm as LeRobot leaves it, over the servos' protocol."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import calibration_path, load_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.types import Command

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
PUBLISHED = json.loads((Path(__file__).parents[1] / "control" / "so101_calibrations.json").read_text())
ARM = "MarkRedeman/robot-control-server-rs"  # gripper 1845 to 3359; seams of the encoders inside two ranges
GIVE_UP_S = 120.0


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def entries(name: str = ARM) -> dict[str, dict[str, int]]:
    return {
        joint: {"id": i, "drive_mode": 0, "homing_offset": offset, "range_min": low, "range_max": high}
        for i, (joint, (offset, low, high)) in enumerate(PUBLISHED[name].items(), start=1)
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "follower.json"
    path.write_text(json.dumps(entries()))
    return path


@pytest.fixture
def arm(emulated_arm: Callable[..., Any]) -> Any:
    """That arm as LeRobot has left it: offsets and limits in its servos, held about in the middle."""
    middles = [row["homing_offset"] + (row["range_min"] + row["range_max"]) / 2 for row in entries().values()]
    arm = emulated_arm(angles=middles)
    for row in entries().values():
        arm.put(row["id"], "offset", row["homing_offset"])
        arm.put(row["id"], "min_position", row["range_min"])
        arm.put(row["id"], "max_position", row["range_max"])
        stops = (row["homing_offset"] + row["range_min"], row["homing_offset"] + row["range_max"])
        arm.set(row["id"], stops=stops)
    return arm


def test_a_file_of_this_arm_is_taken_and_nothing_is_written_to_the_servos(
    arm: Any, file: Path, in_process: Callable[..., Any]
) -> None:
    done = in_process("calibrate", "so101", "--port", arm.port, "--import", file, "--yes", "--json", "-").json
    assert (done["offsets_written"], done["settings_reset"], done["notes"]) == ([], [], [])
    assert done["path"] == str(calibration_path("so101")) and done["joints"][5]["lower"] == 1845
    assert arm.history() == []

    robot = ServoArm(ROBOT, arm.port, load_calibration(ROBOT), timeout=0.1, stale_after=0.5)
    robot.connect()
    start = robot.read().position
    target = np.where(np.arange(6) == 5, ROBOT.lower, start)
    for tick in range(180):
        robot.write(Command(tick, start + min(1.0, tick / 120) * (target - start)))
        robot.read()
        time.sleep(1 / 120)
    state = arm.state()
    robot.disconnect()
    assert state[6]["position"] == pytest.approx(1845, abs=2)  # closed, where its stop is
    assert all(state[i]["highest"] - state[i]["lowest"] < 12 for i in range(1, 6))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda arm: arm.put(2, "offset", 100),
            ("import: the offsets in the servos of shoulder_lift are not",),
        ),
        (
            lambda arm: (arm.set(4, stops=None), arm.place({4: -1557 + 3400})),
            ("wrist_flex: it is at 3400 counts", "806 to 3147"),
        ),
        (lambda arm: arm.set(3, silent=True), ("no answer", "elbow_flex (id 3)")),
        (lambda arm: arm.set(1, volts=3.0), ("shoulder_pan: voltage: got 3.0 V",)),
    ],
    ids=["another_arms", "where_it_cannot_be", "silent", "supply"],
)
def test_an_arm_that_does_not_fit_the_file_is_refused(
    arm: Any, file: Path, in_process: Callable[..., Any], spoil: Callable[[Any], None], words: tuple[str, ...]
) -> None:
    spoil(arm)
    done = in_process("calibrate", "so101", "--port", arm.port, "--import", file, "--yes")
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr
    assert arm.history() == [] and not calibration_path("so101").exists()


def test_what_differs_is_reset_with_yes_but_not_while_a_motor_is_on(
    arm: Any, file: Path, in_process: Callable[..., Any]
) -> None:
    command = ("calibrate", "so101", "--port", arm.port, "--import", file)
    arm.put(6, "max_position", 2500)
    done = in_process(*command)
    assert done.returncode == 2 and "expected a terminal" in done.stderr and "--yes" in done.stderr
    arm.put(6, "torque_enable", 1)
    done = in_process(*command, "--yes")
    assert done.returncode == 2 and "their motors are on" in done.stderr
    arm.put(6, "torque_enable", 0)
    done = in_process(*command, "--yes")
    assert done.returncode == 0 and "upper position limit" in done.stdout
    assert arm.get(6, "max_position") == 4095 and calibration_path("so101").exists()


def test_an_implausible_file_is_not_taken(
    emulated_arm: Callable[..., Any], tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    path = tmp_path / "follower.json"
    path.write_text(json.dumps(entries("imeun/SO101-MuJoCo-Depth-ACT")))  # two joints of 4095 counts
    done = in_process("calibrate", "so101", "--port", emulated_arm().port, "--import", path, "--yes")
    assert done.returncode == 1 and "implausible: shoulder_lift: its range was 4095 counts" in done.stdout
    assert not calibration_path("so101").exists()


class Terminal:
    """The command in a pseudo-terminal, and somebody who waits for a text before doing the next thing."""

    def __init__(self, command: Path, *arguments: object) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [command, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
        )
        os.close(theirs)
        self.seen, self._at = "", 0

    def expect(self, text: str) -> None:
        until = time.monotonic() + GIVE_UP_S
        while text not in self.seen[self._at :]:
            assert time.monotonic() < until, f"waited for {text!r} in {self.seen}"
            if select.select([self.ours], [], [], 1.0)[0]:
                try:
                    self.seen += os.read(self.ours, 65536).decode()
                except OSError:
                    raise AssertionError(f"ended before {text!r}: {self.seen}") from None
        self._at = self.seen.index(text, self._at) + len(text)

    def type(self, line: str = "") -> None:
        os.write(self.ours, line.encode() + b"\n")

    def ends(self) -> int:
        until = time.monotonic() + GIVE_UP_S
        while self.process.poll() is None and time.monotonic() < until:
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.ours, 65536).decode()
                except OSError:
                    break
        os.close(self.ours)
        return self.process.wait(10)


def test_a_person_may_say_that_the_file_is_this_arms_after_all(arm: Any, file: Path, command: Path) -> None:
    """Servos that were reset: offsets 0, no limits."""
    for number in range(1, 7):
        arm.put(number, "offset", 0)
    for said, code in (("n", 1), ("y", 0)):
        terminal = Terminal(command, "calibrate", "so101", "--port", arm.port, "--import", file)
        terminal.expect("Go on only if it is this very arm's")
        terminal.type()
        terminal.expect("Write the file's offsets into the servos, and the calibration to")
        terminal.type(said)
        assert terminal.ends() == code
        offsets = [arm.get(row["id"], "offset") for row in entries().values()]
        wanted = [row["homing_offset"] for row in entries().values()]
        assert offsets == (wanted if code == 0 else [0] * 6)
        assert calibration_path("so101").exists() == (code == 0)


def test_the_whole_dialogue_on_an_arm_that_lerobot_has_calibrated(arm: Any, command: Path) -> None:
    """Limits of LeRobot in its servos, one that counts over many turns, seams in the way of two joints."""
    arm.put(5, "phase", 28)
    rows = list(entries().values())

    def turned(where: str, seconds: float = 0.3) -> dict[int, list[tuple[float, float]]]:
        at = {"low": 0.0, "high": 1.0, "pose": 0.45}[where]
        return {
            row["id"]: [
                (
                    seconds,
                    row["homing_offset"] + row["range_min"] + at * (row["range_max"] - row["range_min"]),
                )
            ]
            for row in rows
        }

    terminal = Terminal(command, "calibrate", "so101", "--port", arm.port)
    terminal.expect("Reset it now, before the arm is moved?")
    terminal.type("y")
    terminal.expect("gripper half open, and hold it still.")
    arm.hand(turned("pose"))
    time.sleep(0.5)
    terminal.type()
    terminal.expect("Press Enter when all have been there.")
    for where in ("low", "high", "pose"):
        arm.hand(turned(where, 1.0))
        time.sleep(1.2)
    terminal.type()
    terminal.expect("Now close the gripper completely")
    arm.hand({6: turned("low")[6]})
    time.sleep(0.5)
    terminal.type()
    terminal.expect("reset")
    terminal.type("y")
    assert terminal.ends() == 0, terminal.seen
    found = load_calibration(ROBOT)
    for row, joint in zip(rows, found.joints, strict=True):
        assert arm.get(row["id"], "offset") == joint.offset
        # Where the joint's encoder is at its zero: the same as from LeRobot's file.
        middle = row["homing_offset"] + (row["range_min"] + row["range_max"]) / 2
        zero = middle if joint.joint != "gripper" else row["homing_offset"] + row["range_min"] + 113.8
        assert joint.offset is not None
        assert (joint.zero + joint.offset - zero + 2048) % 4096 - 2048 == pytest.approx(0, abs=3), joint.joint
        assert arm.get(row["id"], "min_position") <= joint.lower
        assert arm.get(row["id"], "max_position") >= joint.upper
    assert arm.get(5, "phase") == 12
