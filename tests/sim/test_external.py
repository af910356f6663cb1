"""A Gymnasium environment through an embodiment file: same seed same episode, experts, commands, judging."""

import itertools
from dataclasses import replace
from typing import Any

import dot_env
import gymnasium
import numpy as np
import pytest

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import ActionChunk, Command, LatentPlan, Observation
from ideomotor.eval.rollout import Frame, rollout
from ideomotor.sim.environments.external import ExternalWorld, disturbance


def demonstrated(world: ExternalWorld) -> tuple[list[Frame], np.ndarray]:
    frames: list[Frame] = []
    result = rollout(world, None, on_frame=frames.append)
    assert result.success
    return frames, result.commands


def test_the_same_seed_gives_the_same_episode_and_another_one_another(dot):
    embodiment = dot()
    (first, commands), (again, same), (other, _) = (
        demonstrated(ExternalWorld("ring", seed, embodiment)) for seed in (3, 3, 4)
    )
    assert commands.tobytes() == same.tobytes()
    for frame, twin in zip(first, again, strict=True):
        assert np.array_equal(frame.observation.images["top"], twin.observation.images["top"])
        assert np.array_equal(frame.observation.state, twin.observation.state)
    pictures = [frames[0].observation.images["top"] for frames in (first, other)]
    assert not np.array_equal(*pictures)
    assert pictures[0].shape == (16, 16, 3)  # the environment's are 8 x 8


def test_a_frame_has_the_commands_up_to_the_next_and_the_state_of_its_columns(dot):
    frames, commands = demonstrated(ExternalWorld("ring", 0, dot()))
    assert np.array_equal(np.concatenate([frame.commands for frame in frames]), commands[: 2 * len(frames)])
    assert all(frame.commands.shape == (2, 1) for frame in frames)
    assert all(frame.observation.state.shape == (2,) for frame in frames)
    assert frames[0].plan_text == "now: push the dot to the ring. next: hold still."


def test_experts_answer_to_what_they_see_at_every_step(dot):
    world = ExternalWorld("ring", 0, dot())
    _, commands = demonstrated(world)
    env = dot_env.DotEnv()
    seen, _ = env.reset(seed=0)
    for command in commands:
        action = dot_env.expert(env)(seen).astype(np.float32)
        assert np.array_equal(command, action)
        seen, *_ = env.step(action)
    assert len(np.unique(commands)) > 5


class Pusher:
    """A policy that always pushes as hard as the range allows, and harder."""

    def __init__(self, embodiment: Embodiment, act_every_ticks: int) -> None:
        self.timing = replace(usual_timing(embodiment), act_every_ticks=act_every_ticks)

    def reset(self, seed: int) -> None: ...

    def plan(self, observation: Observation) -> LatentPlan:
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        tick = observation.tick
        assert np.array_equal(committed_prefix, np.clip(committed_prefix, -1, 1))
        return ActionChunk(np.full((4, 1), 2.0, np.float32), 20.0, tick, observation.time, observation.time)


def test_a_disturbed_expert_shows_the_way_back_and_not_the_disturbance(dot):
    embodiment, driven = dot(), {}
    for noise in (0.0, 0.5, 0.5):
        world, frames = ExternalWorld("ring", 3, embodiment), []
        result = rollout(world, None, expert_noise=noise, on_frame=frames.append)
        states = np.array([frame.observation.state for frame in frames])
        env: Any = world.env.unwrapped
        act, goal = dot_env.expert(env), env.goal
        wanted = [act({"body": (*state, goal)}) for state in states]
        shown = [frame.commands[0] for frame in frames]
        assert np.allclose(shown, wanted, atol=1e-6)  # what it shows is what it wants where it is
        if noise in driven:
            assert np.array_equal(driven[noise], states)  # the seed decides
        driven[noise] = states
        assert result.success
    common = min(map(len, driven.values()))
    assert np.abs(driven[0.0][:common, 1] - driven[0.5][:common, 1]).max() > 0.01


def test_grippers_are_not_disturbed():
    embodiment = load_embodiment("metaworld")
    space = gymnasium.spaces.Box(-1.0, 1.0, (4,))
    drawn = np.stack(list(itertools.islice(disturbance(embodiment, space, 0.4, 1), 4000)))
    assert np.all(drawn[:, 3] == 0.0) and np.ptp(drawn[:, :3], axis=0).min() > 0.05
    assert np.abs(drawn.mean(axis=0)).max() < 0.1 and drawn.std() < 0.4
    pushed = drawn[:, 0] / drawn[:, 0].std()
    assert 0.2 < np.mean(pushed[8:] * pushed[:-8]) < 0.55  # 1/e of it is left after a tenth of a second


def test_where_things_are_is_told_by_the_function_that_the_file_names(dot):
    assert ExternalWorld("ring", 3, dot()).keypoints() == {}
    world = ExternalWorld("ring", 3, dot(points="dot_env:points"))
    assert world.keypoints() == {"target": ("top", *dot_env.points(world.env.unwrapped)["target"])}
    with pytest.raises(UserError, match=r"environment.points: 'dot_env:nobody'"):
        ExternalWorld("ring", 3, dot(points="dot_env:nobody")).keypoints()


def test_commands_are_limited_to_their_range_and_stop_where_chunks_run_out(dot):
    world = ExternalWorld("ring", 0, dot(at_least=2.0))  # never
    result = rollout(world, Pusher(world.embodiment, 8))
    commands = result.commands[:56, 0].reshape(7, 8)
    assert (commands[:, :4] == 1.0).all() and (commands[:, 4:] == 0.0).all()
    assert result.interventions["position"] > 0 and not result.success and len(result.commands) == 60


def test_absolute_commands_arrive_as_they_were_meant_at_ten_a_second(dot):
    world = ExternalWorld("go", 3, dot(file="table.yaml"))
    result = rollout(world, None)
    env: Any = world.env.unwrapped
    assert result.success and result.interventions == {}
    corners = [[0, 512], [512, 512], [512, 0], [0, 0]]
    np.testing.assert_array_equal(env.commands[:4], corners)  # from one side to the other in a step
    assert np.allclose(env.commands[4:], env.goal) and len(env.commands) < 12


class Beyond(Pusher):
    """A policy that wants to go beyond the table for two steps of every four."""

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        tick = observation.tick
        actions = np.array([[600, 100], [700, -5]], np.float32)
        return ActionChunk(actions, 10.0, tick, observation.time, observation.time)


def test_absolute_commands_are_clipped_to_their_range_and_repeated_where_chunks_run_out(dot):
    embodiment = dot(file="table.yaml", max_steps=12)
    world = ExternalWorld("go", 3, embodiment)
    start = world.state().position
    result = rollout(world, Beyond(embodiment, 4), delay_ticks=1)
    first, later = result.commands[:1], result.commands[4:].reshape(2, 4, 2)
    np.testing.assert_array_equal(first[0], start)  # nothing is known yet: it stays where it is
    np.testing.assert_array_equal(later, np.broadcast_to([512, 0], (2, 4, 2)))
    assert result.interventions["position"] >= 3 and result.interventions["no_command"] >= 4


def test_absolute_commands_without_a_state_of_their_names_begin_at_home(dot):
    nameless = {"state": ["left", "down"], "home": [100, 200]}
    for top, home in ((nameless, [100, 200]), (nameless | {"home": [256, 256]}, [256, 256])):
        world = ExternalWorld("go", 3, dot(top, file="table.yaml", max_steps=2))
        result = rollout(world, Beyond(world.embodiment, 2), delay_ticks=1)
        np.testing.assert_array_equal(result.commands[0], home)
    assert dot({"state": ["left", "down"]}, file="table.yaml").home == (256.0, 256.0)


def test_the_expert_of_reacher_reaches_by_torques():
    embodiment = load_embodiment("reacher")
    for seed in range(3):
        world = ExternalWorld("reach", seed, embodiment)
        while not world.success and world.tick < world.max_ticks:
            world.step(Command(world.tick, next(world.expert())))
        world.close()
        assert world.success, seed


def test_an_instruction_in_other_words_is_obeyed_and_judged_if_it_says_what_the_task_does(dot):
    judged = ExternalWorld("ring", 3, dot(), instruction="please push the dot to the ring!")
    assert judged.judging.goal == "push the dot to the ring"
    assert rollout(judged, None).success is True
    world = ExternalWorld("ring", 3, dot(), instruction="surprise me")
    result = rollout(world, None)
    assert result.success is None and not world.judging.judged and len(result.commands) == 60
    assert world.observe().instruction == "surprise me"
    with pytest.raises(UserError, match="instruction: got ''"):
        ExternalWorld("ring", 3, dot(), instruction="")


def test_an_axis_that_the_file_names_is_asked_of_the_environment(dot):
    embodiment = dot(axes=["lighting", "phrasing"])
    plain = ExternalWorld("ring", 3, embodiment, axis="gain", strength=2)  # none of theirs
    other = ExternalWorld("ring", 3, embodiment, axis="phrasing", strength=2)
    assert plain.env.unwrapped.options is None and plain.instruction == "push the dot to the ring"  # type: ignore[attr-defined]
    assert other.env.unwrapped.options == {"axis": "phrasing", "strength": 2}  # type: ignore[attr-defined]
    assert other.instruction == "shove the dot to the ring" and other.judging.judged
    assert np.array_equal(plain.state().position, other.state().position)
    for world in (plain, other):
        world.close()


def test_pictures_may_come_from_a_function_of_the_environment(dot):
    world = ExternalWorld("ring", 3, dot(images={"top": "render:above"}))
    drawn = np.full((8, 8, 3), 7, np.uint8)
    world.env.unwrapped.render = lambda name: drawn if name == "above" else None  # type: ignore[method-assign]
    assert (world.render("top") == 7).all()
    world.close()


def test_what_an_environment_has_ended_is_not_gone_on_with(dot, monkeypatch):
    world = ExternalWorld("ring", 0, dot())
    step, asked = world.env.step, []

    def ends(action):
        asked.append(action)
        seen, reward, _, truncated, info = step(action)
        return seen, reward, True, truncated, info

    monkeypatch.setattr(world.env, "step", ends)
    for tick in range(5):
        world.step(Command(tick, np.zeros(1)))
    assert len(asked) == 1 and world.tick == 5 and world.success is False
