"""A robot as data: joints with their limits, grippers, cameras, home pose and workspace.

An embodiment is one YAML file (`control/embodiments/*.yaml`, or the user's own by its path): to add a
robot, imitate `so101.yaml`; a pair of arms, `so101_pair.yaml`; somebody's Gymnasium environment,
`reacher.yaml`. Nothing about a robot is hard-coded elsewhere. Loading checks every field, so that the rest of
the stack can rely on finite numbers, limits above zero and a home pose in range.

Commands are joint targets; or `deltas`, an environment's movement in a tick, velocity or torque: to stop
is to command zero (grippers stay as they are); or `absolute`, where an environment is to go: to stop is to
repeat the last. These two have a range and nothing else: no rates, no unit, no relation to the state.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from ideomotor.control.camera_spec import parse_camera, parse_view
from ideomotor.control.driver_spec import parse_driver
from ideomotor.control.embodiment_facts import FOLLOWING_S, Embodiment, Joint
from ideomotor.control.environment import parse_environment
from ideomotor.control.environment_part import is_part, part_of, whole_of
from ideomotor.control.errors import unknown_name
from ideomotor.control.fields import Field, read_yaml
from ideomotor.control.geometry import parse_geometry
from ideomotor.control.pair import parse_pair
from ideomotor.control.plugins import ROBOTS, has_plugin, load_robot, plugin_names
from ideomotor.control.rates import check_rates
from ideomotor.control.servo_bus import ServoBus, parse_servo_bus

EMBODIMENTS = Path(__file__).parent / "embodiments"
UNITS = ("rad", "m")
COMMANDS = ("targets", "deltas", "absolute")
RATES = ("max_velocity", "max_acceleration", "max_jerk", "max_effort")
# That a joint may be from its commands, by unit, where a file says nothing: see docs/safety.md.
FOLLOWING_ERROR = {"rad": 0.2, "m": 0.02, "1": math.inf}
NOWHERE, EVERYWHERE = (-math.inf,) * 3, (math.inf,) * 3  # corners of a workspace without bounds


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
    top = Field(read_yaml(path), "", path.name)
    if isinstance(top.value, dict) and "arms" in top.value:
        return parse_pair(top, lambda robot: _named_beside(path, robot))
    if is_part(top):
        whole = load_embodiment(whole_of(top))
        description, environment = part_of(top, whole.description, whole.environment)
        return replace(whole, description=description, environment=environment)
    return _embodiment(top)


def _named_beside(path: Path, robot: str) -> tuple[str, Embodiment]:
    """The robot that a file names: as ever, but a path counts from the file's folder."""
    is_path = "/" in robot or robot.endswith((".yaml", ".yml"))
    where = str(path.parent / robot) if is_path else robot
    return where, load_embodiment(where)


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


def _rest(kind: str, joints: tuple[Joint, ...]) -> tuple[float, ...]:  # home where a file names none
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
