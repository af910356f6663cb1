"""Meta-World on our mujoco: seeded, solved by its experts, seen as the protocol says."""

from importlib import import_module

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="metaworld is not installed: make metaworld")

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Command
from ideomotor.eval.policy_spec import load_policy
from ideomotor.eval.rollout import rollout
from ideomotor.sim.environments.external import ExternalWorld, check_seeding
from ideomotor.sim.environments.metaworld import MetaWorldEnv, expert
from ideomotor.vla.checkpoint_info import bundled_checkpoint

BODY = load_embodiment("metaworld")
LEVELS = {"easy": 28, "medium": 11, "hard": 6, "very hard": 5}


def solved(task: str, seed: int) -> ExternalWorld:
    world = ExternalWorld(task, seed, BODY)
    targets = world.expert()
    while not world.success and world.tick < world.max_ticks:
        world.step(Command(world.tick, next(targets)))
    return world


def test_the_file_names_metaworlds_tasks_in_the_published_levels():
    where = BODY.environment
    assert where is not None
    assert {task.name for task in where.tasks} == set(import_module("metaworld.env_dict").ALL_V3_ENVIRONMENTS)
    levels = [task.level for task in where.tasks]
    assert {level: levels.count(level) for level in LEVELS} == LEVELS


@pytest.mark.parametrize("task", ["reach-v3", "pick-place-v3", "drawer-open-v3"])
def test_experts_solve_tasks_the_same_way_each_time(task):
    worlds = [solved(task, 5) for _ in range(2)]
    assert worlds[0].success and worlds[0].tick == worlds[1].tick
    assert np.array_equal(*(world.state().position for world in worlds))
    assert np.array_equal(*(world.observe().images["corner2"] for world in worlds))
    for world in worlds:
        world.close()


def test_the_bundled_policy_closes_a_drawer():
    """What it did in all ten episodes of its evaluation."""
    world = ExternalWorld("drawer-close-v3", 1_000_000, BODY)
    result = rollout(world, load_policy(bundled_checkpoint("metaworld"), "metaworld"))
    world.close()
    assert result.success and result.seconds < 2.0


def test_a_seed_alone_decides_where_things_are():
    check_seeding(BODY, "push-v3")  # whose state, the hand, always starts at the same place


def test_fast_pictures_show_what_reference_pictures_show():
    pictures = []
    for kind in ("fast", "reference"):
        env = MetaWorldEnv("reach-v3", kind, size=96)
        env.reset(seed=1)
        pictures.append(env.render().astype(float).mean(axis=2))
        env.close()
    same, flipped, mirrored = (
        np.corrcoef(pictures[0].ravel(), other.ravel())[0, 1]
        for other in (pictures[1], pictures[1][::-1], pictures[1][:, ::-1])
    )
    assert same > 0.8 > max(flipped, mirrored) + 0.2


def test_the_arm_hangs_into_the_picture_from_above():
    """Turned by 180 degrees: as Meta-World gives it, the red arm stands on its head."""
    env = MetaWorldEnv("reach-v3", size=96)
    env.reset(seed=0)
    picture = env.render().astype(int)
    env.close()
    red = picture[..., 0] > 2 * picture[..., 1:].max(axis=2) + 20
    assert red[:48].sum() > red[48:].sum() and red[:, :48].sum() > red[:, 48:].sum()


@pytest.mark.parametrize(("task", "colour"), [("reach-v3", 0), ("pick-place-v3", 2)])
def test_goals_are_pointed_at_where_the_very_first_picture_shows_them(task, colour):
    for seed in range(3):  # the goal is a red ball in one task, a blue one in the other
        world = ExternalWorld(task, seed, BODY)
        picture = world.render("corner2").astype(int)
        camera, u, v = world.keypoints()["place"]
        row, column = int(v * len(picture)), int(u * len(picture))
        around = picture[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3)
        others = np.delete(around, colour, axis=1).max(axis=1)
        assert camera == "corner2" and (around[:, colour] - others).max() > 100, (seed, around)
        world.close()


def test_only_experts_see_the_goal():
    world = ExternalWorld("reach-v3", 0, BODY)
    assert world.observe().state.shape == (4,)
    world.close()
    env = MetaWorldEnv("reach-v3")
    seen, _ = env.reset(seed=0)
    goal = seen["everything"][-3:]
    assert np.abs(goal - env.inner._target_pos).max() < 1e-9 and goal.any()
    assert np.abs(expert(env)(seen)).max() <= 1.0
    env.close()
