"""Every environment passes Gymnasium's own checker, as its users will run it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ideomotor.sim.register  # noqa: F401 registers the tasks
from ideomotor.control.errors import UserError
from ideomotor.sim.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
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


def test_it_takes_any_words_and_rewards_only_what_it_can_judge() -> None:
    env = gymnasium.make("ideomotor/Lift-v0")
    said = "Sing a song – “na, na”, s'il te plaît!"
    observation, info = env.reset(seed=0, options={"instruction": said})
    assert observation["instruction"] == said and observation in env.observation_space
    assert info["success"] is None and info["judged"] is False and info["possible_goals"]
    _, reward, terminated, _, info = env.step(env.action_space.sample())
    assert (reward, terminated, info["success"]) == (0.0, False, None)

    goal = env.reset(seed=0)[1]["goal"]
    _, info = env.reset(seed=0, options={"instruction": goal.replace("lift", "Could you please grab") + "?"})
    assert info["judged"] and info["goal"] == goal and info["success"] is False
    env.close()


@pytest.mark.parametrize("said", ["", "抬起红色方块", "lift " * 100, 3])
def test_it_refuses_an_instruction_that_says_nothing_or_is_not_in_its_observation_space(said: object) -> None:
    env = gymnasium.make("ideomotor/Lift-v0")
    with pytest.raises(UserError, match="instruction: "):
        env.reset(seed=0, options={"instruction": said})
    env.close()
