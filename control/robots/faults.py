"""Named faults of a robot: what is wrong now, since when, and what may be done about it.

A driver never lets an exception out of its loop and never invents a measurement: it reports one of
`FAULTS` here. Who supervises the robot asks for `FaultLog.active` every tick and stops the arm if one of
them `stops`; a latched fault stays until the operator re-arms the robot.
"""

from __future__ import annotations

from dataclasses import dataclass

SHOWN_S = 1.0  # how long a single event stays visible


@dataclass(frozen=True)
class FaultKind:
    """What a fault of this name means."""

    meaning: str
    stops: bool  # the arm must decelerate and hold
    event: bool = False  # a single happening, not a state: it passes by itself
    latched: bool = False  # stays until the robot is re-armed


FAULTS = {
    "no_reply": FaultKind("one reply of a servo is missing", stops=False, event=True),
    "late_reply": FaultKind("a reply came after its time and was thrown away", stops=False, event=True),
    "corrupt_reply": FaultKind("a reply was damaged and thrown away", stops=False, event=True),
    "echo": FaultKind("the adapter gives back what is sent; filtered out", stops=False, event=True),
    "implausible_position": FaultKind(
        "a position was further away than the servo can move; thrown away", stops=False, event=True
    ),
    "not_finite": FaultKind("a command was not finite and was not sent", stops=True, event=True),
    "servo_silent": FaultKind("a servo no longer answers", stops=True),
    "bus_silent": FaultKind("no servo answers: check the cable and the servos' supply", stops=True),
    "bus_slow": FaultKind("the servos answer, but too late for the control rate", stops=True),
    "unplugged": FaultKind("the adapter is gone; looking for it", stops=True),
    "over_temperature": FaultKind("a servo is too hot", stops=True),
    "brown_out": FaultKind("the servos' supply is too low", stops=True),
    "over_voltage": FaultKind("the servos' supply is too high", stops=True),
    "over_current": FaultKind("a servo reports too much current", stops=True),
    "overload": FaultKind("a servo reports too much load", stops=True),
    "sensor": FaultKind("a servo reports that its encoder fails", stops=True),
    "bus_watchdog": FaultKind(
        "a servo stopped its motor because it had heard nothing for too long", stops=True, latched=True
    ),
    "torque_left_on": FaultKind(
        "the motors could not be switched off: cut the supply", stops=True, latched=True
    ),
    "torque_lost": FaultKind(
        "a servo switched its motor off by itself (it lost power?)", stops=True, latched=True
    ),
}


@dataclass(frozen=True)
class Fault:
    """One fault that is present."""

    name: str  # one of FAULTS
    joint: str  # "" for the whole robot
    detail: str  # one line, with the measured value
    since: float  # [s], monotonic
    last: float  # [s], when it was last seen

    @property
    def kind(self) -> FaultKind:
        return FAULTS[self.name]

    def __str__(self) -> str:
        where = f" ({self.joint})" if self.joint else ""
        return f"{self.name}{where}: {self.detail or self.kind.meaning}"


class FaultLog:
    """The faults of one robot.

    Attributes:
        counts: {name: how many times it was reported}, since the robot was made.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._present: dict[tuple[str, str], Fault] = {}

    def report(self, name: str, joint: str, now: float, detail: str = "") -> None:
        """Says that fault `name` of FAULTS is there at time `now`; joint "" is the whole robot."""
        before = self._present.get((name, joint))
        if before is None or FAULTS[name].event:
            self.counts[name] = self.counts.get(name, 0) + 1
        since = now if before is None else before.since
        self._present[name, joint] = Fault(name, joint, detail, since, now)

    def settle(self, name: str, joint: str) -> None:
        """Says that a state has passed. Latched faults stay."""
        if not FAULTS[name].latched:
            self._present.pop((name, joint), None)

    def state(self, name: str, joint: str, present: bool, now: float, detail: str = "") -> None:
        """Says whether a state is there at time `now`."""
        if present:
            self.report(name, joint, now, detail)
        else:
            self.settle(name, joint)

    def release(self) -> None:
        """Takes back latched faults: the operator has re-armed the robot."""
        self._present = {key: fault for key, fault in self._present.items() if not fault.kind.latched}

    def has(self, name: str, joint: str = "") -> bool:
        return (name, joint) in self._present

    def active(self, now: float) -> tuple[Fault, ...]:
        """Returns the faults at `now`, those that stop the arm first."""
        self._present = {
            key: fault
            for key, fault in self._present.items()
            if not (fault.kind.event and now - fault.last > SHOWN_S)
        }
        return tuple(sorted(self._present.values(), key=lambda fault: (not fault.kind.stops, fault.since)))
