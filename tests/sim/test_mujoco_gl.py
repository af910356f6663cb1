"""OpenGL's back end is chosen before mujoco is imported, in a fresh process without a display."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ideomotor.sim.rendering.render import backend

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("control", "datasets", "eval", "launch", "sim", "train", "vla", "benchmarks")
IMPORT_IT = {"mink", "dm_control", "metaworld", "robosuite"}
DRAW = """
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom size=".3"/></worldbody></mujoco>'
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 48) as renderer:
    renderer.update_scene(data)
    print("drawn", renderer.render().max() > 50)
"""
needs_opengl = pytest.mark.skipif(backend() == "raycast", reason="there is no OpenGL here")


def fresh(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    away = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "IDEOMOTOR_MUJOCO_GL")
    clean = {name: value for name, value in os.environ.items() if name not in away}
    return subprocess.run(
        [sys.executable, "-P", "-c", code], env=clean | environment, capture_output=True, text=True
    )


@needs_opengl
@pytest.mark.parametrize(
    "first",
    ["ideomotor.sim.environments.external", "ideomotor.sim.environments.gym_env", "ideomotor.sim.motion"],
)
def test_an_environment_that_draws_with_mujocos_renderer_works_without_a_display(first):
    done = fresh(f"import {first}\nimport mujoco\n{DRAW}")
    assert done.stdout == "drawn True\n", done.stderr
    refused = fresh(f"import mujoco\n{DRAW}")
    assert "Error" in refused.stderr  # what mujoco alone does, else nothing is shown by this


@needs_opengl
def test_our_pictures_and_theirs_come_from_the_same_process(tmp_path):
    ours = (
        "from ideomotor.sim.open_world import task_world\n"
        "import mujoco\n"
        "world = task_world('reach', 0)\n"
        "print('ours', world.observe().images['front'].max() > 50)\n"
    )
    done = fresh(f"{ours}{DRAW}print('again', world.observe().images['wrist'].max() > 50)\nworld.close()")
    assert done.stdout == "ours True\ndrawn True\nagain True\n", done.stderr
    assert done.returncode == 0 and done.stderr == ""


@needs_opengl
def test_a_child_takes_over_what_its_parent_chose():
    code = (
        "import os, subprocess, sys, ideomotor.sim.world\n"
        "inner = 'import os, ideomotor.sim.rendering.render as r; '"
        "'print(os.environ[\"MUJOCO_GL\"], r.backend())'\n"
        "print(os.environ['MUJOCO_GL'], flush=True)\n"
        "subprocess.run([sys.executable, '-P', '-c', inner], check=True)\n"
    )
    done = fresh(code)
    (ours, *child) = done.stdout.split()
    assert child == [ours, ours] and ours in ("egl", "osmesa"), done.stderr


def test_a_back_end_that_is_asked_for_and_does_not_work_is_one_line():
    code = (
        "from ideomotor.control.errors import UserError\n"
        "import ideomotor.sim.rendering.opengl as opengl\n"
        "def missing(): raise OSError('libOSMesa.so.8: not there')\n"
        "opengl.osmesa_context = missing\n"
        "try:\n"
        "    import ideomotor.sim.world\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    done = fresh(code, MUJOCO_GL="osmesa")
    why = "osmesa: libOSMesa.so.8: not there"
    said = f"MUJOCO_GL: 'osmesa' does not work here ({why}); unset it to use what does\n"
    assert done.stdout == said, done.stderr


def test_mujoco_is_imported_in_one_place_and_that_before_what_imports_it_too():
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if path.relative_to(ROOT) == Path("sim/rendering/mujoco_gl.py"):
            continue
        chosen = False
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            chosen = chosen or "ideomotor.sim.rendering.mujoco_gl" in names
            first = {name.split(".")[0] for name in names}
            assert "mujoco" not in first, (
                f"{path}: {ast.unparse(node)}: take it from ideomotor.sim.rendering.mujoco_gl"
            )
            if first & IMPORT_IT:
                assert chosen, f"{path}: {ast.unparse(node)}: import ideomotor.sim.rendering.mujoco_gl before"
