"""Every environment passes Gymnasium's own checker, as its users will run it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ideomotor.sim.register as register
from ideomotor.sim.tasks import TASKS


def test_every_task_is_registered() -> None:
    assert set(register.NAMES) == set(TASKS)


@pytest.mark.parametrize("name", register.NAMES)
def test_passes_the_checker(name: str) -> None:
    env = gymnasium.make(f"ideomotor/{name.capitalize()}-v0", render_mode="rgb_array")
    check_env(env.unwrapped)
    env.close()


def test_is_seeded_to_the_bit_and_renders() -> None:
    first, second = (
        gymnasium.make("ideomotor.sim.register:ideomotor/Place-v0", render_mode="rgb_array") for _ in "ab"
    )
    one, _ = first.reset(seed=3)
    two, _ = second.reset(seed=3)
    assert one["instruction"] == two["instruction"]
    first.action_space.seed(0)
    for _ in range(5):
        action = first.action_space.sample()
        one, *_ = first.step(action)
        two, *_ = second.step(action)
    np.testing.assert_array_equal(one["state"], two["state"])
    np.testing.assert_array_equal(one["images"]["wrist"], two["images"]["wrist"])
    picture = first.render()
    assert isinstance(picture, np.ndarray) and picture.shape == (480, 480, 3) and picture.std() > 5
    first.close()
    second.close()


def test_wild_actions_are_made_safe() -> None:
    env = gymnasium.make("ideomotor/Reach-v0")
    env.reset(seed=0)
    *_, info = env.step(np.ones(6, dtype=np.float32))
    assert info["interventions"]
    env.close()
