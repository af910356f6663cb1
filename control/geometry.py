"""What a robot's body looks like to its safety filter, read from the section `geometry` of its file.

A tree of links, each moved against its parent by at most one joint and packed into boxes. With it come the
table, the point that the workspace box is meant for, and the pairs of links that must stay apart. The boxes
must contain the link: what they leave out is not protected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.fields import Field

WORLD = "world"

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Box:
    """A part of a link, in the link's frame."""

    position: Vector  # (3,) [m], of its centre
    half: Vector  # (3,) [m], half extents, above 0
    quaternion: Vector = (1.0, 0.0, 0.0, 0.0)  # (4,) wxyz


@dataclass(frozen=True)
class Link:
    """One rigid body. Its pose in the parent's frame is `position`, `quaternion`, then the joint's motion."""

    name: str
    parent: str  # of a link before this one, or "world": the base frame
    position: Vector  # (3,) [m]
    quaternion: Vector  # (4,) wxyz
    joint: str | None  # turns about (unit rad) or slides along (unit m) `axis`; None: fixed to the parent
    axis: Vector  # (3,) unit vector in the link's frame
    boxes: tuple[Box, ...]
    table_margin: float | None  # [m], of this link; None: the table's


@dataclass(frozen=True)
class Tip:
    """A point that stays in a box."""

    link: str
    position: Vector  # (3,) [m] in the frame of `link`
    base: str = WORLD  # a link that no joint moves: the box is in its frame
    walls: tuple[Vector, Vector] | None = None  # (3,) [m] lower and upper; None: the robot's workspace


@dataclass(frozen=True)
class Geometry:
    """A robot's links and what they must keep away from."""

    links: tuple[Link, ...]  # parents before children
    tips: tuple[Tip, ...]  # of each arm
    table_height: float | None  # [m], base frame; None: there is no table
    table_margin: float  # [m]
    apart: tuple[tuple[str, str], ...]  # links that must not touch each other
    apart_margin: float  # [m]

    @property
    def tip_link(self) -> str:
        """Of the first tip."""
        return self.tips[0].link

    @property
    def tip_position(self) -> Vector:
        """(3,) [m], of the first tip in the frame of its link."""
        return self.tips[0].position

    def link(self, name: str) -> Link:
        """Returns the link called `name`; UserError with the valid names otherwise."""
        for link in self.links:
            if link.name == name:
                return link
        raise unknown_name("link", name, (link.name for link in self.links))


def parse_geometry(item: Field, joints: Sequence[str]) -> Geometry:
    """Returns the section `geometry` of an embodiment file.

    Args:
        item: the section.
        joints: names of the robot's joints.

    Raises:
        UserError: names the bad field.
    """
    fields = item.record(("links", "tip"), ("table", "apart"))
    links: list[Link] = []
    for entry in fields["links"].items():
        links.append(_link(entry, links, joints))
    moved = {link.joint for link in links}
    for joint in joints:
        if joint not in moved:
            raise UserError(f"{item.file}: {item.where}.links: no link is moved by joint {joint!r}")
    tip = fields["tip"].record(("link", "position"))
    table = fields["table"].record(("height", "margin")) if "table" in fields else None
    apart = fields["apart"].record(("margin", "pairs")) if "apart" in fields else None
    return Geometry(
        links=tuple(links),
        tips=(Tip(_known(tip["link"], links), tip["position"].vector(3)),),
        table_height=table["height"].number() if table else None,
        table_margin=table["margin"].number(above=-1.0, below=1.0) if table else 0.0,
        apart=tuple(_pair(pair, links) for pair in apart["pairs"].items()) if apart else (),
        apart_margin=apart["margin"].number(above=-1.0, below=1.0) if apart else 0.0,
    )


def _link(item: Field, before: list[Link], joints: Sequence[str]) -> Link:
    fields = item.record(
        ("name", "parent", "position", "quaternion"), ("joint", "axis", "boxes", "table_margin")
    )
    name = fields["name"].text()
    if name == WORLD or name in [link.name for link in before]:
        raise fields["name"].fail("a name that no other link has")
    joint = fields["joint"].text() if "joint" in fields else None
    if joint is not None:
        if joint not in joints:
            raise unknown_name(f"{item.file}: {fields['joint'].where}", joint, joints)
        if joint in [link.joint for link in before]:
            raise fields["joint"].fail("a joint that moves no other link")
    if (joint is None) != ("axis" not in fields):
        raise item.fail("joint and axis both, or neither")
    return Link(
        name=name,
        parent=WORLD if fields["parent"].value == WORLD else _known(fields["parent"], before),
        position=fields["position"].vector(3),
        quaternion=_unit(fields["quaternion"], 4),
        joint=joint,
        axis=_unit(fields["axis"], 3) if joint else (0.0, 0.0, 1.0),
        boxes=tuple(_box(entry) for entry in fields["boxes"].items()) if "boxes" in fields else (),
        table_margin=fields["table_margin"].number(above=-1.0, below=1.0)
        if "table_margin" in fields
        else None,
    )


def _box(item: Field) -> Box:
    fields = item.record(("position", "half"), ("quaternion",))
    half = tuple(entry.number(above=0.0, below=10.0) for entry in fields["half"].items(3))
    if "quaternion" not in fields:
        return Box(fields["position"].vector(3), half)
    return Box(fields["position"].vector(3), half, _unit(fields["quaternion"], 4))


def _pair(item: Field, links: list[Link]) -> tuple[str, str]:
    one, other = (_known(entry, links) for entry in item.items(2))
    if one == other:
        raise item.fail("two links that differ")
    return one, other


def _known(item: Field, links: list[Link]) -> str:
    name, names = item.text(), [link.name for link in links]
    if name not in names:
        raise unknown_name(f"{item.file}: {item.where}", name[:80], names)
    return name


def _unit(item: Field, count: int) -> Vector:
    vector = item.vector(count)
    if not abs(math.hypot(*vector) - 1.0) < 1e-3:
        raise item.fail("a unit quaternion (wxyz)" if count == 4 else "a unit vector")
    return vector
