"""One step of a long goal as an episode of its own, where the steps before it have left arm and things.

Episodes of the built-in tasks begin with the arm at home and nothing touched. All but the first step of a
long goal begin elsewhere, among more things, and a policy that never saw that does them worse.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import unknown_name
from ideomotor.sim.long_horizon import GOAL_TASKS, chain
from ideomotor.sim.long_horizon.driving import Driving
from ideomotor.sim.motion import Arm
from ideomotor.sim.open_world import task_world
from ideomotor.sim.paths import FADE_S
from ideomotor.sim.task import Goal, SceneState
from ideomotor.sim.world import World

NOTICED_S = 1.0  # within which a step is seen to be done: a planner looks once a second


def midway_world(embodiment: Embodiment, task: str, seed: int, level: str = "light") -> World:
    """An episode whose goal is one step of a long goal, drawn by the seed; experts have done those before it.

    The instruction is the skill's, in one of its training phrasings; time begins with the step, and the arm
    is at rest.

    Args:
        task: name in `GOAL_TASKS`.
        level: of randomisation: none, light or full.

    Raises:
        UserError: for an unknown name.
        Unreachable: an expert knows no way.
    """
    if task not in GOAL_TASKS:
        raise unknown_name("task", task, GOAL_TASKS)
    world = task_world(task, seed, level, embodiment=embodiment)
    draw = np.random.default_rng([seed, zlib.crc32(task.encode()), 17])
    steps = chain.steps(world.goal)
    number = int(draw.integers(len(steps)))
    for step in steps[:number]:
        late = round(draw.uniform(0, NOTICED_S) * embodiment.control_hz)
        _carry_out(world, step, chain.meeting_there(world.goal, step), late)
    _begin(world, steps[number], chain.meeting_there(world.goal, steps[number]), draw)
    return world


def _carry_out(world: World, step: Goal, sharing: int, late: int) -> None:
    """An expert does a step and is stopped some ticks after it is done, wherever the arm is then."""
    robot, driving, done = world.embodiment, Driving(world), 0
    for target in chain.step_expert(world, Arm(robot, driving.past_commands[-1]), step, sharing):
        done = done + 1 if chain.is_done(world, step) else 0
        if done > late:
            break
        driving.follow(target)
    past = driving.past_commands
    for target in Arm(robot, past[-1], past_commands=past).wait(2 * FADE_S):
        driving.follow(target)


def _begin(world: World, step: Goal, sharing: int, draw: np.random.Generator) -> None:
    """From here on the world is one of the step's skill."""

    def expert(state: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
        return chain.step_expert(state, arm, goal, sharing)

    skill = replace(chain.SKILLS[chain.skill_of(world.scene, step)], expert=expert)
    phrasings = skill.phrasings("train")
    world.turn_to(skill, replace(step, then=None), phrasings[draw.integers(len(phrasings))])
