"""Where the things of a scene are and what the fingers touch, read from the simulator's state."""

from __future__ import annotations

import numpy as np

from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.scene_model import shapes_touching


class SceneTruth:
    """What tasks, experts and judges read (`task.SceneState`), but for the scene itself."""

    model: mujoco.MjModel
    data: mujoco.MjData  # with its kinematics up to date
    _fingers: set[int]  # of `scene_model.fingers_of`

    def position(self, name: str) -> np.ndarray:
        """(3,) [m] of a thing's body."""
        return self.data.body(name).xpos.copy()

    def yaw(self, name: str) -> float:
        """Of a thing about the vertical [rad]."""
        w, x, y, z = self.data.body(name).xquat
        return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))

    def speed(self, name: str) -> float:
        """Of a thing that can move freely [m/s]."""
        return float(np.linalg.norm(self.data.joint(name).qvel[:3]))

    def slide(self, name: str) -> float:
        """Displacement of a drawer or a button [m]."""
        return float(self.data.joint(name).qpos[0])

    def fingertips(self) -> np.ndarray:
        """(3,) [m], between them."""
        return self.data.site("gripper").xpos.copy()

    def holding(self, name: str) -> bool:
        """Whether both fingers touch a thing."""
        return len(shapes_touching(self.model, self.data, name, self._fingers)) == 2

    def touching(self, name: str) -> bool:
        """Whether a finger touches a thing."""
        return len(shapes_touching(self.model, self.data, name, self._fingers)) > 0
