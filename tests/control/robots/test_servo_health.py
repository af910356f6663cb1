"""Which faults follow from what a servo tells about itself."""

import dataclasses

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.dynamixel import registers as dxl
from ideomotor.control.robots.families import family_of
from ideomotor.control.robots.faults import FAULTS
from ideomotor.control.robots.feetech import registers as sts
from ideomotor.control.robots.servo_health import JUDGED, Health, judge

ARMS = {
    "so101": (sts, {"voltage": 74, "temperature": 35, "current": 20, "status": 0, "torque_enable": 1}),
    "koch": (dxl, {"voltage": 120, "temperature": 35, "effort": 20, "error": 0, "torque_enable": 1}),
}


def found(arm: str, was_hot: bool = False, **values: int) -> dict[str, str]:
    """The faults of the first servo, which is well but for some registers, given in lower case."""
    family, layout = family_of(load_embodiment(arm))
    reg, well = ARMS[arm]
    table = bytearray(reg.TABLE_SIZE)
    for name, value in (well | values).items():
        register = getattr(reg, name.upper())
        table[register.address : register.address + register.size] = register.encode(value)
    start = family.health - 7
    servo = layout.servos[0]
    return judge(family.read_health(bytes(table[start:]), start, servo), servo, was_hot)


@pytest.mark.parametrize(
    ("arm", "values", "names"),
    [
        ("so101", {}, set()),
        ("so101", {"voltage": 44}, {"brown_out"}),
        ("so101", {"voltage": 45}, set()),
        ("so101", {"voltage": 136}, {"over_voltage"}),
        ("so101", {"temperature": 64}, set()),
        ("so101", {"temperature": 65}, {"over_temperature"}),
        ("so101", {"status": sts.ERROR_TEMPERATURE}, {"over_temperature"}),
        ("so101", {"status": sts.ERROR_SENSOR}, {"sensor"}),
        ("so101", {"status": sts.ERROR_CURRENT}, {"over_current"}),
        ("so101", {"status": sts.ERROR_OVERLOAD | sts.ERROR_SENSOR}, {"overload", "sensor"}),
        ("koch", {}, set()),
        ("koch", {"voltage": 89}, {"brown_out"}),
        ("koch", {"voltage": 141}, {"over_voltage"}),
        ("koch", {"temperature": 66}, set()),
        ("koch", {"temperature": 67}, {"over_temperature"}),
        ("koch", {"error": dxl.ERROR_TEMPERATURE}, {"over_temperature"}),
        ("koch", {"error": dxl.ERROR_VOLTAGE}, {"brown_out"}),
        ("koch", {"error": dxl.ERROR_ENCODER | dxl.ERROR_OVERLOAD}, {"sensor", "overload"}),
        ("koch", {"error": dxl.ERROR_SHOCK}, {"over_current"}),
        ("koch", {"watchdog": 50}, set()),
        ("koch", {"watchdog": dxl.WATCHDOG_STOPPED}, {"bus_watchdog"}),
    ],
)
def test_a_value_out_of_bounds_has_a_name(arm: str, values: dict[str, int], names: set[str]) -> None:
    wrong = found(arm, **values)
    assert set(wrong) == names
    assert all(detail for detail in wrong.values())


def test_a_hot_servo_has_to_cool_down_well_below_the_limit() -> None:
    assert "over_temperature" in found("so101", temperature=62, was_hot=True)
    assert "over_temperature" not in found("so101", temperature=59, was_hot=True)


def test_each_servo_has_its_own_supply() -> None:
    _, layout = family_of(load_embodiment("koch"))
    at_12_v = Health(12.0, 30.0, 0.0, 0, frozenset(), motor_on=True)
    at_5_v = dataclasses.replace(at_12_v, voltage=5.0)
    wrong = [(set(judge(at_12_v, s, False)), set(judge(at_5_v, s, False))) for s in layout.servos]
    assert wrong == 2 * [(set(), {"brown_out"})] + 4 * [({"over_voltage"}, set())]


def test_everything_that_is_judged_stops_the_arm() -> None:
    assert all(FAULTS[name].stops for name in JUDGED)


@pytest.mark.parametrize(
    ("joint", "count", "current", "torque"),
    [  # XL430 tells its load, XL330 mA, XM430 and XM540 units of 2.69 mA; torque at that by their data sheets
        ("koch shoulder_pan", 500, np.nan, 0.75),
        ("koch elbow_flex", 1470, 1.47, 0.52),
        ("vx300s wrist_rotate", -855, -2.3, -4.1),
        ("vx300s waist", 1636, 4.4, 10.6),
    ],
)
def test_the_unit_of_a_current_is_its_models(joint: str, count: int, current: float, torque: float) -> None:
    arm, name = joint.split()
    family, layout = family_of(load_embodiment(arm))
    servo = next(servo for servo in layout.servos if servo.joint == name)
    table = bytearray(dxl.TABLE_SIZE)
    table[126:128] = count.to_bytes(2, "little", signed=True)
    start, size = family.motion
    share = family.read_motion(bytes(table[start : start + size]), servo).effort
    assert share * servo.model.stall_torque == pytest.approx(torque, rel=0.01)
    health = family.read_health(bytes(table[64:]), 64, servo)
    assert health.current == pytest.approx(current, rel=0.01, nan_ok=True)
