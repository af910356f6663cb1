"""What another program left in a servo is seen, said, and put back or refused before the arm moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.drivers import driver_of
from ideomotor.control.robots.register_retry import write
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.robots.settings import needs_of
from ideomotor.sim.twin.process import Twin

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("scservo_sdk")
ROBOT = load_embodiment("so101")
KNOWN = default_calibration(ROBOT)
DRIVER = driver_of(ROBOT)
# register of the emulator, what another program left, what the arm is asked, and what it has afterwards
LEFT = [
    (
        "min_position",
        2400,
        "lower position limit: got 2400, expected at most 1934; goals are clamped to it",
        0,
    ),
    ("max_position", 2900, "upper position limit: got 2900, expected at least 3186", 4095),
    ("max_position", 0, "upper position limit: got 0", 4095),  # with 0 below it: many turns
    ("phase", 12 | 16, "phase: got 28, expected 12; bit 4: positions do not wrap", 12),
    ("phase", 12 | 128 | 1, "phase: got 141", 12),
    ("phase", 32 | 4, "phase: got 4, expected 12", 32 | 12),  # bit 5 is how the servo is built
    ("mode", 1, "mode: got 1, expected 0; it does not go to positions", 0),
    ("resolution", 2, "resolution: got 2, expected 1", 1),
    ("max_torque", 300, "highest torque: got 300, expected at least 500; it is too weak", 1000),
    ("p_gain", 2, "P gain: got 2, expected 16 to 32", 32),
    ("i_gain", 20, "I gain: got 20, expected 0", 0),
    ("d_gain", 0, "D gain: got 0, expected 16 to 64", 32),
    ("dead_zone_cw", 40, "dead zone, clockwise: got 40, expected 0 to 4", 1),
    ("dead_zone_ccw", 40, "dead zone, the other way: got 40", 1),
    ("startup_force", 400, "startup force: got 400", 16),
    ("unload_condition", 0, "shutdown: got 0, expected one with the bits 44", 44),
    ("protection_current", 0, "protection current: got 0", 500),
    ("overload_torque", 0, "overload torque: got 0", 80),
    ("protection_time", 0, "protection time: got 0", 200),
    ("protective_torque", 100, "protective torque: got 100", 20),
    ("response_level", 0, "response level: got 0, expected 1; it acknowledges nothing", 1),
]


@pytest.fixture
def arm(emulated_arm: Callable[..., Any]) -> Any:
    return emulated_arm()


@pytest.mark.parametrize(("register", "value", "said", "afterwards"), LEFT)
def test_a_setting_is_said_refused_and_put_back(
    arm: Any, register: str, value: int, said: str, afterwards: int
) -> None:
    arm.put(6, register, value)
    robot = ServoArm(ROBOT, arm.port)
    with pytest.raises(UserError, match="another program left it") as refused:
        robot.connect()
    assert str(refused.value).startswith(f"gripper (id 6): {said}")
    assert arm.history("torque_enable") == [] or not any(arm.torque().values())

    (found,) = DRIVER.differences(ROBOT, arm.port, KNOWN)
    assert str(found).startswith(f"gripper (id 6): {said}")
    DRIVER.reset(ROBOT, arm.port, [found])
    assert arm.get(6, register) == afterwards
    assert DRIVER.differences(ROBOT, arm.port, KNOWN) == []
    arm.power_cycle()
    assert arm.get(6, register) == afterwards  # for good
    assert arm.get(6, "lock") == 1


def test_what_lerobot_leaves_on_a_calibrated_arm_is_accepted(arm: Any) -> None:
    """Registers that so_follower.py and its calibration write, where the arm can still do all it must."""
    for number, need in enumerate(needs_of(ROBOT, ROBOT.bus, KNOWN).values(), start=1):
        arm.put(number, "p_gain", 16)
        arm.put(number, "return_delay", 0)
        arm.put(number, "min_position", need.lower)
        arm.put(number, "max_position", need.upper)
    arm.put(6, "max_torque", 500)
    arm.put(6, "protection_current", 250)
    arm.put(6, "overload_torque", 25)
    assert DRIVER.differences(ROBOT, arm.port, KNOWN) == []


def test_several_settings_are_put_back_together_and_nothing_moves(arm: Any) -> None:
    """The gripper of the report: limits of another calibration, from which it jumped as torque came on."""
    arm.set(limits_switch_on=True, goals_switch_on=True)  # as lerobot#3585 reports of some firmware
    arm.put(6, "min_position", 2556)  # 0.78 rad; it is at 0.30
    arm.put(6, "max_position", 4000)
    arm.put(3, "min_position", 2800)
    arm.put(3, "max_position", 3900)
    arm.put(5, "phase", 28)
    arm.state()
    found = DRIVER.differences(ROBOT, arm.port, KNOWN)
    assert [(d.servo.joint, d.setting.name) for d in found] == [
        ("elbow_flex", "lower position limit"),
        ("wrist_roll", "phase"),
        ("gripper", "lower position limit"),
    ]
    DRIVER.reset(ROBOT, arm.port, found)
    assert not any(arm.torque().values())
    robot = ServoArm(ROBOT, arm.port, timeout=0.1, stale_after=0.5)
    robot.connect()
    try:
        for row in arm.state().values():
            assert row["torque"] == 1
            assert row["highest"] - row["lowest"] <= 2  # counts, 0.2°
    finally:
        robot.disconnect()


def test_settings_are_not_touched_while_a_motor_is_on(arm: Any) -> None:
    arm.put(6, "p_gain", 2)
    arm.put(6, "goal_position", arm.get(6, "position"))
    arm.put(6, "torque_enable", 1)
    found = DRIVER.differences(ROBOT, arm.port, KNOWN)
    with pytest.raises(UserError, match="the motors of gripper are on, expected them off"):
        DRIVER.reset(ROBOT, arm.port, found)
    assert arm.get(6, "p_gain") == 2 and arm.torque()[6]


def test_what_is_only_kept_until_power_goes_is_set_at_each_connection(arm: Any) -> None:
    for register, value in (("torque_limit", 100), ("acceleration", 5), ("goal_speed", 50), ("lock", 0)):
        arm.put(2, register, value)
    arm.put(2, "goal_time", 900)
    robot = ServoArm(ROBOT, arm.port, timeout=0.1, stale_after=0.5)
    robot.connect()
    table = arm.table(2)
    robot.disconnect()
    kept = ("torque_limit", "acceleration", "goal_speed", "goal_time", "lock")
    assert [table[register] for register in kept] == [1000, 254, 0, 0, 1]


def test_an_offset_of_another_program_is_refused_with_the_joint(arm: Any) -> None:
    joints = [dataclasses.replace(joint, offset=0) for joint in KNOWN.joints]
    calibrated = dataclasses.replace(KNOWN, joints=tuple(joints))
    arm.put(3, "offset", -70)
    with pytest.raises(UserError, match="elbow_flex: offset in the servo: got -70, expected 0 as calibrated"):
        DRIVER.differences(ROBOT, arm.port, calibrated)
    with pytest.raises(UserError, match="elbow_flex: offset in the servo"):
        ServoArm(ROBOT, arm.port, calibrated).connect()


DXL_LEFT = [
    ("DRIVE_MODE", 8, "drive mode, torque on by goal: got 8, expected 0; every goal switches its motor on"),
    ("MAX_PWM", 100, "PWM limit: got 100, expected at least 442; it is too weak for its joint"),
    ("STARTUP", 3, "startup configuration: got 3, expected 0; it switches its motor on by itself"),
    ("SHUTDOWN", 0, "shutdown: got 0, expected one with the bits 52; it does not protect itself"),
]


def test_dynamixel_servos_are_looked_at_likewise() -> None:
    pytest.importorskip("dynamixel_sdk")
    from ideomotor.control.robots.drivers import opened
    from ideomotor.control.robots.dynamixel import registers as reg

    koch = load_embodiment("koch")
    driver, known = driver_of(koch), default_calibration(koch)
    with Twin("koch") as twin:
        assert driver.differences(koch, twin.port, known) == []
        with opened(koch, twin.port) as (line, _, layout):
            for name, value, _ in DXL_LEFT:
                write(line, layout.servos[5], getattr(reg, name), value)
            for register, value in ((reg.POSITION_P_GAIN, 1500), (reg.POSITION_D_GAIN, 600)):
                write(line, layout.servos[2], register, value)  # as LeRobot leaves the elbow
        found = driver.differences(koch, twin.port, known)
        assert [str(d) for d in found] == [
            f"gripper (id 6): {said}"
            + (", or brings back old settings, when power comes" * (name == "STARTUP"))
            for name, _, said in DXL_LEFT
        ]
        arm = ServoArm(koch, twin.port, timeout=0.1, stale_after=1.0)
        with pytest.raises(UserError, match="gripper .id 6.: drive mode, torque on by goal.*and 3 more"):
            arm.connect()
        driver.reset(koch, twin.port, found)
        assert driver.differences(koch, twin.port, known) == []
        arm.connect()
        with_gains = arm.bus.read(3, reg.POSITION_D_GAIN.address, 6).data[3]
        arm.disconnect()
    assert with_gains == bytes([0, 0, 0, 0, 144, 1])  # D 0, I 0, P 400: as out of the box
