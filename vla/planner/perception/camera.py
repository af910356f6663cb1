"""Where the front camera sees a point, which point of a plane it sees, and where the fingertips are.

From the embodiment file alone: a camera that was nudged is off by as much as it was.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.safety.kinematics import Kinematics, rotation


class FrontCamera:
    """The geometry of an embodiment's first camera that is mounted in the world, and of its hand.

    Args:
        embodiment: needs such a camera and a `geometry`.

    Raises:
        UserError: it lacks one.
    """

    def __init__(self, embodiment: Embodiment):
        fixed = [camera for camera in embodiment.cameras if camera.mount == "world"]
        if not fixed or embodiment.geometry is None:
            raise UserError(
                f"robot: {embodiment.name!r} has no camera mounted in the world or no geometry, expected both"
                " to plan by what is seen"
            )
        camera, self._geometry = fixed[0], embodiment.geometry
        self.name = camera.name
        self.gripper = embodiment.joint_names.index(next(iter(embodiment.grippers)))  # of the hand [joint]
        self._position = np.array(camera.position, float)
        self._axes = np.array(rotation(camera.quaternion), float)  # columns: right, up, back
        self._scale = 0.5 / np.tan(camera.fovy / 2)
        self._kinematics = Kinematics(embodiment, self._geometry)
        self._tip = self._kinematics.names.index(self._geometry.tip_link)

    def project(self, point: np.ndarray) -> tuple[float, float]:
        """(u, v) in [0, 1] of a point (3,) [m] in the base frame, in a square picture."""
        right, up, back = self._axes.T @ (np.asarray(point, float) - self._position)
        depth = max(-back, 1e-6)
        return 0.5 + self._scale * right / depth, 0.5 - self._scale * up / depth

    def on_plane(self, u: float, v: float, height: float) -> tuple[float, float]:
        """x, y [m] of what is seen at (u, v), were it `height` [m] above the table."""
        direction = self._axes @ np.array([(u - 0.5) / self._scale, (0.5 - v) / self._scale, -1.0])
        along = (height - self._position[2]) / min(direction[2], -1e-6)
        x, y, _ = self._position + along * direction
        return float(x), float(y)

    def fingertips(self, state: np.ndarray) -> np.ndarray:
        """(3,) [m] between the closed fingertips, of joint positions (A,) [rad]."""
        frames = self._kinematics.frames(np.asarray(state, float)[None])
        tip = np.append(self._geometry.tip_position, 1.0)
        return frames[:, 0, self._tip] @ tip
