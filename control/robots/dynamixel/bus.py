"""Robotis' Dynamixel X servos (Koch, ViperX) as a `Family`.

They are driven over many turns (mode 4): only there may an offset be larger than a quarter of a turn, and no
joint meets the seam of its counts while it moves. After power-on counts begin within one turn again, so that
the loop takes whole turns off what they measure and adds them to what they are sent.

A joint with two motors has one servo that is spoken to and a shadow that obeys the same id (register 12); the
two face each other, so one of them counts the other way round. What the manual says of all this: sections
Homing Offset, Secondary ID, Drive Mode, Shutdown and Bus Watchdog of e-manual.robotis.com, dxl/x.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ideomotor.control.errors import UserError
from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.control.robots.dynamixel.packets import DxlPackets
from ideomotor.control.robots.dynamixel.settings import SETTINGS
from ideomotor.control.robots.family import Motion, ServoReport
from ideomotor.control.robots.register_retry import PAUSE, REPLY_S, holds, read, read_piece, write
from ideomotor.control.robots.servo_health import Health
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.settings import Difference
from ideomotor.control.servo_bus import Servo

WATCHDOG_S = 1.0  # longer than an adapter needs to come back
REBOOT_S = 3.0  # for a servo to answer again
ERROR_BITS = {
    "brown_out": reg.ERROR_VOLTAGE,
    "over_temperature": reg.ERROR_TEMPERATURE,
    "sensor": reg.ERROR_ENCODER,
    "over_current": reg.ERROR_SHOCK,
    "overload": reg.ERROR_OVERLOAD,
}


class DxlFamily:
    """See `family.Family`."""

    table_size = reg.TABLE_SIZE
    motion: tuple[int, int] = (reg.EFFORT.address, 10)  # current or load, speed, position
    health = reg.TORQUE_ENABLE.address
    many_turns = True
    position, goal, torque = reg.POSITION, reg.GOAL_POSITION, reg.TORQUE_ENABLE
    watchdog: reg.Register | None = reg.WATCHDOG
    watchdog_units = round(WATCHDOG_S / reg.WATCHDOG_UNIT)
    settings = SETTINGS
    return_delay = reg.RETURN_DELAY

    def packets(self) -> DxlPackets:
        return DxlPackets()

    def read_motion(self, data: bytes, servo: Servo) -> Motion:
        start = reg.EFFORT.address
        return Motion(
            counts=reg.POSITION.decode(data, start),
            speed=reg.SPEED.decode(data, start) * reg.SPEED_UNIT * servo.model.counts_per_turn,
            effort=reg.EFFORT.decode(data, start) * servo.model.effort_unit,
        )

    def read_health(self, data: bytes, start: int, servo: Servo) -> Health:
        status = reg.ERROR.decode(data, start)
        reported = {name for name, bit in ERROR_BITS.items() if status & bit}
        if reg.WATCHDOG.decode(data, start) == reg.WATCHDOG_STOPPED:
            reported.add("bus_watchdog")
        return Health(
            voltage=reg.VOLTAGE.decode(data, start) * reg.VOLTAGE_UNIT,
            temperature=float(reg.TEMPERATURE.decode(data, start)),
            current=reg.EFFORT.decode(data, start) * servo.model.current_unit,
            status=status,
            reported=frozenset(reported),
            motor_on=reg.TORQUE_ENABLE.decode(data, start) != 0,
        )

    def report(self, servo: Servo, table: bytes) -> ServoReport:
        offset = reg.OFFSET.decode(table, 0)
        ignored = reg.MODE.decode(table, 0) != reg.MANY_TURNS and abs(offset) > reg.MAX_OFFSET_ONE_TURN
        return ServoReport(
            servo=servo,
            model=reg.MODEL.decode(table, 0),
            firmware=str(reg.FIRMWARE.decode(table, 0)),
            voltage=reg.VOLTAGE.decode(table, 0) * reg.VOLTAGE_UNIT,
            temperature=float(reg.TEMPERATURE.decode(table, 0)),
            counts=reg.POSITION.decode(table, 0),
            offset=0 if ignored else -offset,
            limits=(reg.MIN_POSITION.decode(table, 0), reg.MAX_POSITION.decode(table, 0)),
            torque=reg.TORQUE_ENABLE.decode(table, 0) != 0,
            table=table,
        )

    def check(self, report: ServoReport) -> None:
        servo, table = report.servo, report.table
        mirrored = bool(reg.DRIVE_MODE.decode(table, 0) & 1)
        if mirrored != servo.mirrored:
            raise UserError(
                f"{servo.joint} (id {servo.id}): drive mode: got {'reverse' if mirrored else 'normal'}, "
                f"expected {'reverse' if servo.mirrored else 'normal'}"
            )
        leader = reg.SHADOW_ID.decode(table, 0)
        expected = None if servo.follows is None else servo.follows
        if (leader if leader < reg.NO_SHADOW else None) != expected:
            raise UserError(
                f"{servo.joint} (id {servo.id}): secondary id: got {leader}, "
                f"expected {'none (255)' if expected is None else expected}"
            )

    def prepare(self, line: ServoLine, servo: Servo, effort_share: float) -> None:
        self._clear_error(line, servo)
        write(line, servo, reg.RESPONSE_LEVEL, 2)
        write(line, servo, reg.WATCHDOG, 0)  # also lets it go on after it stopped
        gains = (reg.POSITION_P_GAIN, reg.POSITION_I_GAIN, reg.POSITION_D_GAIN)
        for register, value in zip(gains, reg.GAINS[servo.model.name], strict=True):
            write(line, servo, register, value)
        for register in (reg.FEEDFORWARD_1, reg.FEEDFORWARD_2):
            write(line, servo, register, 0)
        write(line, servo, reg.PROFILE_ACCELERATION, 0)
        write(line, servo, reg.PROFILE_VELOCITY, 0)
        write(line, servo, reg.GOAL_PWM, round(reg.FULL_PWM * effort_share))
        _write_kept(line, servo, reg.RETURN_DELAY, 0)
        _write_kept(line, servo, reg.MODE, reg.MANY_TURNS)

    def reset(self, line: ServoLine, servo: Servo, found: Sequence[Difference]) -> None:
        for difference in found:
            _write_kept(line, servo, difference.setting.register, difference.wanted)

    def write_offset(self, line: ServoLine, servo: Servo, offset: int) -> None:
        _write_kept(line, servo, reg.MODE, reg.MANY_TURNS)
        _write_kept(line, servo, reg.OFFSET, -offset)

    def _clear_error(self, line: ServoLine, servo: Servo) -> None:
        """Restarts a servo that has shut itself down: nothing else makes its motor run again."""
        error = read(line, servo, reg.ERROR)[0]
        if not error:
            return
        if read(line, servo, reg.TORQUE_ENABLE)[0]:
            raise UserError(
                f"{servo.joint} (id {servo.id}): hardware error {error:#04x} while its motor is on, "
                "expected none; support the arm and switch the motors off"
            )
        line.reboot(servo.id, REPLY_S)
        ends = time.monotonic() + REBOOT_S
        while time.monotonic() < ends:
            time.sleep(PAUSE)
            data = read_piece(line, servo, reg.ERROR.address, reg.ERROR.size)
            if data == b"\0":
                return
        raise UserError(
            f"{servo.joint} (id {servo.id}): hardware error {error:#04x} is still there after a restart"
        )


def _write_kept(line: ServoLine, servo: Servo, register: reg.Register, value: int) -> None:
    if holds(line, servo, register, value):
        return
    if read(line, servo, reg.TORQUE_ENABLE)[0]:
        raise UserError(
            f"{servo.joint} (id {servo.id}): register {register.address} has to become {value}, "
            "which needs its motor off; support the arm and switch the motors off"
        )
    write(line, servo, register, value)
