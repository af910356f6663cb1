"""Camera images without any OpenGL: one ray per pixel through MuJoCo's own collision geometry.

`mj_multiRay` finds the nearest geom and its normal, numpy does the shading: ambient plus Lambert's
cosine for the headlight and every light of the model. No textures (a textured material shows its mean
colour), shadows, highlights or skybox. It is what draws where neither EGL nor OSMesa exists.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.sim.rendering.mujoco_gl import mujoco

_VISIBLE_GROUPS = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # MuJoCo's default view


class RaycastRenderer:
    """Draws one model at one size, with the interface of `sim/rendering/render.py`."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int):
        self._model = model
        self._height = height
        self._width = width
        pixels = height * width
        self._geom = np.empty(pixels, np.int32)
        self._distance = np.empty(pixels, np.float64)
        self._normal = np.empty((pixels, 3), np.float64)
        self._rays: dict[float, np.ndarray] = {}  # by field of view [deg]
        self._texture_colors = _texture_colors(model)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """The image of a named camera, (H, W, 3) uint8 RGB, as a new array.

        Raises:
            UserError: the model has no such camera.
        """
        model = self._model
        index = camera_id(model, camera)
        origin = data.cam_xpos[index]
        rays = self._camera_rays(float(model.cam_fovy[index])) @ data.cam_xmat[index].reshape(3, 3).T
        mujoco.mj_multiRay(
            model,
            data,
            origin,
            rays.reshape(-1),
            _VISIBLE_GROUPS,
            1,  # static geoms too
            -1,  # no body excluded
            self._geom,
            self._distance,
            self._normal.reshape(-1),
            len(rays),
            1e3,  # [m]
        )
        hit = np.flatnonzero(self._geom >= 0)
        geoms = self._geom[hit]
        points = origin + rays[hit] * self._distance[hit, None]
        ahead = -data.cam_xmat[index].reshape(3, 3)[:, 2]
        light = self._light(data, points, self._normal[hit], ahead)
        image = np.zeros((len(rays), 3))  # black where nothing is, as OpenGL leaves it
        image[hit] = self._geom_colors()[geoms] * light
        return (image.clip(0, 1) * 255).astype(np.uint8).reshape(self._height, self._width, 3)

    def close(self) -> None:
        """Nothing to free."""

    def _camera_rays(self, fovy_deg: float) -> np.ndarray:
        """Unit rays through the pixels' centres in the camera's frame (x right, y up, -z ahead), (H*W, 3)."""
        if fovy_deg not in self._rays:
            half = np.tan(np.deg2rad(fovy_deg) / 2)
            up = (1 - (np.arange(self._height) + 0.5) * 2 / self._height) * half
            right = ((np.arange(self._width) + 0.5) * 2 / self._width - 1) * half * self._width / self._height
            x, y = np.meshgrid(right, up)
            rays = np.stack([x, y, -np.ones_like(x)], axis=-1).reshape(-1, 3)
            self._rays[fovy_deg] = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return self._rays[fovy_deg]

    def _light(
        self, data: mujoco.MjData, points: np.ndarray, normals: np.ndarray, ahead: np.ndarray
    ) -> np.ndarray:
        """Light that reaches each point, (N, 3) float32, 1 for full."""
        model = self._model
        total = np.zeros((len(points), 3), np.float32)
        headlight = model.vis.headlight
        if headlight.active:
            facing = -(normals @ ahead)  # a directional light along the camera's axis, as in OpenGL
            total += headlight.ambient + facing.clip(min=0)[:, None] * headlight.diffuse
        for i in np.flatnonzero(model.light_active):
            if int(model.light_type[i]) == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL.value:
                facing = -(normals @ data.light_xdir[i])
            else:
                toward = data.light_xpos[i] - points
                facing = np.einsum("ij,ij->i", normals, toward) / np.linalg.norm(toward, axis=-1)
            total += model.light_ambient[i] + facing.clip(min=0)[:, None] * model.light_diffuse[i]
        return total

    def _geom_colors(self) -> np.ndarray:
        """Colour of every geom, (ngeom, 3): its own where one was set, else its material's."""
        model = self._model
        unset = (model.geom_matid >= 0) & (model.geom_rgba == (0.5, 0.5, 0.5, 1.0)).all(axis=1)
        if not unset.any():
            return model.geom_rgba[:, :3]
        material_colors = model.mat_rgba[:, :3] * self._texture_colors
        return np.where(unset[:, None], material_colors[model.geom_matid], model.geom_rgba[:, :3])


def camera_id(model: mujoco.MjModel, name: str) -> int:
    """The index of a camera in the model.

    Raises:
        UserError: the model has no such camera.
    """
    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA.value, name)
    if index < 0:
        raise unknown_name("camera", name, [model.camera(i).name for i in range(model.ncam)])
    return index


def _texture_colors(model: mujoco.MjModel) -> np.ndarray:
    """Mean colour of every material's texture, (nmat, 3) float32, ones where it has none."""
    colors = np.ones((model.nmat, 3), np.float32)
    role = mujoco.mjtTextureRole.mjTEXROLE_RGB.value
    for material, texture in enumerate(model.mat_texid[:, role]):
        if texture >= 0:
            channels = model.tex_nchannel[texture]
            size = model.tex_height[texture] * model.tex_width[texture] * channels
            start = model.tex_adr[texture]
            texels = model.tex_data[start : start + size].reshape(-1, channels)
            colors[material] = texels.mean(axis=0)[:3] / 255
    return colors
