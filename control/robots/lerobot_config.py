"""LeRobot's devices by their config type, and its units: what the adapters of all of them have in common.

LeRobot itself is imported where a device is made, never before. It is no extra of ours: its pins exclude our
libraries, so it is installed without its dependencies (docs/hardware.md).

    lerobot:TYPE@DEV,KEY=VALUE…     e.g. lerobot:so101_leader@/dev/ttyACM1,id=left

DEV goes into the config's `port` (a camera's `index_or_path`), KEY=VALUE into its other fields; `id` names
the calibration that LeRobot keeps.

LeRobot gives joints in degrees around the middle of their calibrated range, or in shares of that range: -100
to 100, or 0 to 100. Here they become radians (or metres) of the joint's range in the robot's file.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name

DEGREES, M100_100, P0_100 = "degrees", "range_m100_100", "range_0_100"
UNITS = (DEGREES, M100_100, P0_100)
DEVICE_FIELDS = ("port", "index_or_path", "robot_ip", "remote_ip", "serial_number_or_name")


class LerobotUnits:
    """Between LeRobot's values of a robot's joints and ours; all arrays (A,), in the embodiment's order."""

    def __init__(self, embodiment: Embodiment, units: Mapping[str, str]) -> None:
        """Args:
            embodiment: the robot's.
            units: {joint: one of `UNITS`}; the others are in degrees.

        Raises:
            UserError: another unit, or an unknown joint.
        """
        for joint, unit in units.items():
            if joint not in embodiment.joint_names:
                raise unknown_name("lerobot: units: joint", joint, embodiment.joint_names)
            if unit not in UNITS:
                raise unknown_name(f"lerobot: units: {joint}", unit, UNITS)
        named = [units.get(name, DEGREES) for name in embodiment.joint_names]
        span = embodiment.upper - embodiment.lower
        in_degrees, around = (np.array([unit == one for unit in named]) for one in (DEGREES, M100_100))
        middle = (embodiment.lower + embodiment.upper) / 2
        self._scale = np.where(in_degrees, np.pi / 180, span / np.where(around, 200.0, 100.0))
        self._zero = np.where(in_degrees | around, middle, embodiment.lower)

    def to_ours(self, values: np.ndarray) -> np.ndarray:
        """[rad or m]."""
        return self._zero + self._scale * values

    def to_theirs(self, position: np.ndarray) -> np.ndarray:
        return (position - self._zero) / self._scale


def units_of(device: Any, embodiment: Embodiment, given: Mapping[str, str]) -> dict[str, str]:
    """{joint: unit} of a device: as its own motors say, but for what is given."""
    motors = getattr(getattr(device, "bus", None), "motors", None) or {}
    own = {name: str(getattr(motor.norm_mode, "value", motor.norm_mode)) for name, motor in motors.items()}
    found = {name: unit for name, unit in own.items() if name in embodiment.joint_names and unit in UNITS}
    if not own:
        found = dict.fromkeys(embodiment.grippers, P0_100)
    return found | dict(given)


def check_features(kind: str, device: Any, which: str, embodiment: Embodiment) -> None:
    """UserError unless a device has a value `JOINT.pos` for each joint among those features of it."""
    try:
        features: Mapping[str, Any] = getattr(device, which)
    except Exception as error:  # some of LeRobot's own need to be connected to say it
        raise UserError(f"lerobot: {kind} does not say what {which} it has ({error})") from error
    if missing := [name for name in embodiment.joint_names if f"{name}.pos" not in features]:
        has = ", ".join(sorted(features)) or "none"
        wanted = ", ".join(f"{name}.pos" for name in missing)
        raise UserError(f"lerobot: {kind} has {has}, expected {wanted} for {embodiment.name}")


def values_of(values: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """(A,), LeRobot's, of joints by name."""
    return np.array([float(values[f"{name}.pos"]) for name in names])


def parse_device(text: str | None) -> tuple[str, dict[str, str]]:
    """(DEV, {KEY: VALUE}) of DEV,KEY=VALUE…; UserError for something else."""
    device, *others = (text or "").split(",")
    if "=" in device:
        device, others = "", [device, *others]
    pairs = [other.partition("=") for other in others]
    if wrong := [key for key, equals, _ in pairs if not (key and equals)]:
        raise UserError(f"lerobot: got {wrong[0]!r}, expected KEY=VALUE, e.g. id=left")
    return device, {key: value for key, _, value in pairs}


def make_device(kind: str, config_type: str, device: str, fields: Mapping[str, Any]) -> Any:
    """Returns one of LeRobot's devices, not connected.

    Args:
        kind: "robot", "teleoperator" or "camera".
        config_type: that LeRobot registers its config by, e.g. "so101_follower".
        device: for the config's `port`; empty for none.
        fields: of the config besides; text is read as the field's type.

    Raises:
        UserError: LeRobot is not installed, has no such type, or refuses the fields.
    """
    import_lerobot()
    module = importlib.import_module(f"lerobot.{kind}s")
    base = getattr(module, f"{kind.capitalize()}Config")
    for found in pkgutil.walk_packages(module.__path__, f"lerobot.{kind}s."):
        if ".config" in found.name or ".configuration" in found.name:
            with contextlib.suppress(Exception):  # of a device whose own libraries are not installed
                importlib.import_module(found.name)
    with contextlib.suppress(ImportError, AttributeError):  # packages named lerobot_robot_… and the like
        importlib.import_module("lerobot.utils.import_utils").register_third_party_plugins()
    known = base.get_known_choices()
    if config_type not in known:
        raise unknown_name(f"lerobot {kind}", config_type, known)
    config_class = known[config_type]
    values = dict(fields)
    if device:
        names = getattr(config_class, "__dataclass_fields__", {})
        field = next((name for name in DEVICE_FIELDS if name in names), None)
        if field is None:
            raise UserError(f"lerobot: {config_type} takes no device, expected none, got {device!r}")
        values[field] = int(device) if field == "index_or_path" and device.isdecimal() else device
    utils = importlib.import_module(f"lerobot.{kind}s.utils")
    try:
        config = importlib.import_module("draccus").decode(config_class, values)
        if kind == "camera":
            return utils.make_cameras_from_configs({"camera": config})["camera"]
        return getattr(utils, f"make_{kind}_from_config")(config)
    except Exception as error:
        raise UserError(f"lerobot: {config_type}: {' '.join(str(error).split())}") from error


def import_lerobot() -> Any:
    """LeRobot; UserError that names the extra where it is not installed."""
    try:
        return importlib.import_module("lerobot")
    except ImportError as error:
        raise UserError(
            "lerobot: it is not installed; its pins exclude ours, so install it without its dependencies: "
            "pip install --no-deps lerobot (docs/hardware.md, Your own devices)"
        ) from error
