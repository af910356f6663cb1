"""Tasks of several skills: what every one of them keeps, and the facts that are true in their worlds."""

from __future__ import annotations

import string

import numpy as np
import pytest

from ideomotor.control.types import Command
from ideomotor.eval.rollout import rollout
from ideomotor.sim.episode import draw_episode
from ideomotor.sim.long_horizon import GOAL_TASKS, MORE_SKILLS, chain
from ideomotor.sim.long_horizon.asked import skill_expert
from ideomotor.sim.long_horizon.drawers import ways_are_free
from ideomotor.sim.long_horizon.truth import Truth, facts
from ideomotor.sim.open_world import task_world
from ideomotor.sim.scene import DRAWER_HALF, TRAY_FLOOR
from ideomotor.sim.tasks import TASKS

LONG = {**GOAL_TASKS, **MORE_SKILLS}
ALL = pytest.mark.parametrize("name", LONG)
GOALS = pytest.mark.parametrize("name", GOAL_TASKS)


def test_the_five_goals_are_not_among_the_built_in_tasks() -> None:
    assert list(GOAL_TASKS) == ["tidy", "tower", "fetch", "kit", "count"]
    assert not set(LONG) & set(TASKS)
    assert all(60 <= task.max_seconds <= 120 for task in GOAL_TASKS.values())


@ALL
def test_phrasings(name: str) -> None:
    """Every one says everything that decides the goal; the conditions may be put in two ways."""
    task = LONG[name]
    assert len(set(task.instructions)) == len(task.instructions) >= 8

    def fields(template: str) -> set[str]:
        found = {field for _, field, _, _ in string.Formatter().parse(template) if field}
        same = {"before": "first", "enumeration": "list", "in": "onto"}
        return {same.get(field, field) for field in found} - {"onto"}

    assert all(fields(template) == fields(task.instructions[0]) for template in task.instructions)


@ALL
def test_episodes_are_random_and_repeatable(name: str) -> None:
    episodes = [draw_episode(LONG[name], seed, "light", "heldout") for seed in range(12)]
    assert draw_episode(LONG[name], 7, "light", "heldout") == episodes[7]
    assert len({episode.scene.things for episode in episodes}) == 12
    for episode in episodes:
        names = [episode.scene.describe(thing.name) for thing in episode.scene.things]
        assert len(set(names)) == len(names)
        assert ways_are_free(episode.scene)
        assert "  " not in episode.instruction and "{" not in episode.instruction
        assert episode.goal in LONG[name].goals(episode.scene)


def test_conditions_are_met_in_some_scenes_and_not_in_others() -> None:
    for name in ("tidy", "fetch", "kit"):
        seen = set()
        for seed in range(60):
            episode = draw_episode(GOAL_TASKS[name], seed, "light", "train")
            if episode.instruction.startswith("if the "):
                first = chain.steps(episode.goal)[0]
                seen.add(first.words.get("verb") == "close")
        assert seen == {True, False}, name


@GOALS
def test_the_expert_solves_it_and_the_truth_says_so(name: str) -> None:
    world = task_world(name, 2, level="none")
    truth = Truth(world)
    before = truth.look()
    subgoals = chain.steps(world.goal)
    assert world.success is False and len(world.subtasks) == len(subgoals) >= 2
    assert all(one[0] not in ("inside", "on", "in_drawer", "held") for one in before)
    result = rollout(world, None)
    assert result.success and result.progress == 1.0
    now, describe = facts(world), world.scene.describe
    for step in chain.lasting(world.goal):
        wanted = {
            "drawer": ("closed", describe(step.target)),
            "stow": ("in_drawer", describe(step.target), describe(step.place or step.target)),
            "stack": ("on", describe(step.target), describe(step.place or step.target)),
        }.get(chain.skill_of(world.scene, step))
        if wanted is None:
            bowl = world.scene.thing(step.place).kind == "bowl"
            wanted = ("inside" if bowl else "on", describe(step.target), describe(step.place))
        assert wanted in now
    assert ("hand_empty",) in now
    world.close()


def test_kit_with_something_else_on_the_tray_is_no_kit() -> None:
    world = task_world("kit", 0, level="none")
    tray = chain.steps(world.goal)[-1].place
    middle = world.position(tray)
    listed = [step.target for step in chain.steps(world.goal) if step.place]
    other = next(t.name for t in world.scene.things if t.graspable and t.name not in listed)

    def lay(names: list[str]) -> bool:
        for number, name in enumerate(names):
            angle = 2 * np.pi * number / len(names)
            spot = middle + 0.021 * np.array([np.cos(angle), np.sin(angle), 0]) + (0, 0, 0.03)
            world.data.joint(name).qpos[:3], world.data.joint(name).qvel[:] = spot, 0
        for thing in world.scene.things:
            if thing.kind == "drawer":
                world.data.joint(thing.name).qpos[0] = 0
        for tick in range(120):
            world.step(Command(tick, world.embodiment.home_position))
        return world.task.success(world, world.goal)

    assert lay(listed)
    assert not lay([*listed, other])
    world.close()


def test_what_lies_in_a_tray_goes_with_it_into_the_cabinet() -> None:
    world = task_world("stow", 0, level="none")
    thing, drawer = world.goal.target, world.goal.place
    half = world.scene.thing(thing).half
    assert 2 * half + TRAY_FLOOR < 2 * DRAWER_HALF[2] - 0.006
    handle = world.position(drawer)
    world.data.joint(thing).qpos[:3] = handle[0] + 0.09, handle[1], TRAY_FLOOR + half + 0.002
    for tick in range(120):
        world.data.joint(drawer).qpos[0] = 0.07 * max(0.0, 1 - tick / 90)
        world.step(Command(tick, world.embodiment.home_position))
    now, name = facts(world), world.scene.describe
    assert ("in_drawer", name(thing), name(drawer)) in now and ("closed", name(drawer)) in now
    assert world.position(thing)[0] > handle[0] + 0.09 + 0.04
    world.close()


def test_what_is_put_down_comes_from_a_plate_or_the_hand_onto_a_free_place() -> None:
    """Both ways: the expert of the task, and the skill that is asked for when the hand holds something."""
    world = task_world("put_down", 3, level="none")
    name, start = world.goal.target, world.position(world.goal.target)
    words = world.scene.describe(name)
    assert {one[0] for one in facts(world) if one[1:2] == (words,)} <= {"inside", "on"} != set()
    assert not world.task.success(world, world.goal)
    lifted = 0
    for target in skill_expert(world, "lift", [words], None):
        world.step(Command(world.tick, target))
    assert world.holding(name) and ("held", words) in facts(world)
    for target in skill_expert(world, "put_down", [words], None):
        world.step(Command(world.tick, target))
        lifted += world.position(name)[2] > 0.05
    assert world.task.success(world, world.goal) and ("hand_empty",) in facts(world) and lifted
    assert not [one for one in facts(world) if one[0] in ("inside", "on", "held") and one[1] == words]
    for other in world.scene.things:
        gap = np.hypot(*(world.position(name) - world.position(other.name))[:2])
        assert other.name == name or gap > other.radius + world.scene.thing(name).radius
    assert np.hypot(*(world.position(name) - start)[:2]) > 0.05
    world.close()
