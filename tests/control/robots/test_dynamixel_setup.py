"""New Dynamixel servos get their ids: over the twin, one servo alive at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.control.robots.motor_setup import SETUPS, find_motor, one_line, set_up
from ideomotor.control.robots.register_retry import read, write
from ideomotor.control.robots.registers import Register
from ideomotor.control.servo_bus import Servo
from ideomotor.sim.twin.process import Twin

pytestmark = [pytest.mark.realtime, pytest.mark.dialogue]

pytest.importorskip("dynamixel_sdk")
DYNAMIXEL = SETUPS["dynamixel"]
BUS = load_embodiment("koch").bus
assert BUS is not None
SERVOS = BUS.servos
PAN, LIFT, ELBOW = SERVOS[:3]


@pytest.fixture
def twin() -> Iterator[Twin]:
    with Twin("koch") as twin:
        for servo in SERVOS[1:]:
            twin.inject(f"dead id={servo.id}")
        yield twin


def put(twin: Twin, servo: Servo, baud: int, *values: tuple[Register, int]) -> None:
    """As another program has left it; the id and the rate may be among the values, as the last ones."""
    with one_line(twin.port, DYNAMIXEL, baud) as line:
        for register, value in values:
            line.write(servo.id, register.address, register.encode(value), 0.1)


def values(twin: Twin, servo: Servo, *registers: Register) -> list[int]:
    with one_line(twin.port, DYNAMIXEL, 1_000_000) as line:
        return [register.decode(read(line, servo, register)) for register in registers]


@pytest.mark.parametrize(("number", "baud"), [(1, 57_600), (77, 115_200), (252, 9_600), (1, 1_000_000)])
def test_a_servo_is_found_anywhere_and_gets_what_its_joint_needs(twin: Twin, number: int, baud: int) -> None:
    put(twin, PAN, 1_000_000, (reg.MAX_POSITION, 3000), (reg.SHADOW_ID, 9), (reg.ID, number))
    put(twin, replace(PAN, id=number), 1_000_000, (reg.BAUD, reg.BAUDS[baud]))
    tried: list[int] = []
    found = find_motor(twin.port, DYNAMIXEL, [], tried.append)
    assert (found.id, found.baud, found.model) == (number, baud, 1060) and tried[-1] == baud
    lift = replace(LIFT, mirrored=True)  # of the same model
    changed = set_up(twin.port, DYNAMIXEL, lift, found, 1_000_000)
    assert {f"id: {number} becomes 2", "register 48: 3000 becomes 4095"} <= set(changed)
    wanted = {reg.ID: 2, reg.BAUD: 3, reg.RETURN_DELAY: 0, reg.DRIVE_MODE: 1, reg.SHADOW_ID: 255}
    assert values(twin, lift, *wanted) == [*wanted.values()]
    assert values(twin, lift, reg.MIN_POSITION, reg.MAX_POSITION, reg.TORQUE_ENABLE) == [0, 4095, 0]
    again = find_motor(twin.port, DYNAMIXEL, [])
    assert set_up(twin.port, DYNAMIXEL, lift, again, 1_000_000) == [], "as it should be"


def test_two_servos_are_refused_whether_their_ids_differ_or_not(twin: Twin) -> None:
    twin.inject("clear")
    with pytest.raises(UserError, match=r"several servos at .* \(ids 1, 2, 3, 4, 5, 6\), expected one"):
        find_motor(twin.port, DYNAMIXEL, [])
    for servo in SERVOS[2:]:
        twin.inject(f"dead id={servo.id}")
    put(twin, LIFT, 1_000_000, (reg.ID, 1))
    with pytest.raises(UserError, match="several servos answer at .* at once"):
        find_motor(twin.port, DYNAMIXEL, [])


def test_a_running_motor_another_model_and_an_empty_line_are_refused_and_left(twin: Twin) -> None:
    found = find_motor(twin.port, DYNAMIXEL, [])
    with pytest.raises(UserError, match=r"elbow_flex: .* model 1060, expected 1200 \(xl330-m288\)"):
        set_up(twin.port, DYNAMIXEL, ELBOW, found, 1_000_000)
    with pytest.raises(UserError, match="baud: got 123456, expected one that its servo has"):
        set_up(twin.port, DYNAMIXEL, LIFT, found, 123_456)
    with one_line(twin.port, DYNAMIXEL, 1_000_000) as line:
        write(line, PAN, reg.TORQUE_ENABLE, 1)
    with pytest.raises(UserError, match="its motor is on"):
        set_up(twin.port, DYNAMIXEL, LIFT, found, 1_000_000)
    assert values(twin, PAN, reg.ID, reg.RETURN_DELAY) == [1, 250]
    twin.inject("dead id=1")
    with pytest.raises(UserError, match="no servo answers"):
        find_motor(twin.port, DYNAMIXEL, [])
