"""All that the rest of `control/robots/` has to know about a family of servos (`feetech/`, `dynamixel/`).

The line, the loop, bringing an arm up and calibrating it are the same for all families. To add one, write its
`Packets` and its `Family` and give it an entry in `families.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ideomotor.control.robots.registers import Register
from ideomotor.control.robots.servo_health import Health
from ideomotor.control.robots.servo_line import Packets, ServoLine
from ideomotor.control.robots.settings import Difference, Setting
from ideomotor.control.servo_bus import Servo


@dataclass(frozen=True)
class Motion:
    """What a servo measures of its joint; positive where counts grow."""

    counts: int
    speed: float  # [counts/s]
    effort: float  # share of the stall torque


@dataclass(frozen=True)
class ServoReport:
    """What one servo says about itself; SI units, temperature in °C, positions in counts."""

    servo: Servo
    model: int
    firmware: str
    voltage: float  # [V]
    temperature: float  # [°C]
    counts: int
    offset: int  # [counts] that the servo subtracts from what its encoder reads
    limits: tuple[int, int]  # [counts] that another program may have set
    torque: bool  # its motor is on
    table: bytes  # all of its memory, for what only its family has


class Family(Protocol):
    """One family; without state.

    Attributes:
        table_size: bytes of the memory table, as far as it is used.
        motion: (address, bytes) of what `read_motion` takes. Longer pieces are asked for, see `ServoLine`.
        health: address from which on, or from some bytes before it, `read_health` takes the table.
        many_turns: counts go on over whole turns, and start in any of them.
        watchdog: with this register set a motor stops after so long a silence on the line; None: it has none.
        watchdog_units: what to set it to.
        settings: all that is kept without power and decides how a servo moves.
        return_delay: how long a servo waits before it answers [2 µs].
    """

    table_size: int
    motion: tuple[int, int]
    health: int
    many_turns: bool
    position: Register
    goal: Register
    torque: Register
    watchdog: Register | None
    watchdog_units: int
    settings: tuple[Setting, ...]
    return_delay: Register

    def packets(self) -> Packets:
        """The protocol; UserError if its SDK is not installed."""
        ...

    def read_motion(self, data: bytes, servo: Servo) -> Motion: ...

    def read_health(self, data: bytes, start: int, servo: Servo) -> Health: ...

    def report(self, servo: Servo, table: bytes) -> ServoReport: ...

    def check(self, report: ServoReport) -> None:
        """UserError for what only this family can have wrong and nobody may reset."""
        ...

    def prepare(self, line: ServoLine, servo: Servo, effort_share: float) -> None:
        """Sets a servo up, short of switching its motor on.

        Args:
            effort_share: of the stall torque, that it may use.

        Raises:
            UserError: it did not take something.
        """
        ...

    def reset(self, line: ServoLine, servo: Servo, found: Sequence[Difference]) -> None:
        """Puts settings of a servo back whose motor is off, and stays off; UserError if one was not taken."""
        ...

    def write_offset(self, line: ServoLine, servo: Servo, offset: int) -> None:
        """Writes the offset of `ServoReport`, which is kept without power; UserError if it was not taken."""
        ...
