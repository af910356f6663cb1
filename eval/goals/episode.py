"""One goal of several skills in lockstep: an executor sets the instruction, a policy or experts carry it out.

The executor is asked once a second; in between the policy goes on with the newest instruction, through the
same controller and the same safety filter as in every episode. The truth of the simulator only scores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS
from ideomotor.control.controller import Controller
from ideomotor.control.errors import UserError
from ideomotor.control.facts import Facts
from ideomotor.control.timing import timing_of
from ideomotor.control.types import Clock, Observation, Policy
from ideomotor.eval.drivers import ExpertDriver, PolicyDriver, Requests, paces
from ideomotor.eval.goals.result import AttemptRow, GoalFrame, GoalResult
from ideomotor.eval.goals.truth_perception import TruthPerception
from ideomotor.sim.long_horizon import chain
from ideomotor.sim.long_horizon.asked import go_home, skill_expert
from ideomotor.sim.long_horizon.truth import Truth
from ideomotor.vla.planner.interface import (
    PERIOD_S,
    Decision,
    DecisionKind,
    GoalExecutor,
    Moment,
    PerceivedScene,
    Perception,
    SkillAttempt,
)
from ideomotor.vla.planner.plan import drawn
from ideomotor.vla.planner.routing import RoutedPolicy
from ideomotor.vla.planner.skills import succeeded

if TYPE_CHECKING:
    from ideomotor.sim.world import World

STILL = 0.05  # of every joint of an arm that stands still [rad/s]
SETTLE_S = 0.3  # after the end, beside the time for which success has to hold [s]


def goal_episode(
    world: World,
    policy: Policy | None,
    executor: GoalExecutor,
    perception: Perception | TruthPerception,
    *,
    delay_ticks: int = 0,
    handover: str = DEFAULT,
    return_home: bool = False,
    on_frame: Callable[[GoalFrame], None] | None = None,
    clock: Clock | None = None,
    ask: Callable[[str], str] = lambda question: "",
) -> Requests[GoalResult]:
    """One episode of a goal, from the world's present state until the executor ends it or time is over.

    Args:
        world: a fresh one of a task of several skills.
        policy: carries the instructions out, reset here and asked by whoever runs this; None: the experts.
        executor: not started yet.
        perception: what the executor is given of the scene.
        delay_ticks, handover: as in `rollout.episode`.
        return_home: whether the arm goes back to its home pose, where a policy's episodes begin, before each
            attempt; not the experts', who begin anywhere.
        on_frame: called at each camera frame.
        clock: paces the ticks, where the wall clock should.
        ask: asks the person a question, and returns the answer; the episode's time stands meanwhile. By
            default there is nobody.

    Raises:
        UserError: a delay that the policy cannot be given.
        Whatever world, policy, perception or executor raise; but for a goal that is not understood, which
            ends the episode.
    """
    session = _Session(world, policy, executor, perception, delay_ticks, handover)
    session.return_home, session.ask = return_home, ask
    hz, frame_ticks = float(world.embodiment.control_hz), world.embodiment.frame_ticks
    ahead = round((world.task.hold_seconds + SETTLE_S) * hz)
    end, tick, started = world.max_ticks, 0, clock.now() if clock else 0.0
    while tick < end:
        if clock:
            clock.sleep_until(started + tick / hz)
        if tick % frame_ticks == 0:
            if not session.over and (yield from session.frame(tick, on_frame)):
                end = min(end, tick + ahead)  # the arm comes to rest
            session.judge()
        session.step(tick)
        tick += 1
    return session.result(tick / hz)


class _Session:
    """An episode under way."""

    def __init__(
        self, world: World, policy: Policy | None, executor: GoalExecutor,
        perception: Perception | TruthPerception, delay_ticks: int, handover: str,
    ):  # fmt: skip
        self._world, self._policy, self._executor, self._perception = world, policy, executor, perception
        robot, method = world.embodiment, HANDOVERS[handover]
        self._robot, self._hz = robot, float(robot.control_hz)
        self._period = round(PERIOD_S * self._hz)
        self._controller = Controller(robot, method)
        self._controller.reset(world.state())
        self._driver: ExpertDriver | PolicyDriver | None = None
        self._delay_ticks, self._method = delay_ticks, method
        self.return_home = False
        self.ask: Callable[[str], str] = lambda question: ""
        if policy is not None:
            policy.reset(world.seed)
            self._driver = self._policy_driver(policy)
        perception.reset(executor.text)
        self._truth = Truth(world)
        self._facts: Facts = self._truth.look()
        self._decision = Decision(DecisionKind.ACT)
        self._scene = PerceivedScene((), frozenset())
        self._attempts: list[AttemptRow] = []
        self._finished_at = math.inf  # tick at which an expert has nothing left to do
        self._counts = {"true": 0, "false": 0, "missed": 0}
        self._kept = 0  # ticks for which what was asked for has been so
        self.over = ""

    def frame(self, tick: int, on_frame: Callable[[GoalFrame], None] | None) -> Requests[bool]:
        """A camera frame: a look at the truth, once a second a decision, new chunks; whether it ends."""
        if self._policy is not None and self._finished_at < tick:  # the arm is at home
            self._driver, self._finished_at = self._policy_driver(self._policy), math.inf
        due, driver = tick % self._period == 0, self._driver
        self._facts = self._truth.look()
        pictures = due and not isinstance(self._perception, TruthPerception)
        observation = None
        if pictures or on_frame or (driver is not None and driver.looks_at(tick)):
            observation = self._observed()
        self._perception.notice(self._world.state().position)
        if due:
            self._decide(tick, observation)
            if observation is not None:
                observation = dataclasses.replace(observation, instruction=self._decision.instruction)
        if on_frame and observation is not None:
            on_frame(GoalFrame(observation, self._decision, self._scene))
        if self.over:
            self._controller.forget()  # stops here: who goes on may undo it
        elif self._driver is not None:
            yield from self._driver.drive(tick, observation, self._controller)
        return bool(self.over)

    def step(self, tick: int) -> None:
        """One command."""
        self._world.step(self._controller.step(tick, self._world.state()))

    def judge(self) -> None:
        """Counts for how long what was asked for has been so."""
        so = self._world.task.success(self._world, self._world.goal)
        self._kept = self._kept + self._robot.frame_ticks if so else 0

    def _observed(self) -> Observation:
        return dataclasses.replace(
            self._world.observe(),
            instruction=self._decision.instruction,
            past_commands=self._controller.past_commands.copy(),
        )

    def _decide(self, tick: int, observation: Observation | None) -> None:
        newest = self._driver.newest_plan if isinstance(self._driver, PolicyDriver) else None
        if isinstance(self._perception, TruthPerception):
            self._scene = self._perception.perceive(observation, newest)
        else:
            assert observation is not None
            self._scene = self._perception.perceive(observation, newest)
        self._count(self._scene.facts)
        still = bool(np.abs(self._world.state().velocity).max() < STILL)
        progress = newest.progress if newest else float(tick >= self._finished_at)
        sure = self._driver.confidence if self._driver else math.nan
        images = observation.images if observation is not None else {}
        moment = Moment(tick / self._hz, self._scene, progress, sure, still, images)
        try:
            if tick == 0:
                self._executor.start(moment)
            before = self._decision
            self._decision = self._executor.decide(moment)
            if self._decision.kind == DecisionKind.ASK:
                self._executor.answer(self.ask(self._decision.question))
                self._decision = self._executor.decide(moment)
        except UserError as error:
            self._decision = Decision(DecisionKind.GIVE_UP, reason=str(error))
            self.over = "not understood"
            return
        self._attempts += [self._scored(one) for one in self._executor.attempts[len(self._attempts) :]]
        if isinstance(self._policy, RoutedPolicy):
            self._policy.route(self._decision.specialist)
        if self._decision.kind != DecisionKind.ACT:
            self.over = str(self._decision.kind)
        elif self._decision.attempt != before.attempt:
            self._begin(tick)

    def _begin(self, tick: int) -> None:
        """Another attempt, from where the arm is or from home."""
        call, past = self._decision.call, self._controller.past_commands.copy() if tick else None
        if self._policy is None:
            assert call is not None  # an expert needs more than words
            try:
                targets = skill_expert(self._world, call.skill, call.arguments, past)
            except UserError:  # what was taken for something else is not there to be handled
                targets = iter(())
            self._follow(targets)
        elif self.return_home and tick:
            held = [one[1] for one in self._scene.facts if one[0] == "held"]
            drops = bool(held) and (call is None or held[0] != call.arguments[0])
            self._follow(go_home(self._world, past, drops))

    def _follow(self, targets: Iterator[np.ndarray]) -> None:
        """From now on these targets, (A,) one a tick; then the policy again, if there is one."""
        self._finished_at = math.inf

        def noted() -> Iterator[np.ndarray]:
            yield self._controller.past_commands[-1].copy()  # also where there is nothing to do
            yield from targets
            self._finished_at = self._world.tick

        self._driver = ExpertDriver(noted(), self._hz, lambda: "", self._robot.frame_ticks)

    def _policy_driver(self, policy: Policy) -> PolicyDriver:
        timing = timing_of(policy, self._robot)
        pace = paces(timing, self._robot.frame_ticks, self._delay_ticks, self._method)
        return PolicyDriver(policy, self._method, self._world.seed, self._delay_ticks, *pace)

    def _scored(self, attempt: SkillAttempt) -> AttemptRow:
        return AttemptRow(
            attempt.call.skill,
            attempt.call.arguments,
            attempt.instruction,
            attempt.started_at,
            attempt.ended_at,
            attempt.succeeded,
            succeeded(attempt.call, self._facts),
            attempt.why,
        )

    def _count(self, perceived: Facts) -> None:
        """Perceived facts against the truth; those about what was pushed or pointed at are nobody's goal."""
        seen, so = (
            {one for one in facts if one[0] not in ("pushed", "pointed_at")}
            for facts in (perceived, self._facts)
        )
        self._counts["true"] += len(seen & so)
        self._counts["false"] += len(seen - so)
        self._counts["missed"] += len(so - seen)

    def result(self, seconds: float) -> GoalResult:
        """All of it, when the episode is over."""
        world, executor = self._world, self._executor
        self.judge()
        steps = chain.steps(world.goal)
        lie = sum(bool(step.place) and chain.is_done(world, step) for step in steps)
        held = self._kept >= world.task.hold_seconds * self._hz
        subgoals = len(world.subtasks) if held else max(world.done, lie)
        return GoalResult(
            success=held,
            reached=bool(world.success),
            ended=self.over or "out of time",
            reason=self._decision.reason,
            seconds=seconds,
            subgoals=min(subgoals, len(world.subtasks)),
            subgoals_wanted=len(world.subtasks),
            replans=executor.replans,
            planner_calls=executor.planner_calls,
            attempts=self._attempts,
            interventions=dict(self._controller.interventions),
            holds=self._controller.holds,
            plan=drawn(executor.plan) if executor.plan is not None else "",
            fact_counts=self._counts,
        )
