"""What is particular about an arm of Dynamixel servos: shadows, whole turns, reboots and the bus watchdog."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import EMBODIMENTS, load_embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.robots.bring_up import switch_off
from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.control.robots.families import family_of
from ideomotor.control.robots.register_retry import REPLY_S, read, write
from ideomotor.control.robots.registers import Register
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.types import Command
from ideomotor.sim.twin.process import Twin

pytestmark = pytest.mark.realtime

pytest.importorskip("dynamixel_sdk")
VIPER = load_embodiment("vx300s")  # shoulder: ids 2 and 3, elbow: ids 4 and 5
FAMILY, LAYOUT = family_of(VIPER)
MOTORS = {motor.id: motor for motor in LAYOUT.motors}


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("vx300s") as twin:
        yield twin


@pytest.fixture
def arm(twin: Twin) -> Iterator[ServoArm]:
    twin.inject("clear")
    robot = ServoArm(VIPER, twin.port, timeout=0.1, stale_after=1.0)
    yield robot
    robot.disconnect()


def connect(arm: ServoArm | KeepTorqueOn) -> None:
    """Connects, more than once where the twin's process had to wait too long for its turn."""
    for _ in range(9):
        try:
            arm.connect()
            return
        except UserError as error:
            if "no answer" not in str(error):
                raise
    arm.connect()


@contextmanager
def line(twin: Twin) -> Iterator[ServoLine]:
    """Another program on the same line, while no arm is connected."""
    line = ServoLine(twin.port, LAYOUT.baud, REPLY_S, FAMILY.packets())
    line.open()
    yield line
    line.close()


def values(twin: Twin, register: Register) -> dict[int, int]:
    """{id: value} of a register in every servo."""
    with line(twin) as bus:
        return {servo: register.decode(read(bus, motor, register)) for servo, motor in MOTORS.items()}


def drive(arm: ServoArm, ticks: int) -> set[tuple[str, str]]:
    """Moves the arm around its home pose; returns (name, joint) of all faults seen that stop it."""
    seen = set()
    for tick in range(ticks):
        arm.read()
        arm.write(Command(tick, VIPER.home_position + 0.05 * np.sin(tick / 20)))
        seen |= {(fault.name, fault.joint) for fault in arm.faults() if fault.kind.stops}
    return seen


def test_an_arm_is_set_up_and_left_as_the_manual_wants_it(arm: ServoArm, twin: Twin) -> None:
    standing = KeepTorqueOn(arm)
    connect(standing)
    assert drive(arm, 30) == set()
    standing.disconnect()
    assert set(values(twin, reg.TORQUE_ENABLE).values()) == {1}
    assert set(values(twin, reg.WATCHDOG).values()) == {0}
    assert set(values(twin, reg.MODE).values()) == {reg.MANY_TURNS}
    assert values(twin, reg.GOAL_PWM) == dict.fromkeys(MOTORS, reg.FULL_PWM) | {9: round(885 * 1.0 / 4.1)}
    connect(standing)  # again, with the motors on
    assert drive(arm, 30) == set()
    standing.torque_off()
    assert set(values(twin, reg.TORQUE_ENABLE).values()) == {0}  # the shadows' too


def test_a_shadow_that_fails_is_named_although_nobody_reads_its_position(arm: ServoArm, twin: Twin) -> None:
    connect(arm)
    twin.inject("hot id=5 celsius=76")
    assert ("over_temperature", "elbow, shadow") in drive(arm, 40)
    twin.inject("clear")
    twin.inject("shutdown id=3 bits=32")
    seen = drive(arm, 40)
    assert {("overload", "shoulder, shadow"), ("torque_lost", "shoulder, shadow")} <= seen
    arm.rearm()  # reboots it
    assert drive(arm, 40) == set()


def test_a_servo_that_failed_before_is_rebooted_when_the_arm_is_connected(arm: ServoArm, twin: Twin) -> None:
    twin.inject("shutdown id=7 bits=32")
    assert values(twin, reg.ERROR)[7] == reg.ERROR_OVERLOAD
    connect(arm)
    assert drive(arm, 20) == set()


@pytest.mark.parametrize(
    ("servo", "register", "wrong", "message"),
    [  # either would make two motors work against each other, or the arm move the wrong way
        (3, reg.DRIVE_MODE, 1, r"shoulder \(id 3\): drive mode: got reverse, expected normal"),
        (7, reg.DRIVE_MODE, 0, r"wrist_angle \(id 7\): drive mode: got normal, expected reverse"),
        (5, reg.SHADOW_ID, 255, r"elbow \(id 5\): secondary id: got 255, expected 4"),
        (1, reg.SHADOW_ID, 2, r"waist \(id 1\): secondary id: got 2, expected none"),
        (6, reg.OFFSET, 1000, r"forearm_roll: offset in the servo: got -1000, expected 0 as calibrated"),
    ],
)
def test_servos_that_are_set_up_otherwise_are_refused(
    arm: ServoArm, twin: Twin, servo: int, register: Register, wrong: int, message: str
) -> None:
    joints = tuple(dataclasses.replace(joint, offset=0) for joint in arm.calibration.joints)
    arm.calibration = dataclasses.replace(arm.calibration, joints=joints)
    right = values(twin, register)[servo]
    with line(twin) as bus:
        write(bus, MOTORS[servo], register, wrong)
    try:
        with pytest.raises(UserError, match=message):
            connect(arm)
        assert set(values(twin, reg.TORQUE_ENABLE).values()) == {0}
    finally:
        with line(twin) as bus:
            write(bus, MOTORS[servo], register, right)


@pytest.fixture
def turned(twin: Twin) -> Iterator[int]:
    """A servo that was turned twice since it was last switched on, for which an offset stands."""
    with line(twin) as bus:
        write(bus, MOTORS[6], reg.MODE, reg.MANY_TURNS)
        write(bus, MOTORS[6], reg.OFFSET, 2 * 4096)
    yield 6
    with line(twin) as bus:
        write(bus, MOTORS[6], reg.TORQUE_ENABLE, 0)
        write(bus, MOTORS[6], reg.OFFSET, 0)


def test_whole_turns_that_a_servo_counts_are_not_the_joints(twin: Twin, turned: int, arm: ServoArm) -> None:
    connect(arm)
    before = twin.where()
    assert drive(arm, 40) == set()
    assert np.abs(arm.read().position - twin.where()).max() < 0.1
    assert np.abs(twin.where() - before).max() < 0.2
    arm.disconnect()
    assert values(twin, reg.GOAL_POSITION)[turned] > 2 * 4096


def test_so_are_those_of_an_arm_that_another_process_has_left(twin: Twin, turned: int, arm: ServoArm) -> None:
    connect(arm)
    arm.bus.close()  # as its process does when it is killed
    before = twin.where()
    second = ServoArm(VIPER, twin.port, timeout=0.1, stale_after=1.0)
    second.take_over()
    second.write(Command(0, VIPER.home_position))  # nothing was read yet
    assert drive(second, 40) == set()
    assert np.abs(twin.where() - before).max() < 0.2
    second.disconnect()


def test_a_change_that_needs_a_motor_off_is_not_made_while_it_is_on(arm: ServoArm, twin: Twin) -> None:
    connect(arm)
    arm.disconnect(torque_off=False)
    with line(twin) as bus:
        write(bus, MOTORS[2], reg.TORQUE_ENABLE, 0)  # its shadow's as well
        write(bus, MOTORS[2], reg.MODE, 3)
        write(bus, MOTORS[2], reg.TORQUE_ENABLE, 1)
    with pytest.raises(
        MotorsOnError, match=r"shoulder \(id 2\): register 11 has to become 4, which needs its motor off"
    ):
        connect(arm)
    with line(twin) as bus:  # an arm that stood before its failure stands afterwards
        assert all(read(bus, servo, reg.TORQUE_ENABLE) == b"\1" for servo in MOTORS.values())
        assert switch_off(bus, arm.family, arm.layout)
    connect(arm)
    assert drive(arm, 20) == set()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("shadow: 5", "shadow: 6", r"servos: got .*, expected servos whose ids differ"),
        ("mirrored: true", "mirrored: 1", r"servos\[1\].mirrored: got 1, expected true or false"),
        ("end_stops: false", "voltage: {lower: 5, upper: 4}", r"servos\[0\].voltage.upper: got 4"),
        (
            "protocol: dynamixel",
            "protocol: feetech",
            r"servos\[0\].model: got 'xm540-w270', expected one of sts",
        ),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (EMBODIMENTS / "vx300s.yaml").read_text()
    assert old in text
    path = tmp_path / "arm.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_embodiment(path)


def test_only_dynamixel_servos_have_shadows(tmp_path: Path) -> None:
    text = (EMBODIMENTS / "so101.yaml").read_text()
    path = tmp_path / "arm.yaml"
    path.write_text(text.replace("id: 2,", "id: 2, shadow: 9,", 1))
    with pytest.raises(UserError, match=r"servos\[1\].shadow: got 9, expected nothing, since only dynamixel"):
        load_embodiment(path)
