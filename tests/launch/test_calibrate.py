"""The calibration dialogue on a twin whose servos are mounted anyhow: giving up is free."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.calibration import calibration_path, load_calibration
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import survey
from ideomotor.control.robots.families import family_of
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.types import Command
from ideomotor.launch.commands.bring_up.calibrate import dialogue
from ideomotor.launch.console import Output
from ideomotor.sim.twin.process import Twin

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
MOUNTED = (-1300, 65, 1500, -2000, 400, 1900)  # [counts]; seams lie in the way of four joints
PACE = 6.0  # of the hand, whose whole sweep takes 8 s


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("so101", MOUNTED) as twin:
        yield twin


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


class Scripted:
    """A person who makes the given movements, and gives up (Ctrl-C) at step `gives_up_at` if that is set."""

    def __init__(
        self,
        twin: Twin,
        pose: str = "middle",
        sweep: str = "sweep",
        end: str = "closed",
        says: bool = True,
        gives_up_at: int = 0,
    ) -> None:
        self.twin, self.pose, self.sweep, self.end, self.says = twin, pose, sweep, end, says
        self.gives_up_at, self.step = gives_up_at, 0
        self.before_yes: Callable[[], None] = lambda: None

    def ready(self, request: str, pose: str = "middle") -> None:
        self._next()
        self.twin.inject(f"hand {self.pose if pose == 'middle' else self.end} {PACE}")
        time.sleep(1.5 / PACE)

    def moving(self, request: str) -> Callable[[], bool]:
        self._next()
        self.twin.inject(f"hand {self.sweep} {PACE}")
        ends = time.monotonic() + (0.5 if self.sweep == "middle" else 7.0 / PACE)
        return lambda: time.monotonic() < ends

    def agrees(self, question: str) -> bool:
        self._next()
        self.before_yes()
        return self.says

    def _next(self) -> None:
        self.step += 1
        if self.step == self.gives_up_at:
            raise KeyboardInterrupt


def offsets(twin: Twin) -> list[int]:
    family, layout = family_of(ROBOT)
    bus = ServoLine(twin.port, layout.baud, 0.1, family.packets())
    bus.open()
    try:
        return [report.offset for report in survey(bus, family, layout)]
    finally:
        bus.close()


def run(twin: Twin, person: Scripted, robot: Embodiment = ROBOT) -> int:
    return dialogue(robot, twin.port, "bench", person, Output(None))


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_giving_up_changes_nothing(twin: Twin, step: int) -> None:
    before = offsets(twin)
    with pytest.raises(KeyboardInterrupt):
        run(twin, Scripted(twin, gives_up_at=step))
    assert offsets(twin) == before
    assert not calibration_path("so101", "bench").exists()


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ({"end": "middle"}, "gripper: it was 626 counts from its stop when closed"),
        ({"sweep": "half"}, "not moved to both stops"),
        ({"sweep": "middle"}, "counts only"),
        ({"says": False}, "Nothing was written"),
    ],
    ids=lambda value: next(iter(value.items())) if isinstance(value, dict) else "",
)
def test_what_is_implausible_or_unwanted_is_not_written(
    twin: Twin, capsys: pytest.CaptureFixture[str], person: dict, why: str
) -> None:
    before = offsets(twin)
    assert run(twin, Scripted(twin, **person)) == 1
    assert why in capsys.readouterr().out
    assert offsets(twin) == before
    assert not calibration_path("so101", "bench").exists()


def test_a_starting_pose_far_from_the_middle_does_not_matter_if_the_sweep_reached_the_stops(
    twin: Twin,
) -> None:
    assert run(twin, Scripted(twin)) == 0
    right = load_calibration(ROBOT, "bench")
    assert run(twin, Scripted(twin, pose="lazy")) == 0
    lazy = load_calibration(ROBOT, "bench")
    for good, bad in zip(right.joints, lazy.joints, strict=True):
        if good.joint != "wrist_roll":
            zeros = [joint.zero + (joint.offset or 0) for joint in (good, bad)]
            assert (zeros[1] - zeros[0] + 2048) % 4096 - 2048 == pytest.approx(0, abs=8), good.joint


def test_a_servo_that_dies_while_offsets_are_written_leaves_the_others_as_they_were(twin: Twin) -> None:
    before = offsets(twin)
    person = Scripted(twin)
    person.before_yes = lambda: twin.inject("dead id=4")
    with pytest.raises(UserError, match=r"wrist_flex \(id 4\)"):
        run(twin, person)
    twin.inject("clear")
    assert offsets(twin) == before
    assert not calibration_path("so101", "bench").exists()


def test_a_calibrated_arm_is_where_it_says_and_goes_where_it_is_told(twin: Twin) -> None:
    goes_where_it_is_told(twin, ROBOT)


def test_so_is_one_of_dynamixel_servos() -> None:
    pytest.importorskip("dynamixel_sdk")
    with Twin("koch", MOUNTED) as twin:
        goes_where_it_is_told(twin, load_embodiment("koch"))


def goes_where_it_is_told(twin: Twin, robot: Embodiment) -> None:
    """Calibrates an arm, connects, moves it home; with another calibration it is refused."""
    assert run(twin, Scripted(twin), robot) == 0
    found = load_calibration(robot, "bench")
    twin.inject(f"hand middle {PACE}")
    time.sleep(1.5 / PACE)
    arm = ServoArm(robot, twin.port, found, timeout=0.1)
    arm.connect()
    twin.inject("hand off")
    target = robot.home_position
    state = arm.read()
    start = state.position
    for tick in range(150):
        share = min(1.0, tick / 120)
        arm.write(Command(tick, start + share * (target - start)))
        state = arm.read()
        time.sleep(1 / 120)
    assert np.abs(twin.where() - target).max() < 0.03
    assert np.abs(state.position - twin.where()).max() < 0.03
    arm.disconnect()

    # Another program resets a servo, or it is another arm: refused, and no motor is switched on.
    other = ServoArm(robot, twin.port, _with_offset(found, 12), timeout=0.1)
    with pytest.raises(UserError, match="elbow_flex: offset in the servo: got .*, expected 12 as calibrated"):
        other.connect()


def _with_offset(calibration, offset: int):
    import dataclasses

    joints = list(calibration.joints)
    joints[2] = dataclasses.replace(joints[2], offset=offset)
    return dataclasses.replace(calibration, joints=tuple(joints))


def test_the_command_asks_for_a_port(in_process) -> None:
    in_process("calibrate", "so101").assert_refused("port", "--twin")
    in_process("calibrate", "so101", "--port", "/dev/null").assert_refused("terminal")
    in_process("twin", "so101", "--fault", "ded id=3").assert_refused("unknown name 'ded'", "dead")
    in_process("twin", "so101", "--script", "/nowhere").assert_refused("script: cannot read")
    in_process("twin", "so101", "--assembly", "1", "2").assert_refused("assembly", "expected 6 counts")


def test_the_twin_command_serves_a_port(in_process) -> None:
    done = in_process("twin", "koch", "--fault", "drop id=2 count=3", "--max-seconds", "0.5")
    assert done.returncode == 0 and "koch is at /" in done.stdout
