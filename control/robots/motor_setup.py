"""Gives new servos their ids, one servo on the line at a time: what `ideomotor setup-motors` does.

A servo out of the box has id 1 and may have any baud rate that somebody left in it. It is looked for at every
rate and id, refused if it is not alone, and given its id, rate, return delay and whole range. Nothing moves:
torque is never switched on, and a servo whose motor is on is left as it is. What differs between families is
in their `setup.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import open_line
from ideomotor.control.robots.dynamixel.setup import SETUP as DYNAMIXEL
from ideomotor.control.robots.feetech.setup import SETUP as FEETECH
from ideomotor.control.robots.register_retry import REPLY_S, read, write
from ideomotor.control.robots.registers import Register
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.setup_registers import SetupRegisters
from ideomotor.control.servo_bus import Servo

SETUPS = {"feetech": FEETECH, "dynamixel": DYNAMIXEL}  # by `bus.protocol` of a robot's file
IDS = range(254)  # 254 is everybody
SLOWEST_S = 0.02  # [s] for one answer; a USB adapter may hold it back for 16 ms
TURN_S = 0.003  # [s] that each id takes, where all answer in turn ("Protocol 2.0", instruction Ping)
SETTLE_S = 0.02  # [s] for a servo to write down what it keeps


@dataclass(frozen=True)
class FoundMotor:
    """A servo that answers."""

    id: int
    baud: int
    model: int
    reply_s: float  # it took to answer


def find_motor(
    port: str, setup: SetupRegisters, likely: Sequence[int], on_try: Callable[[int], None] = lambda baud: None
) -> FoundMotor:
    """The one servo on a line, at whatever rate and id.

    Args:
        setup: of its family.
        likely: ids to look for first.
        on_try: called with each rate that is tried with every id.

    Raises:
        UserError: none answers, or more than one.
    """
    if setup.turns:
        found = _found_in_turn(port, setup, on_try)
    else:
        found = _found_by_id(port, setup, list(dict.fromkeys([1, *likely])), on_try)
    if not found:
        raise UserError(f"bus: no servo answers at {port}: are its wire and its supply plugged in?")
    if len(found) > 1:
        numbers = ", ".join(str(number) for number in sorted({motor.id for motor in found}))
        raise UserError(f"bus: several servos at {port} (ids {numbers}), expected one: unplug the others")
    return found[0]


def set_up(port: str, setup: SetupRegisters, servo: Servo, found: FoundMotor, baud: int) -> list[str]:
    """Gives a servo the id and rate of its joint; what was changed, in words.

    Args:
        setup: of its family.
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
    if baud not in setup.bauds:
        known = ", ".join(map(str, sorted(setup.bauds)))
        raise UserError(f"{servo.joint}: baud: got {baud}, expected one that its servo has ({known})")
    changed = []
    with one_line(port, setup, found.baud) as line:
        old = replace(servo, id=found.id)
        if _now(line, old, setup.torque):
            raise UserError(f"{servo.joint} (id {found.id}): its motor is on; switch its supply off and on")
        for register, value in setup.before.items():
            write(line, old, register, value)
        kept = setup.kept(servo, lambda register: _now(line, old, register))
        for register, value in kept.items():
            if (before := _now(line, old, register)) != value:
                write(line, old, register, value)
                changed.append(f"register {register.address}: {before} becomes {value}")
        if found.id != servo.id:
            line.write(old.id, setup.id.address, setup.id.encode(servo.id), REPLY_S)  # whoever acknowledges
            time.sleep(SETTLE_S)
            changed.append(f"id: {found.id} becomes {servo.id}")
        if found.baud != baud:
            line.write(servo.id, setup.baud.address, setup.baud.encode(setup.bauds[baud]), REPLY_S)
            time.sleep(SETTLE_S)
            changed.append(f"baud rate: {found.baud} becomes {baud}")
    with one_line(port, setup, baud) as line:
        for register, value in {setup.id: servo.id, setup.baud: setup.bauds[baud], **kept}.items():
            if _now(line, servo, register) != value:
                raise UserError(
                    f"{servo.joint} (id {servo.id}): register {register.address} did not take {value}"
                )
        for register, value in setup.after.items():
            write(line, servo, register, value)
    return changed


@contextmanager
def one_line(port: str, setup: SetupRegisters, baud: int) -> Iterator[ServoLine]:
    """A line at some rate, with time to answer; `UserError` if it cannot be opened."""
    line = ServoLine(port, baud, REPLY_S, setup.packets())
    open_line(line)
    try:
        yield line
    finally:
        line.close()


def _now(line: ServoLine, servo: Servo, register: Register) -> int:
    return register.decode(read(line, servo, register))


def _found_by_id(
    port: str, setup: SetupRegisters, likely: Sequence[int], on_try: Callable[[int], None]
) -> list[FoundMotor]:
    """Looks for servos at one id after the other: likely ones at all rates first."""
    for baud in setup.bauds:
        if found := list(_answering(port, setup, baud, likely, SLOWEST_S)):
            break
    else:
        for baud in setup.bauds:
            on_try(baud)
            if found := list(_answering(port, setup, baud, IDS, SLOWEST_S)):
                break
        else:
            return []
    wait_s = min(SLOWEST_S, max(4 * found[0].reply_s, 0.003))
    others = [number for number in IDS if number not in {*likely, *(motor.id for motor in found)}]
    return [*found, *_answering(port, setup, found[0].baud, others, wait_s)]


def _found_in_turn(port: str, setup: SetupRegisters, on_try: Callable[[int], None]) -> list[FoundMotor]:
    """Asks everybody at one rate after the other.

    Raises:
        UserError: two answer at once.
    """
    for baud in setup.bauds:
        on_try(baud)
        with one_line(port, setup, baud) as line:
            replies = line.ping_all(SLOWEST_S + TURN_S * len(IDS))
        numbers = [servo for servo, _ in replies]
        if None in numbers or len(set(numbers)) < len(numbers):
            raise UserError(
                f"bus: several servos answer at {port} at once, expected one alone: unplug the others"
            )
        if replies:
            return [
                FoundMotor(servo, baud, setup.model.decode(data[: setup.model.size]), SLOWEST_S)
                for servo, data in replies
                if servo is not None
            ]
    return []


def _answering(
    port: str, setup: SetupRegisters, baud: int, numbers: Iterable[int], wait_s: float
) -> Iterator[FoundMotor]:
    """The servos of some ids that answer at a rate; UserError where two answer at once."""
    with one_line(port, setup, baud) as line:
        for number in numbers:
            began = time.monotonic()
            replies = line.read(number, setup.model.address, setup.model.size, wait_s)
            took = time.monotonic() - began
            if not replies.data and not any(name == "corrupt_reply" for name, _ in replies.problems):
                continue
            # Two of an id answer on top of each other, or one after the other.
            again = line.read(number, setup.id.address, setup.id.size, wait_s)
            wrong = {name for name, _ in (*replies.problems, *again.problems)}
            if wrong & {"corrupt_reply", "late_reply"}:
                raise UserError(f"bus: several servos answer at {port} to id {number}, expected one alone")
            yield FoundMotor(number, baud, setup.model.decode(replies.data[number]), took)
