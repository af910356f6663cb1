"""Which faults follow from what a servo tells about itself."""

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots import sts_registers as reg
from ideomotor.control.robots.faults import FAULTS
from ideomotor.control.robots.sts_health import JUDGED, judge, read_health

LAYOUT = load_embodiment("so101").bus
assert LAYOUT is not None
WELL = {reg.VOLTAGE: 74, reg.TEMPERATURE: 35, reg.CURRENT: 20, reg.STATUS: 0, reg.TORQUE_ENABLE: 1}


def found(was_hot: bool = False, **values: int) -> dict[str, str]:
    """The faults of a servo that is well but for some registers, given in lower case."""
    assert LAYOUT is not None
    table = bytearray(reg.TABLE_SIZE)
    changed = {getattr(reg, name.upper()): value for name, value in values.items()}
    for register, value in (WELL | changed).items():
        table[register.address : register.address + register.size] = register.encode(value)
    start = reg.TORQUE_ENABLE.address - 7
    return judge(read_health(bytes(table[start:]), start), LAYOUT.servos[0], LAYOUT, was_hot)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, set()),
        ({"voltage": 44}, {"brown_out"}),
        ({"voltage": 45}, set()),
        ({"voltage": 136}, {"over_voltage"}),
        ({"temperature": 64}, set()),
        ({"temperature": 65}, {"over_temperature"}),
        ({"status": reg.ERROR_TEMPERATURE}, {"over_temperature"}),
        ({"status": reg.ERROR_SENSOR}, {"sensor"}),
        ({"status": reg.ERROR_CURRENT}, {"over_current"}),
        ({"status": reg.ERROR_OVERLOAD | reg.ERROR_SENSOR}, {"overload", "sensor"}),
    ],
)
def test_a_value_out_of_bounds_has_a_name(values: dict[str, int], names: set[str]) -> None:
    wrong = found(**values)
    assert set(wrong) == names
    assert all(detail for detail in wrong.values())


def test_a_hot_servo_has_to_cool_down_well_below_the_limit() -> None:
    assert "over_temperature" in found(temperature=62, was_hot=True)
    assert "over_temperature" not in found(temperature=59, was_hot=True)


def test_everything_that_is_judged_stops_the_arm() -> None:
    assert all(FAULTS[name].stops for name in JUDGED)
