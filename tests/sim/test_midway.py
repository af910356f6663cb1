"""Steps of long goals as episodes of their own."""

from __future__ import annotations

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.eval.demonstrate import Attempt, demonstrate
from ideomotor.eval.rollout import rollout
from ideomotor.sim.long_horizon import GOAL_TASKS, chain
from ideomotor.sim.long_horizon.midway import midway_world
from ideomotor.sim.open_world import task_world
from ideomotor.sim.task import Goal
from ideomotor.sim.tasks import TASKS

ROBOT = load_embodiment("so101")


def test_what_comes_before_is_done_and_the_step_is_not() -> None:
    began = []  # how far from home [rad]
    for task, seed in (("tidy", 1), ("tower", 3), ("fetch", 2), ("fetch", 3), ("kit", 1)):
        long, world = task_world(task, seed), midway_world(ROBOT, task, seed)
        steps = chain.steps(long.goal)
        instructions = [chain.in_words(long.scene, step) for step in steps]
        number = _number(steps, world.goal)
        assert all(chain.is_done(world, step) for step in steps[:number] if step in chain.lasting(long.goal))
        assert not chain.is_done(world, steps[number])
        assert (world.tick, world.success) == (0, False)
        assert world.instruction != long.instruction
        assert (
            world.goal.words["target"] in world.instruction
            and world.goal.words["target"] in instructions[number]
        )
        began.append(float(np.abs(world.state().position - ROBOT.home_position).max()))
        assert np.abs(world.state().velocity).max() < 0.2
        assert rollout(world, None).success
        world.close()
    assert max(began) > 0.5


def _number(steps: tuple[Goal, ...], goal: Goal) -> int:
    about = [(step.target, step.place, step.words.get("verb")) for step in steps]
    return about.index((goal.target, goal.place, goal.words.get("verb")))


def test_a_step_is_the_same_each_time() -> None:
    one, two = midway_world(ROBOT, "tower", 3), midway_world(ROBOT, "tower", 3)
    assert one.instruction == two.instruction
    assert np.array_equal(one.data.qpos, two.data.qpos)


def test_a_recorded_step_has_the_skills_instruction() -> None:
    world = midway_world(ROBOT, "fetch", 3)
    recorded = demonstrate(Attempt("fetch", 3, "light", 0.0, "so101", midway=True))
    assert recorded is not None
    assert recorded.tasks == [world.instruction]
    templates = [t for task in (*TASKS.values(), *chain.SKILLS.values()) for t in task.phrasings("train")]
    assert world.instruction in {template.format_map(_Words(world.goal.words)) for template in templates}
    world.close()


class _Words(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def test_a_task_of_one_skill_has_no_steps() -> None:
    with pytest.raises(UserError, match="lift.*tidy"):
        midway_world(ROBOT, "lift", 0)
    assert "lift" not in GOAL_TASKS
