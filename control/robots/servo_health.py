"""Which faults follow from what a servo tells about itself besides its position: plain functions."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.servo_bus import Servo

COOLER_BY = 5.0  # [°C] below the limit before a hot servo counts as cooled down


@dataclass(frozen=True)
class Health:
    """One servo's at one moment."""

    voltage: float  # [V]
    temperature: float  # [°C]
    current: float  # [A], NaN where it is not measured
    status: int  # error bits
    reported: frozenset[str]  # names of the faults that the bits mean
    motor_on: bool


def judge(health: Health, servo: Servo, was_hot: bool) -> dict[str, str]:
    """Returns {name of a fault: one line with the value} of what is wrong.

    Args:
        health: the servo's.
        servo: what it is.
        was_hot: it was too hot before, and has to cool down well below the limit.
    """
    wrong = dict.fromkeys(health.reported, f"status {health.status:#04x}")
    limit = servo.model.max_temperature
    if health.temperature >= limit - COOLER_BY * was_hot or "over_temperature" in wrong:
        wrong["over_temperature"] = f"{health.temperature:.0f} °C, limit {limit:.0f} °C"
    if health.voltage < servo.min_voltage:
        wrong["brown_out"] = f"{health.voltage:.1f} V, at least {servo.min_voltage:g} V needed"
    if health.voltage > servo.max_voltage:
        wrong["over_voltage"] = f"{health.voltage:.1f} V, at most {servo.max_voltage:g} V allowed"
    return wrong


JUDGED = (
    "over_temperature",
    "brown_out",
    "over_voltage",
    "over_current",
    "overload",
    "sensor",
    "bus_watchdog",
)
