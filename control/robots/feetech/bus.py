"""Feetech's STS servos (SO-100, SO-101) as a `Family`."""

from __future__ import annotations

from collections.abc import Sequence

from ideomotor.control.robots.family import Motion, ServoReport
from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.robots.feetech.packets import StsPackets
from ideomotor.control.robots.feetech.settings import FULL_TORQUE, SETTINGS
from ideomotor.control.robots.register_retry import holds, read, write
from ideomotor.control.robots.servo_health import Health
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.settings import Difference
from ideomotor.control.servo_bus import Servo

STATUS_BITS = {
    "over_temperature": reg.ERROR_TEMPERATURE,
    "sensor": reg.ERROR_SENSOR,
    "over_current": reg.ERROR_CURRENT,
    "overload": reg.ERROR_OVERLOAD,
}


class StsFamily:
    """See `family.Family`."""

    table_size = reg.TABLE_SIZE
    motion: tuple[int, int] = (reg.POSITION.address, 6)  # position, speed, load
    health = reg.TORQUE_ENABLE.address
    many_turns = False
    position, goal, torque = reg.POSITION, reg.GOAL_POSITION, reg.TORQUE_ENABLE
    watchdog: reg.Register | None = None
    watchdog_units = 0
    settings = SETTINGS
    return_delay = reg.RETURN_DELAY

    def packets(self) -> StsPackets:
        return StsPackets()

    def read_motion(self, data: bytes, servo: Servo) -> Motion:
        start = reg.POSITION.address
        return Motion(
            counts=reg.POSITION.decode(data, start),
            speed=reg.SPEED.decode(data, start),
            effort=reg.LOAD.decode(data, start) * servo.model.effort_unit,
        )

    def read_health(self, data: bytes, start: int, servo: Servo) -> Health:
        status = reg.STATUS.decode(data, start)
        return Health(
            voltage=reg.VOLTAGE.decode(data, start) * reg.VOLTAGE_UNIT,
            temperature=float(reg.TEMPERATURE.decode(data, start)),
            current=reg.CURRENT.decode(data, start) * servo.model.current_unit,
            status=status,
            reported=frozenset(name for name, bit in STATUS_BITS.items() if status & bit),
            motor_on=reg.TORQUE_ENABLE.decode(data, start) != 0,
        )

    def report(self, servo: Servo, table: bytes) -> ServoReport:
        return ServoReport(
            servo=servo,
            model=reg.MODEL.decode(table, 0),
            firmware=f"{reg.FIRMWARE_MAJOR.decode(table, 0)}.{reg.FIRMWARE_MINOR.decode(table, 0)}",
            voltage=reg.VOLTAGE.decode(table, 0) * reg.VOLTAGE_UNIT,
            temperature=float(reg.TEMPERATURE.decode(table, 0)),
            counts=reg.POSITION.decode(table, 0),
            offset=reg.OFFSET.decode(table, 0),
            limits=(reg.MIN_POSITION.decode(table, 0), reg.MAX_POSITION.decode(table, 0)),
            torque=reg.TORQUE_ENABLE.decode(table, 0) != 0,
            table=table,
        )

    def check(self, report: ServoReport) -> None:
        """Nothing that `settings` does not say."""

    def prepare(self, line: ServoLine, servo: Servo, effort_share: float) -> None:
        write(line, servo, reg.ACCELERATION, 254)
        write(line, servo, reg.GOAL_TIME, 0)
        write(line, servo, reg.GOAL_SPEED, 0)
        write(line, servo, reg.TORQUE_LIMIT, round(FULL_TORQUE * effort_share))
        _write_kept(line, servo, reg.RETURN_DELAY, 0)
        write(line, servo, reg.LOCK, 1)

    def reset(self, line: ServoLine, servo: Servo, found: Sequence[Difference]) -> None:
        # Some firmware switches the motor on when a limit is written (lerobot#3585): it gets no torque for
        # it.
        write(line, servo, reg.TORQUE_LIMIT, 0)
        try:
            for difference in found:
                _write_kept(line, servo, difference.setting.register, difference.wanted)
        finally:
            counts = reg.POSITION.decode(read(line, servo, reg.POSITION))
            write(line, servo, reg.GOAL_POSITION, min(max(counts, 0), servo.model.counts_per_turn - 1))
            write(line, servo, reg.TORQUE_ENABLE, 0)
            write(line, servo, reg.TORQUE_LIMIT, FULL_TORQUE)

    def write_offset(self, line: ServoLine, servo: Servo, offset: int) -> None:
        _write_kept(line, servo, reg.OFFSET, offset)


def _write_kept(line: ServoLine, servo: Servo, register: reg.Register, value: int) -> None:
    if not holds(line, servo, register, value):
        write(line, servo, reg.LOCK, 0)
        try:
            write(line, servo, register, value)
        finally:
            write(line, servo, reg.LOCK, 1)
