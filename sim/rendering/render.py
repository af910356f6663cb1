"""Camera images of a MuJoCo model, fast under software OpenGL and possible without any.

`backend()` decides once per process, by really drawing: EGL, then OSMesa, then the ray caster of
`sim/rendering/raycast.py`. `MUJOCO_GL=egl|osmesa` asks for one of the first two and `MUJOCO_GL=disable` for
the last; any other value leaves the choice to us. The pixels of the ray caster differ from OpenGL's, so
whoever reports a result says which was in use (`backend_report()`).

What makes it fast: one OpenGL context per process, no shadow map (38 of the 41 ms that MuJoCo's own
context costs per model), no shadows, multisampling or reflections, and fewer facets (software OpenGL
spends its time on vertices: with 60 round geoms, 28x16 facets cost 3.7 times as much as 16x6). Boxes have
one facet a side, so the cone of a spotlight does not show on a table; directional lights lose nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.rendering.opengl import BACK_ENDS, chosen_by_us, context_of, does_not_work
from ideomotor.sim.rendering.raycast import RaycastRenderer, camera_id


class Renderer(Protocol):
    """Draws one model at one size. Several threads may draw, each with a renderer and data of its own."""

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray: ...  # (H, W, 3) uint8 RGB, a new array
    def close(self) -> None: ...


@dataclass(frozen=True)
class Quality:
    """What OpenGL is asked to do; the ray caster has only one quality."""

    shadow_map: int  # side [pixels], 0 for no shadows
    samples: int  # per pixel
    reflections: bool
    slices: int  # of a sphere or cylinder, around
    stacks: int  # of a sphere or cylinder, along
    quads: int  # per box edge


QUALITIES: Final = {
    "fast": Quality(shadow_map=0, samples=0, reflections=False, slices=16, stacks=6, quads=1),
    "high": Quality(shadow_map=1024, samples=4, reflections=True, slices=28, stacks=16, quads=4),
}


def make_renderer(model: mujoco.MjModel, height: int, width: int, quality: str = "fast") -> Renderer:
    """A renderer of `model` with the backend of this process; close it when done.

    The model is left as it was, and is read again at every frame (colours, lights, cameras may change;
    textures are uploaded here, once).

    Args:
        quality: "fast", or "high" (shadows, 4x multisampling, reflections).

    Raises:
        UserError: no such quality, or `MUJOCO_GL` asks for a backend that does not work.
    """
    if quality not in QUALITIES:
        raise unknown_name("quality", quality, QUALITIES)
    if backend() == "raycast":
        return RaycastRenderer(model, height, width)
    return OpenGLRenderer(model, height, width, QUALITIES[quality])


def backend() -> str:
    """What draws in this process: "egl", "osmesa" or "raycast"."""
    return _choice()[0]


def backend_report() -> str:
    """One line on what draws here and why, e.g. "egl (llvmpipe (LLVM 15.0.6, 256 bits))"."""
    name, why = _choice()
    return f"{name} ({why})"


class OpenGLRenderer:
    """MuJoCo's own OpenGL renderer with only the work that a camera image needs."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int, quality: Quality):
        self._context = context_of(backend(), os.getpid())
        self._model = model
        with self._context.current(), _visual_settings(model, height, width, quality):
            self._mujoco_context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        self._scene = mujoco.MjvScene(model, maxgeom=2 * model.ngeom + 100)
        self._scene.flags[:] = 0
        flags = mujoco.mjtRndFlag
        self._scene.flags[int(flags.mjRND_CULL_FACE)] = True
        self._scene.flags[int(flags.mjRND_SHADOW)] = quality.shadow_map > 0
        self._scene.flags[int(flags.mjRND_REFLECTION)] = quality.reflections
        self._scene.flags[int(flags.mjRND_SKYBOX)] = _has_skybox(model)
        self._option = mujoco.MjvOption()
        self._perturbation = mujoco.MjvPerturb()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)  # bottom row first

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """The image of a named camera, (H, W, 3) uint8 RGB, as a new array.

        Raises:
            UserError: the model has no such camera.
        """
        index = camera_id(self._model, camera)
        with self._context.current():
            self._camera.fixedcamid = index
            mujoco.mjv_updateScene(
                self._model,
                data,
                self._option,
                self._perturbation,
                self._camera,
                mujoco.mjtCatBit.mjCAT_ALL.value,
                self._scene,
            )
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._mujoco_context)
            mujoco.mjr_render(self._rectangle, self._scene, self._mujoco_context)
            mujoco.mjr_readPixels(self._pixels, None, self._rectangle, self._mujoco_context)
            return self._pixels[::-1].copy()

    def close(self) -> None:
        """Frees the model's share of the GPU or driver memory; may be called twice."""
        mujoco_context = getattr(self, "_mujoco_context", None)  # absent when the constructor failed
        if mujoco_context is not None:
            with self._context.current():
                mujoco_context.free()
            self._mujoco_context = None

    def __del__(self):
        with suppress(OSError):  # at exit, another user of EGL may already have ended the driver
            self.close()


@cache
def _choice() -> tuple[str, str]:
    """The backend of this process and why."""
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's own threads only cost at these image sizes
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in ("disable", "disabled", "off", "false", "0"):
        return "raycast", f"MUJOCO_GL={asked}"
    names = [asked] if asked in BACK_ENDS and not chosen_by_us(asked) else list(BACK_ENDS)
    failures = []
    for name in names:
        os.environ["MUJOCO_GL"] = name  # MuJoCo looks up OpenGL's functions by it
        try:
            context = context_of(name, os.getpid())
            with context.current():
                mujoco.MjrContext(mujoco.MjSpec().compile(), 50).free()
            return name, context.driver
        except (OSError, mujoco.FatalError) as error:
            failures.append(f"{name}: {error}")
    if asked in names and not chosen_by_us(asked):
        raise does_not_work(asked, failures[0])
    os.environ["MUJOCO_GL"] = asked
    return "raycast", "; ".join(failures)


@contextmanager
def _visual_settings(model: mujoco.MjModel, height: int, width: int, quality: Quality) -> Iterator[None]:
    """Sets what MuJoCo reads while it makes its context, and puts the model's own values back."""
    settings = [
        (model.vis.global_, "offheight", height),
        (model.vis.global_, "offwidth", width),
        (model.vis.quality, "shadowsize", quality.shadow_map),
        (model.vis.quality, "offsamples", quality.samples),
        (model.vis.quality, "numslices", quality.slices),
        (model.vis.quality, "numstacks", quality.stacks),
        (model.vis.quality, "numquads", quality.quads),
    ]
    before = [(owner, field, getattr(owner, field)) for owner, field, _ in settings]
    for owner, field, value in settings:
        setattr(owner, field, value)
    try:
        yield
    finally:
        for owner, field, value in before:
            setattr(owner, field, value)


def _has_skybox(model: mujoco.MjModel) -> bool:
    return bool((model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX.value).any())
