"""Properties that hold for every task: tests read as the specification of what a task is."""

from __future__ import annotations

import string

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.types import Command
from ideomotor.eval.rollout import rollout
from ideomotor.sim.episode import draw_episode, phrase
from ideomotor.sim.layout import free
from ideomotor.sim.open_world import task_world
from ideomotor.sim.projection import project
from ideomotor.sim.task import HELD_OUT_PHRASINGS, Task
from ideomotor.sim.tasks import TASKS

ALL = pytest.mark.parametrize("name", TASKS)


@ALL
def test_enough_phrasings_and_two_held_out(name: str) -> None:
    task = TASKS[name]
    assert len(set(task.instructions)) == len(task.instructions) >= 8
    assert HELD_OUT_PHRASINGS == 2
    assert not set(task.phrasings("train")) & set(task.phrasings("heldout"))
    fields = {field for _, field, _, _ in string.Formatter().parse(task.instructions[0]) if field}
    for template in task.instructions:
        assert {field for _, field, _, _ in string.Formatter().parse(template) if field} == fields


@ALL
@pytest.mark.parametrize("level", ["none", "light", "full"])
def test_episodes_are_random_and_repeatable(name: str, level: str) -> None:
    task = TASKS[name]
    episodes = [draw_episode(task, seed, level, "train") for seed in range(20)]
    again = draw_episode(task, 7, level, "train")
    assert again == episodes[7]
    np.testing.assert_array_equal(again.home_offset, episodes[7].home_offset)
    assert len({episode.scene.things for episode in episodes}) == 20
    assert len({episode.instruction for episode in episodes}) > 8


@ALL
def test_scenes_keep_their_distance_and_their_names_are_unique(name: str) -> None:
    for seed in range(30):
        episode = draw_episode(TASKS[name], seed, "light", "train")
        scene, goal = episode.scene, episode.goal
        names = [scene.describe(thing.name) for thing in scene.things]
        assert len(set(names)) == len(names)
        if name != "drawer":  # whose keep-out circles overlap on purpose
            for index, thing in enumerate(scene.things):
                assert free(thing, scene.things[:index], gap=0.0)
        assert goal in TASKS[name].goals(scene)


@ALL
def test_words_and_camera_are_both_needed(name: str) -> None:
    """Something else could have been asked for in every scene, in other words."""
    for seed in range(40):
        episode = draw_episode(TASKS[name], seed, "light", "train")
        goals = TASKS[name].goals(episode.scene)
        assert len({goal.target for goal in goals}) > 1
        assert len({phrase(goal, episode.phrasing) for goal in goals}) == len(goals)


@ALL
def test_an_episode_starts_undone_and_knows_what_to_do(name: str) -> None:
    for seed in range(4):
        world = task_world(name, seed)
        assert not world.success
        assert world.progress() == 0.0
        assert world.subtask() == world.subtasks[0].text
        assert world.plan_text().startswith("scene: ")
        for camera, u, v in world.keypoints().values():
            assert camera == "front"
            assert -0.1 < u < 1.1 and -0.1 < v < 1.1
        world.close()


@ALL
def test_the_same_commands_give_the_same_states_to_the_bit(name: str) -> None:
    def play() -> tuple[np.ndarray, np.ndarray]:
        world = task_world(name, 5)
        for target in world.expert(noise=0.5):
            world.step(Command(world.tick, target))
            if world.tick == 90:
                break
        image = world.observe().images["front"]
        world.close()
        return world.data.qpos.copy(), image

    (one, image), (other, same_image) = play(), play()
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(image, same_image)


@ALL
def test_standing_still_never_succeeds(name: str) -> None:
    world = task_world(name, 11)
    home = world.state().position
    for _ in range(world.max_ticks):
        world.step(Command(world.tick, home))
    assert not world.success
    assert world.progress() < 1.0


@ALL
def test_the_expert_solves_it_through_the_controller(name: str) -> None:
    """A few seeds here; `ideomotor eval --expert` measures 200 (README)."""
    for seed in range(300, 304):
        world = task_world(name, seed)
        result = rollout(world, None)
        world.close()
        assert result.success, f"{name} seed {seed}: {world.instruction}, left at {world.subtask()}"
        assert result.progress == 1.0


@ALL
def test_any_goal_can_be_asked_for_in_words(name: str) -> None:
    world = task_world(name, 2)
    other = world.alternative_instruction()
    if other is not None:
        named = task_world(name, 2, instruction=other.upper() + ".")
        assert named.goal.target != world.goal.target
        assert named.scene == world.scene
    unclear = task_world(name, 2, instruction="do a somersault")
    assert unclear.success is None and unclear.scene == world.scene


def test_held_out_phrasings_are_used_on_request() -> None:
    task: Task = TASKS["lift"]
    world = task_world("lift", 3, split="heldout")
    assert world.instruction in {phrase(world.goal, t) for t in task.phrasings("heldout")}
    assert task_world("lift", 3).scene == world.scene


def test_levels_change_the_appearance_and_not_the_layout() -> None:
    none, full = (draw_episode(TASKS["reach"], 8, level, "train").scene for level in ("none", "full"))
    for plain, varied in zip(none.things, full.things, strict=False):
        assert (plain.position, plain.colour, plain.kind) == (varied.position, varied.colour, varied.kind)
    assert none.appearance != full.appearance


def test_unknown_names_are_refused_with_a_hint() -> None:
    with pytest.raises(UserError, match=r"task: unknown name 'lfit'; did you mean 'lift'"):
        task_world("lfit", 0)
    with pytest.raises(UserError, match="level: unknown name"):
        task_world("lift", 0, level="extreme")


def test_keypoints_are_where_the_camera_sees_the_thing() -> None:
    """Painting the target changes pixels around its keypoint and nowhere far from it."""
    world = task_world("press", 4, level="none")
    before = world.render("front", 192, 192).astype(int)
    body = world.model.body(world.goal.target).id
    world.model.geom_rgba[world.model.geom_bodyid == body] = (0, 1, 1, 1)
    after = world.render("front", 192, 192).astype(int)
    world.close()
    rows, columns = np.nonzero(np.abs(after - before).sum(-1) > 30)
    _, u, v = world.keypoints()["target"]
    assert abs(columns.mean() / 192 - u) < 0.02
    assert abs(rows.mean() / 192 - v) < 0.03
    assert project(world.model, world.data, "front", world.position(world.goal.target)) == (u, v)


def test_commands_of_an_expert_pass_the_filter_untouched() -> None:
    world = task_world("lift", 3)
    result = rollout(world, None)
    world.close()
    assert sum(result.interventions.values()) == 0


def test_a_simulation_that_becomes_unstable_is_an_error_and_no_failed_task():
    world = task_world("lift", 3)
    world.step(Command(0, world.state().position))
    world.data.qvel[:] = 1e12
    with pytest.raises(RuntimeError, match=r"lift, seed 3: unstable after 0\.01 s"):
        world.step(Command(1, world.state().position))
