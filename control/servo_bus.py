"""How a robot's joints hang on servos: ids, models, directions, zeros and gear ratios, read from its file.

An embodiment file may have a section `bus` (imitate `so101.yaml`). With it, a driver in `control/robots/`
needs nothing else to know about the robot. One convention turns servo counts into joint positions:

    turns = (counts - zero) / counts_per_turn,   joint = direction * 2 pi * turns / gear_ratio
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ideomotor.control.errors import unknown_name
from ideomotor.control.fields import Field

PROTOCOLS = ("feetech", "dynamixel")


@dataclass(frozen=True)
class ServoModel:
    """What the manufacturer says about one type of servo."""

    name: str
    protocol: str
    number: int  # that the servo gives as its model
    counts_per_turn: int
    stall_torque: float  # [N m]
    max_speed: float  # without load, at the highest voltage it is sold for [rad/s]
    max_temperature: float  # below what it switches itself off at [°C]
    effort_unit: float  # share of the stall torque for one count of its load or current
    current_unit: float  # [A] for one count of its current; NaN: it measures none


# STS3215: Feetech's product page and memory table; it switches off at 70 °C. No-load speed 4.7 rad/s at
# 7.4 V; at 12 V geared versions reach about 1.7 times that. Dynamixel: e-manual.robotis.com, dxl/x: torque at
# the recommended voltage (XL330 5 V, the others 12 V) with the current there, which makes the share; they
# switch off at 70, 72, 80 and 80 °C. XL430 measures load instead of current.
NAN = math.nan
SERVO_MODELS = {
    model.name: model
    for model in (
        ServoModel("sts3215", "feetech", 777, 4096, 2.94, 8.0, 65.0, 0.001, 0.0065),
        ServoModel("xl330-m077", "dynamixel", 1190, 4096, 0.215, 40.1, 65.0, 0.001 / 1.47, 0.001),
        ServoModel("xl330-m288", "dynamixel", 1200, 4096, 0.52, 12.9, 65.0, 0.001 / 1.47, 0.001),
        ServoModel("xl430-w250", "dynamixel", 1060, 4096, 1.5, 6.4, 67.0, 0.001, NAN),
        ServoModel("xm430-w350", "dynamixel", 1020, 4096, 4.1, 6.0, 75.0, 0.00269 / 2.3, 0.00269),
        ServoModel("xm540-w270", "dynamixel", 1120, 4096, 10.6, 3.9, 75.0, 0.00269 / 4.4, 0.00269),
    )
}


@dataclass(frozen=True)
class Servo:
    """One servo and the joint that it moves.

    A joint may have a second one, its shadow, which obeys whatever is sent to the first.
    """

    joint: str
    id: int
    model: ServoModel
    direction: int  # 1: counts grow with the joint's position; -1: they fall
    zero: int  # [counts] at joint position 0, as the arm is built; a calibration refines it
    gear_ratio: float  # servo [rad] for one unit of the joint [rad or m]
    end_stops: bool  # whether the joint runs against a stop at both ends of its range
    span: (
        tuple[int, int] | None
    )  # [counts] between its stops, least and most that real arms have; None: unknown
    zero_stop: (
        str  # which stop its zero is counted from: that at its "lower" or "upper" end, or both ("middle")
    )
    min_voltage: float  # [V]
    max_voltage: float  # [V]
    mirrored: bool = False  # the servo itself is set up to count the other way round
    shadow: int | None = None  # id of the joint's second servo
    follows: int | None = None  # of a shadow: the id of the first

    @property
    def counts_per_unit(self) -> float:
        """Counts for one rad (or m) of the joint, signed."""
        return self.direction * self.gear_ratio * self.model.counts_per_turn / (2 * math.pi)

    def stops(self, lower: float, upper: float) -> tuple[float, float]:
        """Returns where the joint's stops are in an average arm [rad or m]; it may go less far.

        Args:
            lower: of the joint's range, where its lower stop is unless `span` says more.
            upper: likewise.
        """
        if self.span is None:
            return lower, upper
        width = sum(self.span) / 2 / abs(self.counts_per_unit)
        if self.zero_stop == "middle":
            return (lower + upper - width) / 2, (lower + upper + width) / 2
        return (lower, lower + width) if self.zero_stop == "lower" else (upper - width, upper)


@dataclass(frozen=True)
class ServoBus:
    """A half-duplex line with one servo for each joint, in joint order."""

    protocol: str
    baud: int
    servos: tuple[Servo, ...]

    @property
    def motors(self) -> tuple[Servo, ...]:
        """The servos of the joints, and then the shadows, which face them and so are mirrored."""
        shadows = [
            replace(servo, id=servo.shadow, follows=servo.id, mirrored=not servo.mirrored, shadow=None)
            for servo in self.servos
            if servo.shadow is not None
        ]
        return (*self.servos, *shadows)


def parse_servo_bus(item: Field, joints: tuple[tuple[str, float, float], ...]) -> ServoBus:
    """Returns the section `bus` of an embodiment file.

    Args:
        item: the section.
        joints: (name, lower, upper) of every joint, in order.

    Raises:
        UserError: names the bad field.
    """
    fields = item.record(("protocol", "baud", "voltage", "servos"))
    protocol = fields["protocol"].text()
    if protocol not in PROTOCOLS:
        raise unknown_name(f"{item.file}: {item.where}.protocol", protocol, PROTOCOLS)
    voltage = _voltage(fields["voltage"])
    entries = fields["servos"].items(len(joints))
    servos = tuple(
        _servo(entry, protocol, joint, voltage) for entry, joint in zip(entries, joints, strict=True)
    )
    layout = ServoBus(protocol=protocol, baud=fields["baud"].integer(0, 10_000_001), servos=servos)
    ids = [servo.id for servo in layout.motors]
    if len(set(ids)) < len(ids):
        raise Field(ids, fields["servos"].where, item.file).fail("servos whose ids differ")
    return layout


def _voltage(item: Field) -> tuple[float, float]:
    fields = item.record(("lower", "upper"))
    lower = fields["lower"].number(above=0.0, below=100.0)
    return lower, fields["upper"].number(above=lower, below=100.0)


OPTIONAL = (
    *("direction", "zero", "gear_ratio", "end_stops", "span", "zero_stop"),
    *("voltage", "mirrored", "shadow"),
)
ZERO_STOPS = ("middle", "lower", "upper")


def _servo(
    item: Field, protocol: str, joint: tuple[str, float, float], voltage: tuple[float, float]
) -> Servo:
    name, lower, upper = joint
    fields = item.record(("joint", "id", "model"), OPTIONAL)
    if fields["joint"].value != name:
        raise fields["joint"].fail(f"{name!r}, the joint at this place")
    models = {key: model for key, model in SERVO_MODELS.items() if model.protocol == protocol}
    if fields["model"].value not in list(models):
        raise fields["model"].fail("one of " + ", ".join(models))
    model = models[fields["model"].value]
    direction = fields["direction"].integer(-2, 2) if "direction" in fields else 1
    if direction == 0:
        raise fields["direction"].fail("1 or -1")
    for key in ("mirrored", "shadow"):
        if key in fields and protocol != "dynamixel":
            raise fields[key].fail("nothing, since only dynamixel servos have it")
    if "voltage" in fields:
        voltage = _voltage(fields["voltage"])
    zero = fields["zero"] if "zero" in fields else None
    servo = Servo(
        joint=name,
        id=fields["id"].integer(-1, 253),
        model=model,
        direction=direction,
        zero=zero.integer(-1, model.counts_per_turn) if zero else model.counts_per_turn // 2,
        gear_ratio=fields["gear_ratio"].number(above=0.0) if "gear_ratio" in fields else 1.0,
        end_stops=_flag(fields, "end_stops", usual=True),
        span=_span(fields["span"], model) if "span" in fields else None,
        zero_stop=_zero_stop(fields["zero_stop"]) if "zero_stop" in fields else "middle",
        min_voltage=voltage[0],
        max_voltage=voltage[1],
        mirrored=_flag(fields, "mirrored", usual=False),
        shadow=fields["shadow"].integer(-1, 253) if "shadow" in fields else None,
    )
    ends = sorted(servo.zero + servo.counts_per_unit * end for end in (lower, upper))
    if ends[0] < 0 or ends[1] > model.counts_per_turn - 1:
        raise (zero or item).fail(
            f"{name}'s range within one turn of its servo (it needs counts {ends[0]:.0f} to {ends[1]:.0f})"
        )
    return servo


def _span(item: Field, model: ServoModel) -> tuple[int, int]:
    fields = item.record(("lower", "upper"))
    lower = fields["lower"].integer(0, model.counts_per_turn)
    return lower, fields["upper"].integer(lower - 1, model.counts_per_turn)


def _zero_stop(item: Field) -> str:
    if item.value not in ZERO_STOPS:
        raise item.fail("one of " + ", ".join(ZERO_STOPS))
    return str(item.value)


def _flag(fields: dict[str, Field], key: str, usual: bool) -> bool:
    value = fields[key].value if key in fields else usual
    if not isinstance(value, bool):
        raise fields[key].fail("true or false")
    return value
