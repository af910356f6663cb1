"""What is known of a robot: its joints with their limits, grippers, cameras, home pose and workspace.

`control/embodiment.py` reads these facts from a robot's file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ideomotor.control.camera_spec import CameraSpec
from ideomotor.control.driver_spec import DriverSpec
from ideomotor.control.environment import Environment
from ideomotor.control.errors import unknown_name
from ideomotor.control.geometry import Geometry, Vector
from ideomotor.control.servo_bus import ServoBus

FOLLOWING_S = 0.5
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
    arms: tuple[PairedArm, ...] = ()  # of a robot that is made of several, left and right

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


@dataclass(frozen=True)
class PairedArm:
    """One of the arms that a robot is made of; its joints are the robot's, with its name before theirs."""

    name: str  # left or right
    robot: str  # its name, or the path of its file
    embodiment: Embodiment
    position: Vector  # (3,) [m], of its base in the robot's base frame
    yaw: float  # [rad] about the vertical

    @property
    def prefix(self) -> str:
        return f"{self.name}_"


def _frozen(values: Iterable[float]) -> np.ndarray:
    array = np.array(list(values), dtype=np.float64)
    array.setflags(write=False)
    return array
