"""LIBERO on our mujoco: its states, its motion to the bit, its goals, solved by our experts."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("libero.libero", reason="LIBERO is not installed: make libero")

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Command
from ideomotor.sim.environments.external import ExternalWorld, check_seeding
from ideomotor.sim.environments.libero import scene
from ideomotor.sim.environments.libero.env import CAMERAS, WAIT, WARM_UP, LiberoEnv

# Of robosuite and what it needs, none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")
TASK, SUITE, INDEX, STATE = "spatial-2", "libero_spatial", 2, 3


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDEOMOTOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(scene, "DRAWS", 4)
        yield
    scene.load_scene.cache_clear()
    scene.load_model.cache_clear()


def test_the_files_name_liberos_tasks_in_its_words():
    benchmark: Any = import_module("libero.libero.benchmark")
    for suite, (name, count) in scene.SUITES.items():
        where = load_embodiment(f"libero_{suite}").environment
        theirs = benchmark.get_benchmark(name)(task_order_index=0)
        assert where is not None and len(where.tasks) == count == theirs.get_num_tasks()
        for index, task in enumerate(where.tasks):
            assert (task.name, task.instruction) == (f"{suite}-{index}", theirs.get_task(index).language)


def test_the_arm_moves_as_robosuite_moves_it():
    ours = LiberoEnv(TASK)
    ours.reset(seed=1_000_000 + STATE)
    theirs = _theirs(ours)
    rng = np.random.default_rng(0)
    for _ in range(WARM_UP):
        theirs.step(WAIT)
    assert np.abs(theirs.sim.data.qpos - ours.data.qpos).max() < 1e-12
    for step in range(30):
        command = np.clip(rng.normal(size=7) * 0.5 - [0, 0, 0.3, 0, 0, 0, 0], -1, 1)
        command[3:6] *= step % 5 > 0  # without a turn the orientation is kept
        theirs.step(command)
        ours.step(command)
        assert theirs.check_success() == ours.goal.reached()
    assert np.abs(theirs.sim.data.qpos - ours.data.qpos).max() < 1e-5
    site = theirs.sim.data.site_xpos[theirs.env.robots[0].eef_site_id]
    assert np.abs(site - ours.data.site(ours.scene.facts["robot"]["grip_site"]).xpos).max() < 1e-5
    theirs.close()
    ours.close()


def _theirs(ours: LiberoEnv) -> Any:
    """LIBERO's own environment in the same state."""
    benchmark: Any = import_module("libero.libero.benchmark")
    paths: Any = import_module("libero.libero").get_libero_path
    wrapper: Any = import_module("libero.libero.envs.env_wrapper")
    suite = benchmark.get_benchmark(SUITE)(task_order_index=0)
    task = suite.get_task(INDEX)
    env = wrapper.ControlEnv(
        bddl_file_name=str(Path(paths("bddl_files")) / task.problem_folder / task.bddl_file),
        has_offscreen_renderer=False,
        use_camera_obs=False,
    )
    env.seed(STATE)
    env.reset()
    model, facts = env.sim.model._model, ours.scene.facts
    for name in facts["fixtures"]:
        body = facts["things"][name]["body"]
        model.body(body).pos, model.body(body).quat = ours.model.body(body).pos, ours.model.body(body).quat
    env.set_init_state(suite.get_task_init_states(INDEX)[STATE])
    return env


def test_an_expert_solves_a_task_the_same_way_each_time():
    worlds = []
    for _ in range(2):
        world = ExternalWorld(TASK, 1_000_001, load_embodiment("libero"))
        targets = world.expert()
        while not world.success and world.tick < world.max_ticks:
            world.step(Command(world.tick, next(targets)))
        worlds.append(world)
    assert worlds[0].success and worlds[0].tick == worlds[1].tick < 200
    assert np.array_equal(*(world.state().position for world in worlds))
    for camera in CAMERAS:
        assert np.array_equal(*(world.render(camera) for world in worlds))
    for world in worlds:
        world.close()


def test_a_seed_alone_decides_where_things_are():
    check_seeding(load_embodiment("libero"), TASK)


def test_fast_pictures_show_what_reference_pictures_show():
    pictures = {}
    for kind in scene.PICTURES:
        env = LiberoEnv(TASK, pictures=kind, size=256)
        env.reset(seed=1_000_000)
        pictures[kind] = np.stack([env.render(camera) for camera in CAMERAS]).astype(float)
        env.close()
    apart = [np.abs(fast - full).mean() for fast, full in zip(*pictures.values(), strict=True)]
    assert max(apart) < 25 < np.abs(pictures["fast"][0] - pictures["reference"][1]).mean()


def test_axes_change_what_they_are_about_and_nothing_else():
    def begun(axis: str) -> tuple[LiberoEnv, np.ndarray, np.ndarray]:
        env = LiberoEnv(TASK)
        env.reset(seed=1_000_000, options={"axis": axis, "strength": 2} if axis else None)
        return env, env.render("image"), env.data.qpos.copy()

    plain, picture, places = begun("")
    for axis in ("lighting", "texture", "camera", "placement", "phrasing"):
        (env, other, moved), (again, same, _) = begun(axis), begun(axis)
        assert np.array_equal(other, same), axis
        assert np.array_equal(other, picture) == (axis == "phrasing"), axis
        arm, rest = moved[:9] - places[:9], moved[9:] - places[9:]
        if axis == "placement":
            assert np.abs(arm).max() < 0.05 and 0.02 < np.abs(rest).max() < 0.06
        else:
            assert np.array_equal(moved, places), axis
        env.close()
        again.close()
    plain.close()
