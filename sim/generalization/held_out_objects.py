"""Colours and shapes that no demonstration and no scene of training has, for `sim/generalization/axes.py`.

They are graspable objects whose height is twice their `half`, like those of training, so that layouts,
experts and judges treat them alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ideomotor.sim.rendering.mujoco_gl import mujoco

HELD_OUT_COLOURS = {
    "pink": (0.96, 0.50, 0.72),
    "brown": (0.36, 0.20, 0.09),
    "turquoise": (0.08, 0.76, 0.78),
    "black": (0.05, 0.05, 0.06),
    "white": (0.95, 0.95, 0.95),
    "lime": (0.62, 0.92, 0.30),
}


@dataclass(frozen=True)
class HeldOutShape:
    """A shape, in units of its half height."""

    radius: float  # of the circle on the table that contains it
    symmetry: float  # turned by this about the vertical it is the same again [rad]
    grasp: float  # direction in its frame in which the fingers close on it best [rad]
    add: Callable[..., None]  # (body, half [m], density [kg/m³], rgba, friction)


def _add_prism(body: mujoco.MjsBody, half: float, **surface) -> None:
    """Upright, six sides: exactly the union of three boxes, which rest on others better than a mesh does."""
    apothem, side = half * np.cos(np.pi / 6), half / 2
    for turn in np.pi / 3 * np.arange(3):
        quaternion = (np.cos(turn / 2), 0, 0, np.sin(turn / 2))
        size = (apothem, side, half)
        _add(body, mujoco.mjtGeom.mjGEOM_BOX, size, quaternion, share=0.5, condim=4, **surface)


def _add_egg(body: mujoco.MjsBody, half: float, **surface) -> None:
    """An ellipsoid lying on its side."""
    _add(body, mujoco.mjtGeom.mjGEOM_ELLIPSOID, (1.5 * half, 0.9 * half, half), **_rolling(surface))


def _add_capsule(body: mujoco.MjsBody, half: float, **surface) -> None:
    """Lying along its own x axis."""
    along_x = (np.sqrt(0.5), 0, np.sqrt(0.5), 0)
    _add(body, mujoco.mjtGeom.mjGEOM_CAPSULE, (half, 0.8 * half, 0), along_x, **_rolling(surface))


def _rolling(surface: dict) -> dict:
    """With a friction against rolling, as a ball of training has."""
    sliding, turning, _ = surface["friction"]
    return {**surface, "friction": (sliding, turning, 0.002), "condim": 6}


def _add(
    body: mujoco.MjsBody, kind: int, size: tuple, quaternion: tuple = (1, 0, 0, 0), *, density: float,
    share: float = 1.0, **surface,
) -> None:  # fmt: skip
    body.add_geom(type=kind, size=size, quat=quaternion, density=density * share, **surface)


# Rising difference from cube, cylinder and ball, by length over width.
HELD_OUT_SHAPES = {
    "prism": HeldOutShape(radius=1.0, symmetry=np.pi / 3, grasp=0.0, add=_add_prism),
    "egg": HeldOutShape(radius=1.5, symmetry=np.pi, grasp=np.pi / 2, add=_add_egg),
    "capsule": HeldOutShape(radius=1.8, symmetry=np.pi, grasp=np.pi / 2, add=_add_capsule),
}
