"""A robot's cameras as its embodiment file has them: what a policy sees, and from where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ideomotor.control.fields import Field


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


def parse_camera(item: Field) -> CameraSpec:
    """Returns a camera of the robot's file; UserError for a field that is missing or wrong."""
    fields = item.record(CameraSpec.__dataclass_fields__)
    quaternion = fields["quaternion"].vector(4)
    if not abs(math.hypot(*quaternion) - 1.0) < 1e-3:
        raise fields["quaternion"].fail("a unit quaternion (wxyz)")
    return CameraSpec(
        **_picture(fields),
        mount=fields["mount"].text(),
        position=fields["position"].vector(3),
        quaternion=quaternion,
        fovy=fields["fovy"].number(above=0.0, below=math.pi),
    )


def parse_view(item: Field) -> CameraSpec:
    """A camera of somebody's environment, who knows where it hangs."""
    fields = item.record(("name", "height", "width", "hz"))
    return CameraSpec(
        **_picture(fields), mount="world", position=(0.0,) * 3, quaternion=(1.0, 0.0, 0.0, 0.0), fovy=1.0
    )


def _picture(fields: dict[str, Field]) -> dict[str, Any]:
    return {
        "name": fields["name"].text(),
        "height": fields["height"].integer(0, 8193),
        "width": fields["width"].integer(0, 8193),
        "hz": fields["hz"].number(above=0.0),
    }
