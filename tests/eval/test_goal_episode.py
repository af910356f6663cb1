"""Goals of several skills in lockstep, with the goal's own plan and the experts as skills."""

from __future__ import annotations

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.eval.goals.episode import goal_episode
from ideomotor.eval.goals.oracle import OraclePlan, steps_of
from ideomotor.eval.goals.truth_perception import TruthPerception
from ideomotor.eval.rollout import answered
from ideomotor.sim.long_horizon.asked import skill_goal
from ideomotor.sim.open_world import task_world
from ideomotor.vla.planner.interface import Decision, DecisionKind, Moment
from ideomotor.vla.planner.plan import Call


class Listens:
    """A policy that stands still and remembers its instructions."""

    def __init__(self):
        self.instructions: list[tuple[int, str]] = []

    def reset(self, seed: int) -> None:
        self.instructions.clear()

    def plan(self, observation: Observation) -> LatentPlan:
        if not self.instructions or self.instructions[-1][1] != observation.instruction:
            self.instructions.append((observation.tick, observation.instruction))
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, prefix: np.ndarray) -> ActionChunk:
        actions = np.repeat(observation.state[None], 96, axis=0).astype(np.float32)
        return ActionChunk(actions, 120.0, observation.tick, observation.time, plan.observed_at)


class Leans(Listens):
    """Turns its first joint aside."""

    def __init__(self):
        super().__init__()
        self.pans: list[tuple[int, float]] = []

    def act(self, observation: Observation, plan: LatentPlan, prefix: np.ndarray) -> ActionChunk:
        self.pans.append((observation.tick, float(observation.state[0])))
        chunk = super().act(observation, plan, prefix)
        chunk.actions[:, 0] = np.minimum(observation.state[0] + np.arange(1, 97) / 240, 0.6)
        return chunk


class Says:
    """An executor that says one thing a second, and then that it is done."""

    text, plan, attempts, replans, planner_calls = "", None, (), 0, 0

    def __init__(self, *said: str):
        self._said = list(said)
        self.times: list[float] = []

    def start(self, moment: Moment) -> None: ...

    def decide(self, moment: Moment) -> Decision:
        self.times.append(moment.time)
        if not self._said:
            return Decision(DecisionKind.DONE, reason="all said")
        return Decision(DecisionKind.ACT, self._said.pop(0), attempt=len(self.times))

    def answer(self, text: str) -> None: ...


def test_the_experts_carry_a_plan_out_and_every_attempt_is_scored_by_the_truth() -> None:
    world = task_world("fetch", 900_001, level="none", split="heldout")
    executor = OraclePlan(steps_of(world))
    result = answered(goal_episode(world, None, executor, TruthPerception(world)), None)
    assert (result.success, result.reached, result.ended) == (True, True, "done")
    assert [one.skill for one in result.attempts] == [call.skill for call in steps_of(world)]
    assert all(one.perceived and one.true for one in result.attempts)
    assert result.subgoals == result.subgoals_wanted == len(result.attempts)
    assert result.fact_counts["false"] == result.fact_counts["missed"] == 0
    world.close()


def test_the_instruction_changes_in_mid_episode_and_the_end_is_the_executors() -> None:
    world, policy, executor = (
        task_world("tower", 3, level="none"),
        Listens(),
        Says("one", "two", "two", "six"),
    )
    result = answered(goal_episode(world, policy, executor, TruthPerception(world)), policy)
    assert policy.instructions == [(0, "one"), (120, "two"), (360, "six")]
    assert executor.times == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (result.success, result.ended, result.reason) == (False, "done", "all said")
    assert result.seconds == pytest.approx(4.0 + 0.8, abs=0.05)
    world.close()


def test_a_plan_that_cannot_succeed_is_given_up() -> None:
    world = task_world("tower", 3, level="none")
    step, policy = steps_of(world)[0], Listens()
    result = answered(goal_episode(world, policy, OraclePlan([step], 1), TruthPerception(world)), policy)
    assert (result.success, result.ended) == (False, "give_up")
    assert [(one.perceived, one.true) for one in result.attempts] == [(False, False)]
    world.close()


def test_an_expert_that_is_asked_for_what_is_not_there_stands_still_and_the_goal_is_given_up() -> None:
    world = task_world("tower", 3, level="none")
    home = world.embodiment.home_position
    calls = [Call("point", ("grey elephant",))]
    result = answered(goal_episode(world, None, OraclePlan(calls, 1), TruthPerception(world)), None)
    assert (result.success, result.ended) == (False, "give_up")
    np.testing.assert_allclose(world.data.ctrl[: len(home)], home, atol=0.01)
    world.close()


def test_a_skill_is_asked_for_by_the_words_of_the_scene() -> None:
    world = task_world("fetch", 900_001, level="none")
    open_, *_ = [call for call in steps_of(world) if call.skill == "open"] or [Call("open", ("x",))]
    goal = skill_goal(world, "open", open_.arguments)
    assert world.scene.describe(goal.target) == open_.arguments[0]
    with pytest.raises(UserError, match="thing: got 'grey elephant', expected one of"):
        skill_goal(world, "place", ["grey elephant", open_.arguments[0]])
    with pytest.raises(UserError, match="skill: got 'juggle'"):
        skill_goal(world, "juggle", [open_.arguments[0]] * 2)
    world.close()


@pytest.mark.parametrize("return_home", [True, False])
def test_an_attempt_may_begin_at_home_again(return_home: bool) -> None:
    world, policy = task_world("tower", 3, level="none"), Leans()
    thing = world.scene.describe(world.scene.things[0].name)
    executor = OraclePlan([Call("point", (thing,))], tries=2)
    requests = goal_episode(world, policy, executor, TruthPerception(world), return_home=return_home)
    result = answered(requests, policy)
    assert [one.perceived for one in result.attempts] == [False, False]
    second = round(120 * result.attempts[1].started_at)
    before = [pan for tick, pan in policy.pans if tick < second][-1]
    first = next(pan for tick, pan in policy.pans if tick >= second)
    assert before > 0.5
    assert abs(first - (world.embodiment.home_position[0] if return_home else before)) < 0.05
    world.close()
