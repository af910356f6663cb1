"""A robot as data: joints with their limits, grippers, cameras, home pose and workspace.

An embodiment is one YAML file (`control/embodiments/*.yaml`, or the user's own by its path): to add a
robot, imitate `so101.yaml`; to add somebody's Gymnasium environment, `reacher.yaml`. Nothing about a robot is
hard-coded elsewhere. Loading checks every field, so that the rest of the stack can rely on finite numbers,
limits above zero and a home pose in range.

Commands are joint targets; or `deltas`, an environment's movement in a tick, velocity or torque: to stop
is to command zero (grippers stay as they are); or `absolute`, where an environment is to go: to stop is to
repeat the last. These two have a range and nothing else: no rates, no unit, no relation to the state.
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

from ideomotor.control.camera_spec import CameraSpec, parse_camera, parse_view
from ideomotor.control.driver_spec import DriverSpec, parse_driver
from ideomotor.control.environment import Environment, parse_environment
from ideomotor.control.errors import unknown_name
from ideomotor.control.fields import Field, read_yaml
from ideomotor.control.geometry import Geometry, parse_geometry
from ideomotor.control.plugins import ROBOTS, has_plugin, load_robot, plugin_names
from ideomotor.control.rates import check_rates
from ideomotor.control.servo_bus import ServoBus, parse_servo_bus

EMBODIMENTS = Path(__file__).parent / "embodiments"
UNITS = ("rad", "m")
COMMANDS = ("targets", "deltas", "absolute")
RATES = ("max_velocity", "max_acceleration", "max_jerk", "max_effort")
# That a joint may be from its commands, by unit, where a file says nothing: see docs/safety.md.
FOLLOWING_ERROR = {"rad": 0.2, "m": 0.02, "1": math.inf}
FOLLOWING_S = 0.5
NOWHERE, EVERYWHERE = (-math.inf,) * 3, (math.inf,) * 3  # corners of a workspace without bounds
FRAME_TICKS = 4  # commands to a camera frame of a robot whose file names no camera


@dataclass(frozen=True)
class Joint:
    """One joint; rates are in `unit` per second, second² and second³, effort in N m (or N for `m`).

    Where commands are not joint targets it is a component of them: `unit` is "1", rates are infinite.
    """

    name: str
    unit: str  # "rad", "m" or "1"
    lower: float
    upper: float
    max_velocity: float
    max_acceleration: float
    max_jerk: float
    max_effort: float
    max_following_error: float = math.inf  # from its commands, for a while: see `Embodiment.following_s`

    @property
    def effort_unit(self) -> str:
        return "N" if self.unit == "m" else "N m"


@dataclass(frozen=True)
class Embodiment:
    """A robot's facts. Arrays, all float64 (A,) and read-only, follow the order of `joints`."""

    name: str
    description: str
    control_hz: int
    joints: tuple[Joint, ...]
    grippers: tuple[str, ...]  # names of the joints that are grippers
    cameras: tuple[CameraSpec, ...]
    home: tuple[float, ...]  # (A,) [rad or m]; zero where commands are deltas
    workspace_lower: tuple[float, ...]  # (3,) [m], base frame
    workspace_upper: tuple[float, ...]  # (3,) [m], base frame
    bus: ServoBus | None = None  # of the real robot's servos
    geometry: Geometry | None = None  # None: neither table, workspace nor self-collision is looked after
    commands: str = "targets"  # one of COMMANDS, see above
    sensors: tuple[str, ...] = ()  # components of the state, where they are not the joints
    environment: Environment | None = None  # that it lives in, where that is not ours
    following_s: float = FOLLOWING_S  # that a joint may not follow its commands [s]
    driver: DriverSpec | None = None  # of another package's, instead of `bus`
    leads: str = ""  # name of the robot that this arm leads, by a person's hand: it is read only

    @property
    def targets(self) -> bool:
        """Whether commands are joint targets, comparable with the state."""
        return self.commands == "targets"

    @property
    def state_names(self) -> tuple[str, ...]:
        """Components of the state, (D,)."""
        return self.sensors or self.joint_names

    @property
    def frame_ticks(self) -> int:
        """Commands to a camera frame."""
        return max(1, round(self.control_hz / self.cameras[0].hz)) if self.cameras else FRAME_TICKS

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
    def max_following_error(self) -> np.ndarray:
        return _frozen(joint.max_following_error for joint in self.joints)

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
        facts: list[object] = [self.name, self.control_hz, joints]
        if not self.targets or self.sensors:
            facts += [self.commands, self.sensors]
        text = json.dumps(facts)
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
    elif has_plugin(ROBOTS, text):
        path = load_robot(text).embodiment
    else:
        raise unknown_name("robot", text, [*embodiment_names(), *plugin_names(ROBOTS)])
    return _embodiment(Field(read_yaml(path), "", path.name))


def _embodiment(top: Field) -> Embodiment:
    required = ["name", "description", "joints", "grippers", "cameras"]
    optional = ["control_hz", "leads", "bus", "driver", "geometry", "commands", "environment"]
    optional.append("following_seconds")
    value = top.value if isinstance(top.value, dict) else {}
    kind = value.get("commands", COMMANDS[0])
    if kind not in COMMANDS:
        raise Field(kind, "commands", top.file).fail("one of " + ", ".join(COMMANDS))
    free = kind != "targets"
    if free:
        optional += ["state", "workspace"] + (["home"] if kind == "absolute" else [])
    else:
        required += ["home", "workspace"]
    fields = top.record(required, optional)
    joints = fields["joints"].named({"targets": _joint, "deltas": _delta, "absolute": _component}[kind])
    if not joints:
        raise fields["joints"].fail("at least one joint")
    for item in fields["grippers"].items():
        if item.value not in [joint.name for joint in joints]:
            raise item.fail("the name of one of the joints")
    control_hz = fields["control_hz"].integer(0, 10_001) if "control_hz" in fields else 120
    if not free:
        check_rates(fields["joints"], joints, control_hz)
    cameras = fields["cameras"].named(parse_view if "environment" in fields else parse_camera)
    lower, upper = _workspace(fields["workspace"]) if "workspace" in fields else (NOWHERE, EVERYWHERE)
    environment, following = None, fields.get("following_seconds")
    if "environment" in fields:
        environment = parse_environment(fields["environment"], tuple(camera.name for camera in cameras))
        for camera, item in zip(cameras, fields["cameras"].items(), strict=True):
            if control_hz % camera.hz or camera.hz != cameras[0].hz:
                raise item.fail(f"hz to be the same divisor of control_hz {control_hz} for all cameras")
    return Embodiment(
        name=fields["name"].text(),
        description=fields["description"].text(),
        control_hz=control_hz,
        joints=joints,
        grippers=tuple(item.text() for item in fields["grippers"].items()),
        cameras=cameras,
        home=_home(fields["home"], joints) if "home" in fields else _rest(kind, joints),
        workspace_lower=lower,
        workspace_upper=upper,
        bus=_bus(fields["bus"], joints) if "bus" in fields else None,
        geometry=parse_geometry(fields["geometry"], [joint.name for joint in joints])
        if "geometry" in fields
        else None,
        driver=parse_driver(fields["driver"]) if "driver" in fields else None,
        leads=fields["leads"].text() if "leads" in fields else "",
        commands=kind,
        sensors=tuple(item.text() for item in fields["state"].items()) if "state" in fields else (),
        environment=environment,
        following_s=following.number(above=0.0) if following else FOLLOWING_S,
    )


def _home(field: Field, joints: tuple[Joint, ...]) -> tuple[float, ...]:
    home = field.vector(len(joints))
    for joint, value, item in zip(joints, home, field.items(), strict=True):
        if not joint.lower <= value <= joint.upper:
            raise item.fail(f"a value in {joint.name}'s range [{joint.lower:g}, {joint.upper:g}]")
    return home


def _rest(kind: str, joints: tuple[Joint, ...]) -> tuple[float, ...]:
    """Home where a file names none: no movement, or the middle of the ranges."""
    return tuple(0.0 if kind == "deltas" else (joint.lower + joint.upper) / 2 for joint in joints)


def _workspace(field: Field) -> tuple[tuple[float, ...], tuple[float, ...]]:
    box = field.record(("lower", "upper"))
    lower, upper = box["lower"].vector(3), box["upper"].vector(3)
    if any(low >= high for low, high in zip(lower, upper, strict=True)):
        raise box["upper"].fail(f"each above workspace.lower {list(lower)}")
    return lower, upper


def _bus(field: Field, joints: tuple[Joint, ...]) -> ServoBus:
    return parse_servo_bus(field, tuple((joint.name, joint.lower, joint.upper) for joint in joints))


def _joint(item: Field) -> Joint:
    fields = item.record(("name", "unit", "lower", "upper", *RATES), ("max_following_error",))
    if fields["unit"].value not in UNITS:
        raise fields["unit"].fail("one of " + ", ".join(UNITS))
    lower = fields["lower"].number()
    following = fields.get("max_following_error")
    return Joint(
        name=fields["name"].text(),
        unit=fields["unit"].value,
        lower=lower,
        upper=fields["upper"].number(above=lower),
        **{rate: fields[rate].number(above=0.0) for rate in RATES},
        max_following_error=following.number(above=0.0)
        if following
        else FOLLOWING_ERROR[fields["unit"].value],
    )


def _component(item: Field) -> Joint:
    """One component of a command that is no joint's target."""
    fields = item.record(("name", "lower", "upper"))
    lower = fields["lower"].number()
    upper = fields["upper"].number(above=lower)
    unlimited = dict.fromkeys((*RATES, "max_following_error"), math.inf)
    return Joint(fields["name"].text(), "1", lower, upper, **unlimited)


def _delta(item: Field) -> Joint:
    joint = _component(item)
    if not joint.lower <= 0.0 <= joint.upper:
        raise item.fail("a range with 0 in it, the command to stop")
    return joint


def _frozen(values: Iterable[float]) -> np.ndarray:
    array = np.array(list(values), dtype=np.float64)
    array.setflags(write=False)
    return array
