"""A robot of two arms: the section `arms` of its file says which robots they are and where they stand.

    arms:
      left: {robot: so101, position: [0.0, 0.2, 0.0], yaw: 0.0}
      right: {robot: so101, position: [0.0, -0.2, 0.0], yaw: 0.0}

Its joints are those of the left arm and then those of the right, with `left_` and `right_` before their
names, as LeRobot's bimanual robots name theirs. Everything else follows from the arms' own files: limits,
home pose, and their geometry, to which the pairs of links come by which the arms could meet. Each arm has its
own bus.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ideomotor.control.camera_spec import parse_camera
from ideomotor.control.embodiment_facts import Embodiment, PairedArm
from ideomotor.control.errors import UserError
from ideomotor.control.fields import Field
from ideomotor.control.geometry import WORLD, Geometry, Link, Tip, Vector

SIDES = ("left", "right")
BASE = "base_frame"  # the link in whose frame an arm's own base frame is
HEIGHT_M = 1e-3  # by which the tables of the arms may differ


Load = Callable[[str], tuple[str, Embodiment]]


def parse_pair(top: Field, load: Load) -> Embodiment:
    """Returns the robot of a file with a section `arms`.

    Args:
        top: the file.
        load: of the robot that an arm's entry names: its name or its path from here, and itself.

    Raises:
        UserError: a field is missing or wrong, or the arms cannot be one robot.
    """
    fields = top.record(("name", "description", "arms"), ("cameras",))
    sides = fields["arms"].record(SIDES)
    arms = tuple(_arm(name, sides[name], load) for name in SIDES)
    robots = [arm.embodiment for arm in arms]
    rates = {robot.control_hz for robot in robots}
    if len(rates) > 1:
        raise fields["arms"].fail(f"arms with one control_hz, not {', '.join(map(str, sorted(rates)))}")
    joints = [replace(joint, name=arm.prefix + joint.name) for arm in arms for joint in arm.embodiment.joints]
    corners = np.array([corner for arm in arms for corner in _corners(arm)])  # (16, 3)
    return Embodiment(
        name=fields["name"].text(),
        description=fields["description"].text(),
        control_hz=robots[0].control_hz,
        joints=tuple(joints),
        grippers=tuple(arm.prefix + name for arm in arms for name in arm.embodiment.grippers),
        cameras=fields["cameras"].named(parse_camera) if "cameras" in fields else (),
        home=tuple(value for robot in robots for value in robot.home),
        workspace_lower=tuple(corners.min(0).tolist()),
        workspace_upper=tuple(corners.max(0).tolist()),
        geometry=_geometry(fields["arms"], arms) if all(robot.geometry for robot in robots) else None,
        following_s=min(robot.following_s for robot in robots),
        arms=arms,
    )


def of_arm(robot: Embodiment, values: np.ndarray, name: str) -> np.ndarray:
    """The part of one arm, by its name, of values (…, A) of all joints."""
    first = 0
    for arm in robot.arms:
        count = len(arm.embodiment.joints)
        if arm.name == name:
            return values[..., first : first + count]
        first += count
    raise KeyError(name)


def _arm(name: str, item: Field, load: Load) -> PairedArm:
    fields = item.record(("robot", "position"), ("yaw",))
    where, robot = load(fields["robot"].text())
    if robot.bus is None or robot.leads:
        raise fields["robot"].fail("a follower arm of servos, whose file has a section bus")
    yaw = fields["yaw"].number(-2 * math.pi, 2 * math.pi) if "yaw" in fields else 0.0
    return PairedArm(name, where, robot, fields["position"].vector(3), yaw)


def _corners(arm: PairedArm) -> list[np.ndarray]:
    """(3,) [m], of the box of an arm's workspace in the robot's frame."""
    box = np.array([arm.embodiment.workspace_lower, arm.embodiment.workspace_upper])
    corners = [np.array([box[i, 0], box[j, 1], box[k, 2]]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    return [_turned(arm.yaw, corner) + arm.position for corner in corners]


def _turned(yaw: float, vector: np.ndarray) -> np.ndarray:
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ vector


def _geometry(where: Field, arms: tuple[PairedArm, ...]) -> Geometry:
    """The links of all arms; `UserError` if their tables are not one."""
    bodies = [_body(arm) for arm in arms]
    heights = [body.table_height for body in bodies]
    known = [height for height in heights if height is not None]
    if known and (len(known) < len(heights) or max(known) - min(known) > HEIGHT_M):
        raise where.fail(f"arms on one table: theirs are at {', '.join(map(str, heights))} m")
    left, right = bodies
    margin = max(body.apart_margin for body in bodies)
    return Geometry(
        links=(*left.links, *right.links),
        tips=(*left.tips, *right.tips),
        table_height=known[0] if known else None,
        table_margin=0.0,  # each link has its own
        apart=(*left.apart, *right.apart, *_meetings(arms, left, right, margin)),
        apart_margin=margin,
    )


def _body(arm: PairedArm) -> Geometry:
    """An arm's own geometry, in the robot's frame and with its names."""
    robot, prefix = arm.embodiment, arm.prefix
    body = robot.geometry
    assert body is not None
    base = Link(
        name=prefix + BASE,
        parent=WORLD,
        position=arm.position,
        quaternion=(math.cos(arm.yaw / 2), 0.0, 0.0, math.sin(arm.yaw / 2)),
        joint=None,
        axis=(0.0, 0.0, 1.0),
        boxes=(),
        table_margin=None,
    )
    links = [
        replace(
            link,
            name=prefix + link.name,
            parent=prefix + (BASE if link.parent == WORLD else link.parent),
            joint=link.joint and prefix + link.joint,
            table_margin=body.table_margin if link.table_margin is None else link.table_margin,
        )
        for link in body.links
    ]
    walls = (robot.workspace_lower, robot.workspace_upper)
    return replace(
        body,
        links=(base, *links),
        tips=tuple(Tip(prefix + tip.link, tip.position, base.name, walls) for tip in body.tips),
        table_height=None if body.table_height is None else body.table_height + arm.position[2],
        apart=tuple((prefix + one, prefix + other) for one, other in body.apart),
    )


def _meetings(
    arms: tuple[PairedArm, ...], left: Geometry, right: Geometry, margin: float
) -> list[tuple[str, str]]:
    """The pairs of links, one of each arm, that their lengths allow to touch."""
    between = float(np.linalg.norm(np.subtract(arms[0].position, arms[1].position)))
    reaches = [_reaches(arm, body) for arm, body in zip(arms, (left, right), strict=True)]
    return [
        (one, other)
        for one, (far, moves) in reaches[0].items()
        for other, (other_far, other_moves) in reaches[1].items()
        if (moves or other_moves) and far + other_far + margin >= between
    ]


def _reaches(arm: PairedArm, body: Geometry) -> dict[str, tuple[float, bool]]:
    """{link with boxes: (how far from its arm's base it reaches at most [m], whether a joint moves it)}."""
    robot = arm.embodiment
    travel = {
        arm.prefix + joint.name: max(abs(joint.lower), abs(joint.upper)) if joint.unit == "m" else 0.0
        for joint in robot.joints
    }
    origins: dict[str, tuple[float, bool]] = {arm.prefix + BASE: (0.0, False)}
    found = {}
    for link in body.links[1:]:
        before, moved = origins[link.parent]
        way = before + _length(link.position) + (travel[link.joint] if link.joint else 0.0)
        origins[link.name] = way, moved or link.joint is not None
        if link.boxes:
            size = max(_length(box.position) + _length(box.half) for box in link.boxes)
            found[link.name] = way + size, origins[link.name][1]
    return found


def _length(vector: Vector) -> float:
    return math.hypot(*vector)


def split_ports(text: str, what: str = "port") -> dict[str, str]:
    """{arm: device} of "left=DEV,right=DEV".

    Raises:
        UserError: an arm has none, or both have the same.
    """
    ports: dict[str, str] = {}
    expected = "left=/dev/ttyACM0,right=/dev/ttyACM1"
    name = ""
    for part in text.split(","):
        before, equals, after = part.partition("=")
        if equals and before.strip() in SIDES:
            name = before.strip()
            if name in ports:
                raise UserError(f"{what}: got {text!r}, in which {name} is twice, expected {expected}")
            ports[name] = after.strip()
        elif name:
            ports[name] += f",{part}"  # the name of a device may have a comma
        else:
            break
    if set(ports) != set(SIDES) or not all(ports.values()):
        raise UserError(f"{what}: got {text!r}, expected a device for each arm: {expected}")
    if len({os.path.realpath(port) for port in ports.values()}) < len(ports):
        raise UserError(f"{what}: got {text!r}, in which both arms have the same, expected {expected}")
    return ports


def join_ports(ports: dict[str, str]) -> str:
    """What `split_ports` takes apart."""
    return ",".join(f"{name}={ports[name]}" for name in SIDES)
