"""What decides how a servo moves besides its goal, and what of it another program has left otherwise.

A servo keeps settings without power: limits that its goals are clamped to, how it counts, its operating
mode, how much torque it may use. A program that ran before may have written them (LeRobot's calibration
writes the limits). Each family names its own in a table of `Setting`s (`feetech/settings.py`,
`dynamixel/settings.py`); here they are compared with what a joint needs, said in words, and put back. What is
only kept until the power goes is not in these tables: a family's `prepare` writes it at each connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ideomotor.control.calibration import Calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.registers import Register
from ideomotor.control.servo_bus import Servo, ServoBus


@dataclass(frozen=True)
class Need:
    """What a joint needs of its servo."""

    lower: int  # [counts] of the lowest goal
    upper: int  # of the highest one
    effort_share: float  # of the stall torque, that it may use


@dataclass(frozen=True)
class Setting:
    """One register that is kept without power.

    Attributes:
        usual: what it has out of the box, and gets when it is put back.
        right: whether a value will do.
        expected: in words what will do.
        why: what a wrong one does.
        mask: the bits that count; the others are left as they are. None: all of it.
        counts: it changes what positions mean, so that no position says anything before it is right.
    """

    name: str
    register: Register
    usual: int
    right: Callable[[int, Need], bool]
    expected: Callable[[Need], str]
    why: str
    mask: int | None = None
    counts: bool = False


@dataclass(frozen=True)
class Difference:
    """A setting of one servo that is not as its joint needs it."""

    servo: Servo
    setting: Setting
    got: int
    wanted: int  # the whole register
    expected: str

    def __str__(self) -> str:
        where = f"{self.servo.joint} (id {self.servo.id})"
        return f"{where}: {self.setting.name}: got {self.got}, expected {self.expected}; {self.setting.why}"


def differences(
    settings: Sequence[Setting], tables: Iterable[tuple[Servo, bytes]], needs: dict[str, Need]
) -> list[Difference]:
    """Returns what is not as it should be.

    Args:
        settings: of the family.
        tables: of each servo, from address 0 on.
        needs: {joint: what it needs}.
    """
    found = []
    for servo, table in tables:
        need = needs[servo.joint]
        for setting in settings:
            value = setting.register.decode(table, 0)
            got = value if setting.mask is None else value & setting.mask
            if not setting.right(got, need):
                kept = 0 if setting.mask is None else value & ~setting.mask
                found.append(Difference(servo, setting, got, kept | setting.usual, setting.expected(need)))
    return found


def needs_of(embodiment: Embodiment, layout: ServoBus, calibration: Calibration) -> dict[str, Need]:
    """Returns {joint: what it needs}; a joint's two motors need the same."""
    efforts = {joint.name: joint.max_effort for joint in embodiment.joints}
    return {
        servo.joint: Need(known.lower, known.upper, effort_share(servo, efforts[servo.joint]))
        for servo, known in zip(layout.servos, calibration.joints, strict=True)
    }


def effort_share(servo: Servo, max_effort: float) -> float:
    """Returns the share of its stall torque that each motor of a joint with this effort [N m] may use."""
    motors = 2 if servo.shadow is not None or servo.follows is not None else 1
    return min(1.0, max_effort / (motors * servo.model.stall_torque * servo.gear_ratio))


def refuse(found: Sequence[Difference]) -> None:
    """UserError that names the first difference and how to get rid of them; nothing if there are none."""
    if found:
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(
            f"{found[0]}{others}: another program left it; ideomotor launch resets it after asking, or "
            "with --yes"
        )


def exactly(value: int) -> tuple[Callable[[int, Need], bool], Callable[[Need], str]]:
    """Returns `right` and `expected` of a setting that has one right value."""
    return lambda got, need: got == value, lambda need: str(value)


def between(lower: int, upper: int) -> tuple[Callable[[int, Need], bool], Callable[[Need], str]]:
    """Returns `right` and `expected` of a setting that may be from `lower` to `upper`."""
    return lambda got, need: lower <= got <= upper, lambda need: f"{lower} to {upper}"


def with_bits(bits: int) -> tuple[Callable[[int, Need], bool], Callable[[Need], str]]:
    """Returns `right` and `expected` of a setting that must have these bits, at least."""
    return lambda got, need: got & bits == bits, lambda need: f"one with the bits {bits}"
