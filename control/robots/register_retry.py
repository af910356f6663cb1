"""Reading and writing one register of one servo while no tick depends on it: tried again, and verified."""

from __future__ import annotations

import time

from ideomotor.control.errors import UserError
from ideomotor.control.robots.registers import Register
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.servo_bus import Servo

TRIES = 3
REPLY_S = 0.1  # [s] for the replies to one request
PAUSE = 0.03  # [s] between tries, so that a late reply is in by then and thrown away


def read_piece(line: ServoLine, servo: Servo, address: int, size: int) -> bytes | None:
    """Returns a piece of a servo's memory table; None if it does not answer."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        replies = line.read(servo.id, address, size, REPLY_S)
        if servo.id in replies.data and not replies.late():
            return replies.data[servo.id]
    return None


def read(line: ServoLine, servo: Servo, register: Register) -> bytes:
    """Returns a register's bytes; UserError if the servo does not answer."""
    data = read_piece(line, servo, register.address, register.size)
    if data is None:
        raise UserError(f"bus: no answer at {line.path} from {servo.joint} (id {servo.id})")
    return data


def write(line: ServoLine, servo: Servo, register: Register, value: int) -> None:
    """Writes a register and reads it back.

    Raises:
        UserError: the servo did not take it.
    """
    data = register.encode(value)
    for _ in range(TRIES):
        line.write(servo.id, register.address, data, REPLY_S)
        if read(line, servo, register) == data:
            return
    raise UserError(f"{servo.joint} (id {servo.id}): register {register.address} did not take {value}")


def send(line: ServoLine, servo: Servo, register: Register, value: int) -> None:
    """Writes a register that the servo may go on changing by itself: its acknowledgement has to do.

    Raises:
        UserError: there was none.
    """
    for _ in range(TRIES):
        if servo.id in line.write(servo.id, register.address, register.encode(value), REPLY_S).errors:
            return
    raise UserError(f"bus: no answer at {line.path} from {servo.joint} (id {servo.id})")


def holds(line: ServoLine, servo: Servo, register: Register, value: int) -> bool:
    """Whether a register has this value already: what is kept without power wears out when written."""
    return read(line, servo, register) == register.encode(value)
