"""Gives new servos their ids, one servo on the line at a time: what `ideomotor setup-motors` does.

A servo out of the box has id 1 and may have any baud rate that somebody left in it. It is looked for at every
rate and id, refused if it is not alone, and given its id, rate, return delay and whole range. Nothing moves:
torque is never switched on, and a servo whose motor is on is left as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import open_line
from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.robots.feetech.packets import StsPackets
from ideomotor.control.robots.register_retry import REPLY_S, read, write
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.servo_bus import Servo

# {baud rate: value of BAUD}, "STS3215 memory table", the usual one first
BAUDS = {1_000_000: 0, 500_000: 1, 250_000: 2, 128_000: 3, 115_200: 4, 76_800: 5, 57_600: 6, 38_400: 7}
IDS = range(254)  # 254 is everybody
SLOWEST_S = 0.02  # [s] for one answer; a USB adapter may hold it back for 16 ms
SETTLE_S = 0.02  # [s] for a servo to write down what it keeps
WHOLE = {reg.RETURN_DELAY: 0, reg.MIN_POSITION: 0, reg.MAX_POSITION: 4095}


@dataclass(frozen=True)
class FoundMotor:
    """A servo that answers."""

    id: int
    baud: int
    model: int
    reply_s: float  # it took to answer


def find_motor(
    port: str, likely: Sequence[int], on_try: Callable[[int], None] = lambda baud: None
) -> FoundMotor:
    """The one servo on a line, at whatever rate and id.

    Args:
        likely: ids to look for first.
        on_try: called with each rate that is tried with every id.

    Raises:
        UserError: none answers, or more than one.
    """
    likely = list(dict.fromkeys([1, *likely]))
    for baud in BAUDS:
        if found := list(_answering(port, baud, likely, SLOWEST_S)):
            break
    else:
        for baud in BAUDS:
            on_try(baud)
            if found := list(_answering(port, baud, IDS, SLOWEST_S)):
                break
        else:
            raise UserError(f"bus: no servo answers at {port}: are its wire and its supply plugged in?")
    wait_s = min(SLOWEST_S, max(4 * found[0].reply_s, 0.003))
    others = [number for number in IDS if number not in {*likely, *(motor.id for motor in found)}]
    found += _answering(port, found[0].baud, others, wait_s)
    if len(found) > 1:
        numbers = ", ".join(str(number) for number in sorted({motor.id for motor in found}))
        raise UserError(f"bus: several servos at {port} (ids {numbers}), expected one: unplug the others")
    return found[0]


def set_up(port: str, servo: Servo, found: FoundMotor, baud: int) -> list[str]:
    """Gives a servo the id and rate of its joint; what was changed, in words.

    Args:
        servo: of the robot's file.
        found: what is on the line.
        baud: of the robot's line.

    Raises:
        UserError: another model, its motor is on, or it does not take something. It then answers at its old
            or its new id and can be set up again.
    """
    if found.model != servo.model.number:
        raise UserError(
            f"{servo.joint}: the servo says that it is model {found.model}, expected {servo.model.number} "
            f"({servo.model.name})"
        )
    changed = []
    with _line(port, found.baud) as line:
        old = replace(servo, id=found.id)
        if read(line, old, reg.TORQUE_ENABLE)[0]:
            raise UserError(f"{servo.joint} (id {found.id}): its motor is on; switch its supply off and on")
        write(line, old, reg.LOCK, 0)
        for register, value in WHOLE.items():
            if (before := register.decode(read(line, old, register))) != value:
                write(line, old, register, value)
                changed.append(f"register {register.address}: {before} becomes {value}")
        if found.id != servo.id:
            line.write(old.id, reg.ID.address, reg.ID.encode(servo.id), REPLY_S)  # whoever acknowledges it
            time.sleep(SETTLE_S)
            changed.append(f"id: {found.id} becomes {servo.id}")
        if found.baud != baud:
            line.write(servo.id, reg.BAUD.address, reg.BAUD.encode(BAUDS[baud]), REPLY_S)
            time.sleep(SETTLE_S)
            changed.append(f"baud rate: {found.baud} becomes {baud}")
    with _line(port, baud) as line:
        for register, value in {reg.ID: servo.id, reg.BAUD: BAUDS[baud], **WHOLE}.items():
            if register.decode(read(line, servo, register)) != value:
                raise UserError(
                    f"{servo.joint} (id {servo.id}): register {register.address} did not take {value}"
                )
        write(line, servo, reg.LOCK, 1)
    return changed


@contextmanager
def _line(port: str, baud: int) -> Iterator[ServoLine]:
    line = ServoLine(port, baud, REPLY_S, StsPackets())
    open_line(line)
    try:
        yield line
    finally:
        line.close()


def _answering(port: str, baud: int, numbers: Iterable[int], wait_s: float) -> Iterator[FoundMotor]:
    """The servos of some ids that answer at a rate; UserError where two answer at once."""
    with _line(port, baud) as line:
        for number in numbers:
            began = time.monotonic()
            replies = line.read(number, reg.MODEL.address, reg.MODEL.size, wait_s)
            took = time.monotonic() - began
            if not replies.data and not any(name == "corrupt_reply" for name, _ in replies.problems):
                continue
            # Two of an id answer on top of each other, or one after the other.
            again = line.read(number, reg.ID.address, reg.ID.size, wait_s)
            wrong = {name for name, _ in (*replies.problems, *again.problems)}
            if wrong & {"corrupt_reply", "late_reply"}:
                raise UserError(f"bus: several servos answer at {port} to id {number}, expected one alone")
            yield FoundMotor(number, baud, reg.MODEL.decode(replies.data[number]), took)
