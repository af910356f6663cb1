"""ALOHA as a preset: two arms, two grippers, three cameras; experts that solve both tasks."""

import numpy as np
import pytest

pytest.importorskip("gym_aloha", reason="gym-aloha's models are not here: make aloha")

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Command
from ideomotor.sim.environments.aloha import AlohaEnv, _insertion, _transfer
from ideomotor.sim.environments.external import ExternalWorld, check_seeding

BODY = load_embodiment("aloha")


def solved(task: str, seed: int) -> tuple[ExternalWorld, np.ndarray]:
    world = ExternalWorld(task, seed, BODY)
    targets, commands = world.expert(), []
    while not world.success and world.tick < world.max_ticks:
        commands.append(next(targets))
        world.step(Command(world.tick, commands[-1]))
    return world, np.array(commands)


@pytest.mark.parametrize("task", ["transfer_cube", "insertion"])
def test_experts_solve_both_tasks_the_same_way_each_time(task):
    check_seeding(BODY, task)
    world, commands = solved(task, 1_000_001)
    assert world.success
    assert (commands >= BODY.lower - 1e-9).all() and (commands <= BODY.upper + 1e-9).all()
    world.close()
    again, repeated = solved(task, 1_000_001)
    assert np.array_equal(commands, repeated)
    again.close()


def test_it_has_two_arms_two_grippers_and_three_cameras():
    world = ExternalWorld("transfer_cube", 3, BODY)
    seen = world.observe()
    assert BODY.grippers == ("left_arm_gripper", "right_arm_gripper") and len(BODY.joints) == 14
    assert list(seen.images) == ["top", "left_wrist", "right_wrist"]
    assert {image.shape for image in seen.images.values()} == {(96, 96, 3)}
    assert np.allclose(seen.state, BODY.home, atol=1e-2)
    target = np.array(BODY.home)
    target[[0, 6, 13]] = 0.3, 1.0, 0.5
    for _ in range(40):
        world.step(Command(world.tick, target))
    assert np.allclose(world.state().position, target, atol=0.05)
    assert not np.array_equal(world.observe().images["left_wrist"], seen.images["left_wrist"])
    _, u, v = world.keypoints()["target"]
    red = world.observe().images["top"][int(v * 96), int(u * 96)].astype(int)
    assert red[0] > 2 * red[1] and red[0] > 2 * red[2]  # the cube is where it is said to be
    world.close()


def test_rewards_are_those_of_the_published_tasks():
    def pairs(*named: tuple[str, str]) -> set[frozenset[str]]:
        return {frozenset(pair) for pair in named}

    left, right = (f"vx300s_{side}/10_{side}_gripper_finger" for side in ("left", "right"))
    table = ("red_box", "table")
    rewards = [_transfer(pairs(*p)) for p in ((table,), (table, ("red_box", right)), (("red_box", right),))]
    assert rewards == [0, 1, 2]
    assert [_transfer(pairs(table, ("red_box", left))), _transfer(pairs(("red_box", left)))] == [3, 4]
    held = (("red_peg", right), ("socket-2", left))
    assert _insertion(pairs(*held, ("red_peg", "table"))) == 1 and _insertion(pairs(*held)) == 2
    assert _insertion(pairs(*held, ("red_peg", "socket-1"))) == 3
    assert _insertion(pairs(*held, ("red_peg", "pin"))) == 4


def test_reference_pictures_are_larger_and_have_shadows():
    env = AlohaEnv("insertion", pictures="reference", height=240, width=320)
    seen, info = env.reset(seed=0)
    assert seen["pixels"]["top"].shape == (240, 320, 3) and info["is_success"] is False
    env.close()


def test_an_episode_in_which_the_simulation_gives_up_is_over(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes MUJOCO_LOG.TXT where it warns
    world = ExternalWorld("transfer_cube", 0, BODY)
    inner = world.env.unwrapped
    assert isinstance(inner, AlohaEnv)
    inner.data.qvel[11] = 1e30
    world.step(Command(0, BODY.home_position))
    before = world.state().position
    monkeypatch.setattr(world.env, "step", lambda action: pytest.fail("it has ended"))
    world.step(Command(1, BODY.home_position))
    assert world.tick == 2 and world.success is False and np.array_equal(world.state().position, before)
    world.close()
