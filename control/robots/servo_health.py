"""What an STS servo tells about itself besides its position, and which faults follow from it.

Plain functions of a piece of the memory table: no bus, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.robots import sts_registers as reg
from ideomotor.control.servo_bus import Servo, ServoBus

COOLER_BY = 5.0  # [°C] below the limit before a hot servo counts as cooled down
STATUS_BITS = {  # that say more than the measured values do
    "sensor": reg.ERROR_SENSOR,
    "over_current": reg.ERROR_CURRENT,
    "overload": reg.ERROR_OVERLOAD,
}


@dataclass(frozen=True)
class Health:
    """One servo's at one moment."""

    voltage: float  # [V]
    temperature: float  # [°C]
    current: float  # [A]
    status: int  # error bits
    motor_on: bool


def read_health(data: bytes, start: int) -> Health:
    """Returns a servo's health out of its table from address `start` to the end."""
    return Health(
        voltage=reg.VOLTAGE.decode(data, start) * reg.VOLTAGE_UNIT,
        temperature=float(reg.TEMPERATURE.decode(data, start)),
        current=reg.CURRENT.decode(data, start) * reg.CURRENT_UNIT,
        status=reg.STATUS.decode(data, start),
        motor_on=reg.TORQUE_ENABLE.decode(data, start) != 0,
    )


def judge(health: Health, servo: Servo, layout: ServoBus, was_hot: bool) -> dict[str, str]:
    """Returns {name of a fault: one line with the value} of what is wrong.

    Args:
        health: the servo's.
        servo: what it is.
        layout: whose voltage range holds.
        was_hot: it was too hot before, and has to cool down well below the limit.
    """
    wrong = {}
    limit = servo.model.max_temperature
    if health.temperature >= limit - COOLER_BY * was_hot or health.status & reg.ERROR_TEMPERATURE:
        wrong["over_temperature"] = f"{health.temperature:.0f} °C, limit {limit:.0f} °C"
    if health.voltage < layout.min_voltage:
        wrong["brown_out"] = f"{health.voltage:.1f} V, at least {layout.min_voltage:g} V needed"
    if health.voltage > layout.max_voltage:
        wrong["over_voltage"] = f"{health.voltage:.1f} V, at most {layout.max_voltage:g} V allowed"
    for name, bit in STATUS_BITS.items():
        if health.status & bit:
            wrong[name] = f"status {health.status:#04x}"
    return wrong


JUDGED = ("over_temperature", "brown_out", "over_voltage", *STATUS_BITS)
