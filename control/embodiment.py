"""A robot as data: joints with their limits, grippers, cameras, home pose and workspace.

An embodiment is one YAML file (`control/embodiments/*.yaml`, or the user's own by its path): to add a
robot, imitate `so101.yaml`. Nothing about a robot is hard-coded elsewhere. Loading checks every field,
so that the rest of the stack can rely on finite numbers, limits above zero and a home pose in range.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.control.fields import Field, read_yaml
from ideomotor.control.geometry import Geometry, parse_geometry
from ideomotor.control.servo_bus import ServoBus, parse_servo_bus

EMBODIMENTS = Path(__file__).parent / "embodiments"
UNITS = ("rad", "m")


@dataclass(frozen=True)
class Joint:
    """One joint; rates are in `unit` per second, second² and second³, effort in N m (or N for `m`)."""

    name: str
    unit: str  # "rad" or "m"
    lower: float
    upper: float
    max_velocity: float
    max_acceleration: float
    max_jerk: float
    max_effort: float


@dataclass(frozen=True)
class CameraSpec:
    """One camera; the pose is in the frame of the body it is mounted on, looking along its own -z."""

    name: str
    height: int  # [pixels]
    width: int  # [pixels]
    hz: float
    mount: str  # a body's name, or "world"
    position: tuple[float, ...]  # (3,) [m]
    quaternion: tuple[float, ...]  # (4,) wxyz
    fovy: float  # vertical field of view [rad]


@dataclass(frozen=True)
class Embodiment:
    """A robot's facts. Arrays, all float64 (A,) and read-only, follow the order of `joints`."""

    name: str
    description: str
    control_hz: int
    joints: tuple[Joint, ...]
    grippers: tuple[str, ...]  # names of the joints that are grippers
    cameras: tuple[CameraSpec, ...]
    home: tuple[float, ...]  # (A,) [rad or m]
    workspace_lower: tuple[float, ...]  # (3,) [m], base frame
    workspace_upper: tuple[float, ...]  # (3,) [m], base frame
    bus: ServoBus | None = None  # of the real robot's servos
    geometry: Geometry | None = None  # None: neither table, workspace nor self-collision is looked after

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def lower(self) -> np.ndarray:
        return _frozen(joint.lower for joint in self.joints)

    @cached_property
    def upper(self) -> np.ndarray:
        return _frozen(joint.upper for joint in self.joints)

    @cached_property
    def max_velocity(self) -> np.ndarray:
        return _frozen(joint.max_velocity for joint in self.joints)

    @cached_property
    def max_acceleration(self) -> np.ndarray:
        return _frozen(joint.max_acceleration for joint in self.joints)

    @cached_property
    def max_jerk(self) -> np.ndarray:
        return _frozen(joint.max_jerk for joint in self.joints)

    @cached_property
    def max_effort(self) -> np.ndarray:
        return _frozen(joint.max_effort for joint in self.joints)

    @cached_property
    def home_position(self) -> np.ndarray:
        return _frozen(self.home)

    def camera(self, name: str) -> CameraSpec:
        """Returns the camera called `name`; UserError with the valid names otherwise."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise unknown_name("camera", name, (camera.name for camera in self.cameras))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that are equal when commands mean the same: names, units, ranges and rate."""
        joints = [(joint.name, joint.unit, joint.lower, joint.upper) for joint in self.joints]
        text = json.dumps([self.name, self.control_hz, joints])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def embodiment_names() -> list[str]:
    """Returns the names of the robots that come with the package, sorted."""
    return sorted(path.stem for path in EMBODIMENTS.glob("*.yaml"))


def load_embodiment(name_or_path: str | Path) -> Embodiment:
    """Returns the robot called by a name of `embodiment_names()` or by the path of a YAML file.

    Raises:
        UserError: unknown name, unreadable file, or a field that is missing, misspelt or out of range;
            the message names the file, the field, the value and what was expected.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text:
        path = Path(text)
    elif text in embodiment_names():
        path = EMBODIMENTS / f"{text}.yaml"
    else:
        raise unknown_name("robot", text, embodiment_names())
    return _embodiment(Field(read_yaml(path), "", path.name))


def _embodiment(top: Field) -> Embodiment:
    required = ("name", "description", "joints", "grippers", "cameras", "home", "workspace")
    fields = top.record(required, optional=("control_hz", "bus", "geometry"))
    joints = fields["joints"].named(_joint)
    if not joints:
        raise fields["joints"].fail("at least one joint")
    for item in fields["grippers"].items():
        if item.value not in [joint.name for joint in joints]:
            raise item.fail("the name of one of the joints")
    home = fields["home"].vector(len(joints))
    for joint, value, item in zip(joints, home, fields["home"].items(), strict=True):
        if not joint.lower <= value <= joint.upper:
            raise item.fail(f"a value in {joint.name}'s range [{joint.lower:g}, {joint.upper:g}]")
    box = fields["workspace"].record(("lower", "upper"))
    lower, upper = box["lower"].vector(3), box["upper"].vector(3)
    if any(low >= high for low, high in zip(lower, upper, strict=True)):
        raise box["upper"].fail(f"each above workspace.lower {list(lower)}")
    control_hz = fields.get("control_hz")
    ranges = tuple((joint.name, joint.lower, joint.upper) for joint in joints)
    return Embodiment(
        name=fields["name"].text(),
        description=fields["description"].text(),
        control_hz=120 if control_hz is None else control_hz.integer(0, 10_001),
        joints=joints,
        grippers=tuple(item.text() for item in fields["grippers"].items()),
        cameras=fields["cameras"].named(_camera),
        home=home,
        workspace_lower=lower,
        workspace_upper=upper,
        bus=parse_servo_bus(fields["bus"], ranges) if "bus" in fields else None,
        geometry=parse_geometry(fields["geometry"], [joint.name for joint in joints])
        if "geometry" in fields
        else None,
    )


def _joint(item: Field) -> Joint:
    fields = item.record(Joint.__dataclass_fields__)
    if fields["unit"].value not in UNITS:
        raise fields["unit"].fail("one of " + ", ".join(UNITS))
    lower = fields["lower"].number()
    rates = ("max_velocity", "max_acceleration", "max_jerk", "max_effort")
    return Joint(
        name=fields["name"].text(),
        unit=fields["unit"].value,
        lower=lower,
        upper=fields["upper"].number(above=lower),
        **{rate: fields[rate].number(above=0.0) for rate in rates},
    )


def _camera(item: Field) -> CameraSpec:
    fields = item.record(CameraSpec.__dataclass_fields__)
    quaternion = fields["quaternion"].vector(4)
    if not abs(math.hypot(*quaternion) - 1.0) < 1e-3:
        raise fields["quaternion"].fail("a unit quaternion (wxyz)")
    return CameraSpec(
        name=fields["name"].text(),
        height=fields["height"].integer(0, 8193),
        width=fields["width"].integer(0, 8193),
        hz=fields["hz"].number(above=0.0),
        mount=fields["mount"].text(),
        position=fields["position"].vector(3),
        quaternion=quaternion,
        fovy=fields["fovy"].number(above=0.0, below=math.pi),
    )


def _frozen(values: Iterable[float]) -> np.ndarray:
    array = np.array(list(values), dtype=np.float64)
    array.setflags(write=False)
    return array
