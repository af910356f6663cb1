"""Every backend that this machine offers shows the same scene, and there is always one that works."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading

import mujoco
import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.sim.rendering.opengl import OURS
from ideomotor.sim.rendering.raycast import RaycastRenderer
from ideomotor.sim.rendering.render import OpenGLRenderer, backend, backend_report, make_renderer

CAMERAS = ("front", "top")
OBJECTS = {"box": (0.9, 0.1, 0.1), "ball": (0.1, 0.9, 0.1), "can": (0.1, 0.1, 0.9)}  # colours
ENV = {"egl": "egl", "osmesa": "osmesa", "raycast": "disable"}  # values of MUJOCO_GL
SIZE = 96


def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Three objects in pure colours on a grey table."""
    spec = mujoco.MjSpec()
    spec.visual.headlight.specular = (0, 0, 0)
    spec.worldbody.add_light(
        pos=(0, 0, 2), dir=(-0.3, 0.2, -0.9), type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, specular=(0, 0, 0)
    )
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.4, 0.4, 0.02), pos=(0, 0, -0.02), rgba=(0.5, 0.5, 0.45, 1)
    )
    shapes = {
        "box": (mujoco.mjtGeom.mjGEOM_BOX, (0.04, 0.05, 0.03), (0.1, 0.12, 0.03)),
        "ball": (mujoco.mjtGeom.mjGEOM_SPHERE, (0.05, 0, 0), (-0.1, 0.05, 0.05)),
        "can": (mujoco.mjtGeom.mjGEOM_CYLINDER, (0.04, 0.05, 0), (0.05, -0.15, 0.05)),
    }
    for name, (kind, size, position) in shapes.items():
        spec.worldbody.add_geom(name=name, type=kind, size=size, pos=position, rgba=(*OBJECTS[name], 1))
    spec.worldbody.add_camera(name="front", pos=(0.6, 0, 0.6), xyaxes=(0, 1, 0, -0.7, 0, 0.7), fovy=50)
    spec.worldbody.add_camera(name="top", pos=(0, 0, 0.8), xyaxes=(0, -1, 0, 1, 0, 0), fovy=50)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh process, since a process decides on its backend once."""
    chosen = ("MUJOCO_GL", OURS, "PYOPENGL_PLATFORM")
    clean = {key: value for key, value in os.environ.items() if key not in chosen}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True
    )


@functools.cache
def pictures(name: str) -> dict[str, np.ndarray]:
    """{camera: image} as backend `name` draws them; skips the test where it does not work."""
    if name == backend():
        model, data = scene()
        renderer = make_renderer(model, SIZE, SIZE)
        images = {camera: renderer.render(data, camera) for camera in CAMERAS}
        renderer.close()
        return images
    drawn = run_python(
        # MUJOCO_GL only after mujoco's import, which itself fails where it names a missing library
        f"import importlib.util, os, sys, mujoco\n"
        f"os.environ['MUJOCO_GL'] = {ENV[name]!r}\n"
        f"spec = importlib.util.spec_from_file_location('scenes', {__file__!r})\n"
        f"scenes = importlib.util.module_from_spec(spec); spec.loader.exec_module(scenes)\n"
        f"assert scenes.backend() == {name!r}\n"
        f"sys.stdout.write(b''.join(i.tobytes() for i in scenes.pictures({name!r}).values()).hex())"
    )
    if "does not work here" in drawn.stderr:
        pytest.skip(f"no {name} on this machine")
    assert drawn.returncode == 0, drawn.stderr
    pixels = np.frombuffer(bytes.fromhex(drawn.stdout), np.uint8)
    return dict(zip(CAMERAS, pixels.reshape(len(CAMERAS), SIZE, SIZE, 3), strict=True))


def mask(image: np.ndarray, name: str) -> np.ndarray:
    """Where an object's own colour channel stands out, (H, W) bool."""
    channel = int(np.argmax(OBJECTS[name]))
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    return image[:, :, channel] > 2 * others + 8


def grown(region: np.ndarray) -> np.ndarray:
    """The region and every pixel that touches it."""
    padded = np.pad(region, 1)
    shifts = [(row, column) for row in range(3) for column in range(3)]
    return np.any([padded[r : r + region.shape[0], c : c + region.shape[1]] for r, c in shifts], axis=0)


@pytest.mark.parametrize("name", ENV)
@pytest.mark.parametrize("camera", CAMERAS)
def test_an_object_is_seen_where_its_projection_says(name: str, camera: str):
    model, data = scene()
    index = model.camera(camera).id
    for thing in OBJECTS:
        offset = data.cam_xmat[index].reshape(3, 3).T @ (data.geom(thing).xpos - data.cam_xpos[index])
        focal = SIZE / 2 / np.tan(np.deg2rad(model.cam_fovy[index]) / 2)  # [pixels]
        column, row = SIZE / 2 + focal * np.array([offset[0], -offset[1]]) / -offset[2]
        rows, columns = np.nonzero(mask(pictures(name)[camera], thing))
        assert len(rows) > 50
        assert np.hypot(rows.mean() + 0.5 - row, columns.mean() + 0.5 - column) < 1.5, thing


@pytest.mark.parametrize("name", ["egl", "osmesa"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_the_ray_caster_agrees_with_opengl_to_a_pixel(name: str, camera: str):
    ours, theirs = pictures("raycast")[camera], pictures(name)[camera]
    for thing in OBJECTS:
        assert not (mask(ours, thing) & ~grown(mask(theirs, thing))).any(), thing
        assert not (mask(theirs, thing) & ~grown(mask(ours, thing))).any(), thing
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert np.median(difference) <= 2  # same lights, same colours
    assert difference.mean() < 6


def test_a_broken_opengl_falls_through_and_says_so(tmp_path):
    for library in ("libEGL.so.1", "libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        (tmp_path / library).write_text("not a library")
    ask = "from ideomotor.sim.rendering.render import backend_report; print(backend_report())"
    said = run_python(ask, LD_LIBRARY_PATH=str(tmp_path))
    assert said.stdout.startswith("raycast (egl: "), said.stderr
    assert "osmesa: " in said.stdout


def test_a_backend_that_was_asked_for_and_does_not_work_is_refused():
    pictures("egl")  # or skip
    ask = "from ideomotor.sim.rendering.render import backend; backend()"
    said = run_python(ask, MUJOCO_GL="egl", MUJOCO_EGL_DEVICE_ID="99")
    assert (
        "UserError: MUJOCO_GL: 'egl' does not work here (egl: EGL: MUJOCO_EGL_DEVICE_ID is '99'"
        in said.stderr
    )


def test_a_failed_egl_leaves_osmesa_usable(tmp_path):
    pictures("osmesa")  # or skip
    (tmp_path / "libEGL.so.1").write_text("not a library")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("LD_LIBRARY_PATH")]))
    ask = "from ideomotor.sim.rendering.render import backend_report; print(backend_report())"
    assert run_python(ask, LD_LIBRARY_PATH=path).stdout.startswith("osmesa")


def test_what_draws_is_said():
    assert backend() in ENV
    assert backend_report().startswith(backend() + " (")


@pytest.mark.parametrize("kind", ["backend", "raycast"])
def test_images_are_independent_arrays_and_repeat_to_the_bit(kind: str):
    model, data = scene()
    renderer = make_renderer(model, 48, 64) if kind == "backend" else RaycastRenderer(model, 48, 64)
    first = renderer.render(data, "front")
    kept = first.copy()
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8 and first.flags.c_contiguous
    assert not np.array_equal(renderer.render(data, "top"), kept)
    assert np.array_equal(first, kept)
    assert np.array_equal(renderer.render(data, "front"), kept)
    with pytest.raises(UserError, match="camera: unknown name 'fromt'; did you mean 'front'"):
        renderer.render(data, "fromt")
    renderer.close()
    renderer.close()


def test_renderers_of_several_models_sizes_and_qualities_do_not_disturb_each_other():
    model, data = scene()
    expected = make_renderer(model, SIZE, SIZE).render(data, "front")
    renderer = make_renderer(model, SIZE, SIZE)
    others = [make_renderer(*args) for args in [(model, 200, 300, "high"), (scene()[0], 32, 32)]]
    for other in others:
        other.render(data, "top")
        assert np.array_equal(renderer.render(data, "front"), expected)
        other.close()
        assert np.array_equal(renderer.render(data, "front"), expected)


def test_the_model_is_left_as_it_was():
    model, data = scene()
    before = [(model.vis.quality.shadowsize, model.vis.quality.offsamples, model.vis.quality.numslices)]
    before += [(model.vis.global_.offheight, model.light_castshadow.copy())]
    make_renderer(model, SIZE, SIZE).render(data, "front")
    assert before[0] == (
        model.vis.quality.shadowsize,
        model.vis.quality.offsamples,
        model.vis.quality.numslices,
    )
    assert before[1] == (model.vis.global_.offheight, model.light_castshadow)


def test_high_quality_adds_shadows_and_smooth_edges():
    model, data = scene()
    renderer = make_renderer(model, SIZE, SIZE, "high")
    if not isinstance(renderer, OpenGLRenderer):
        pytest.skip("the ray caster has one quality")
    high = renderer.render(data, "top").astype(int)
    fast = make_renderer(model, SIZE, SIZE).render(data, "top").astype(int)
    assert (high.sum(axis=2) < fast.sum(axis=2) - 60).sum() > 100  # pixels in shadow
    assert len(np.unique(high.reshape(-1, 3), axis=0)) > len(np.unique(fast.reshape(-1, 3), axis=0))
    with pytest.raises(UserError, match="quality: unknown name 'hihg'; did you mean 'high'"):
        make_renderer(model, SIZE, SIZE, "hihg")


def test_threads_may_draw_at_the_same_time():
    model, data = scene()
    expected = make_renderer(model, SIZE, SIZE).render(data, "front")
    results = []

    def draw():
        model, data = scene()
        renderer = make_renderer(model, SIZE, SIZE)
        results.extend(np.array_equal(renderer.render(data, "front"), expected) for _ in range(20))
        renderer.close()

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 60 and all(results)
