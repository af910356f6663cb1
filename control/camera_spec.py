"""A robot's cameras as its embodiment file has them: what a policy sees, and from where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ideomotor.control.fields import Field


@dataclass(frozen=True)
class Capture:
    """What a camera is asked for: the size, rate and format of its own pictures, before they are cut."""

    width: int  # [pixels]
    height: int  # [pixels]
    hz: float
    format: str = ""  # four letters, e.g. MJPG; empty: the driver's choice


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
    capture: Capture | None = None  # None: as the device starts


def parse_camera(item: Field) -> CameraSpec:
    """Returns a camera of the robot's file; UserError for a field that is missing or wrong."""
    required = [name for name in CameraSpec.__dataclass_fields__ if name != "capture"]
    fields = item.record(required, ("capture",))
    quaternion = fields["quaternion"].vector(4)
    if not abs(math.hypot(*quaternion) - 1.0) < 1e-3:
        raise fields["quaternion"].fail("a unit quaternion (wxyz)")
    return CameraSpec(
        **_picture(fields),
        mount=fields["mount"].text(),
        position=fields["position"].vector(3),
        quaternion=quaternion,
        fovy=fields["fovy"].number(above=0.0, below=math.pi),
        capture=_capture(fields["capture"], fields["hz"]) if "capture" in fields else None,
    )


def parse_view(item: Field) -> CameraSpec:
    """A camera of somebody's environment, who knows where it hangs."""
    fields = item.record(("name", "height", "width", "hz"))
    return CameraSpec(
        **_picture(fields), mount="world", position=(0.0,) * 3, quaternion=(1.0, 0.0, 0.0, 0.0), fovy=1.0
    )


def _capture(item: Field, hz: Field) -> Capture:
    fields = item.record(("width", "height"), ("hz", "format"))
    letters = fields["format"].text() if "format" in fields else ""
    if letters and not (len(letters) == 4 and letters.isascii()):
        raise fields["format"].fail("four letters, e.g. MJPG")
    return Capture(
        width=fields["width"].integer(0, 8193),
        height=fields["height"].integer(0, 8193),
        hz=fields.get("hz", hz).number(above=0.0),
        format=letters,
    )


def _picture(fields: dict[str, Field]) -> dict[str, Any]:
    return {
        "name": fields["name"].text(),
        "height": fields["height"].integer(0, 8193),
        "width": fields["width"].integer(0, 8193),
        "hz": fields["hz"].number(above=0.0),
    }
