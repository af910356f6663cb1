"""What giving a servo its id has to know about its family (`motor_setup.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ideomotor.control.robots.registers import Register
from ideomotor.control.robots.servo_line import Packets
from ideomotor.control.servo_bus import Servo


@dataclass(frozen=True)
class SetupRegisters:
    """One family's.

    Attributes:
        packets: its protocol; UserError if its SDK is not installed.
        bauds: {rate [bit/s]: value of `baud`}, the usual one first.
        new_baud: what its servos come with.
        turns: all servos answer one after the other if everybody is asked, and can so be found at once.
        before: written first, which opens the registers that are kept without power.
        kept: (servo, what its table says) -> {register: value} that it gets besides id and rate.
        after: written last.
    """

    packets: Callable[[], Packets]
    bauds: Mapping[int, int]
    new_baud: int
    turns: bool
    model: Register
    id: Register
    baud: Register
    torque: Register
    before: Mapping[Register, int]
    kept: Callable[[Servo, Callable[[Register], int]], dict[Register, int]]
    after: Mapping[Register, int]
