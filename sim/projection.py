"""Where a camera of a simulated scene sees a point."""

from __future__ import annotations

import numpy as np

from ideomotor.sim.rendering.mujoco_gl import mujoco


def project(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, point: np.ndarray
) -> tuple[float, float]:
    """Image coordinates (u to the right, v down, in [0, 1] inside a square picture) of a point [m]."""
    view = data.camera(camera)
    right, up, back = view.xmat.reshape(3, 3).T
    offset = np.asarray(point) - view.xpos
    depth = -float(offset @ back)
    scale = 0.5 / (np.tan(np.radians(model.camera(camera).fovy[0]) / 2) * max(depth, 1e-6))
    return 0.5 + float(offset @ right) * scale, 0.5 - float(offset @ up) * scale
