"""The families of servos there are drivers for, by `bus.protocol` of an embodiment file."""

from __future__ import annotations

from ideomotor.control.calibration import no_bus
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.robots.dynamixel.bus import DxlFamily
from ideomotor.control.robots.family import Family
from ideomotor.control.robots.feetech.bus import StsFamily
from ideomotor.control.servo_bus import ServoBus

FAMILIES: dict[str, Family] = {"feetech": StsFamily(), "dynamixel": DxlFamily()}


def family_of(embodiment: Embodiment) -> tuple[Family, ServoBus]:
    """Returns the family of a robot's servos and how they are laid out; UserError if it has none."""
    if embodiment.bus is None:
        raise no_bus(embodiment)
    return FAMILIES[embodiment.bus.protocol], embodiment.bus
