"""What can go wrong with the twin, as lines of text: from a script, the command line or a pipe.

    KIND [id=N] [at=S] [for=S] [count=N] [KEY=VALUE]        # a comment

`at` is seconds from when the line is read (or, in a script, from the start), `for` how long it lasts, `count`
how many replies it spoils; without them it begins at once and lasts. Without `id` it concerns every servo.

    delay id=3 ms=80 count=1      replies come this much later
    drop id=3 count=1             replies are lost
    corrupt id=3 count=1          one bit of each reply is wrong
    echo                          what the master sends comes back, as from a bad adapter
    noise count=5                 a few stray bytes before a reply
    dead id=3 [chain=1]           answers nothing; with chain, those behind it in a sync read don't either
    hot id=3 celsius=80           temperature
    brownout volts=4.2 [for=0.5]  supply; below 4.0 V the servos restart, with motors off
    jump id=3 counts=900          the encoder is off by this much
    shutdown id=3 bits=32         it switches its motor off with these error bits (32: overload), once
    unplug for=0.5                the adapter vanishes, and comes back
    clear                         nothing is wrong any more
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ideomotor.control.errors import UserError, unknown_name

KEYS = {  # kind: its own keys with their usual values
    "delay": {"ms": 80.0},
    "drop": {},
    "corrupt": {},
    "echo": {},
    "noise": {},
    "dead": {"chain": 0.0},
    "hot": {"celsius": 80.0},
    "brownout": {"volts": 4.2},
    "jump": {"counts": 900.0},
    "shutdown": {"bits": 32.0},
    "unplug": {},
    "clear": {},
}
COMMON = ("id", "at", "for", "count")


@dataclass
class InjectedFault:
    """One line; `left` is what remains of `count`."""

    kind: str
    id: int | None
    starts: float  # [s], on the twin's clock
    ends: float
    left: float
    values: dict[str, float] = field(default_factory=dict)

    def concerns(self, servo: int, now: float) -> bool:
        """Whether it is there for this servo now."""
        return self.starts <= now < self.ends and self.left > 0 and self.id in (None, servo)


def parse_fault(line: str, now: float, servos: Collection[int] | None = None) -> InjectedFault | None:
    """Returns the fault of one line read at time `now`, None if there is nothing on it.

    Args:
        servos: ids that there are; None takes any.

    Raises:
        UserError: what is wrong with the line.
    """
    words = line.split("#")[0].split()
    if not words:
        return None
    kind, values = words[0], {}
    if kind not in KEYS:
        raise unknown_name("fault", kind, KEYS)
    for word in words[1:]:
        key, _, text = word.partition("=")
        if key not in (*COMMON, *KEYS[kind]):
            raise unknown_name(f"fault {kind}: field", key, (*COMMON, *KEYS[kind]))
        try:
            values[key] = float(text)
        except ValueError:
            raise UserError(f"fault {kind}: {key}: got {text!r}, expected a number") from None
        if not 0 <= values[key] <= 1e6:
            raise UserError(f"fault {kind}: {key}: got {text}, expected 0 to 1e6")
    starts = now + values.pop("at", 0.0)
    servo = values.pop("id", None)
    if servo is not None and (servo % 1 or (servos is not None and servo not in servos)):
        known = "a whole number" if servos is None else f"one of {', '.join(map(str, sorted(servos)))}"
        raise UserError(f"fault {kind}: id: no servo has the id {servo:g}, expected {known}")
    return InjectedFault(
        kind=kind,
        id=None if servo is None else int(servo),
        starts=starts,
        ends=starts + values.pop("for", float("inf")),
        left=values.pop("count", 1.0 if kind == "shutdown" else float("inf")),
        values=KEYS[kind] | values,
    )


class FaultPlan:
    """The faults that are there or still to come."""

    def __init__(self, servos: Collection[int] | None = None) -> None:
        """Args:
        servos: ids that there are; None takes faults of any.
        """
        self._servos = servos
        self._faults: list[InjectedFault] = []

    def add(self, line: str, now: float) -> None:
        """Takes in one line; UserError if it is wrong."""
        fault = parse_fault(line, now, self._servos)
        if fault is not None and fault.kind == "clear":
            self._faults.clear()
        elif fault is not None:
            self._faults.append(fault)

    def now(self, kind: str, servo: int, now: float, spend: bool = False) -> InjectedFault | None:
        """Returns the fault of this kind that concerns a servo now; `spend` takes one off its count."""
        for fault in self._faults:
            if fault.kind == kind and fault.concerns(servo, now):
                fault.left -= spend
                return fault
        return None

    def changes_after(self, now: float) -> float:
        """Returns when the next fault begins or ends (infinity: never)."""
        times = [t for fault in self._faults for t in (fault.starts, fault.ends) if t > now]
        return min(times, default=float("inf"))
