"""`ideomotor run --goal`: a goal of several skills in simulation, with its plans, attempts and memory."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.launch.commands.goal_options import asked_where_somebody_is, executor_of
from ideomotor.launch.console import Output
from ideomotor.launch.needed_options import NeededArguments
from ideomotor.launch.runtime.asking import ask_at_terminal, somebody_there

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.facts import Facts
    from ideomotor.control.types import Policy
    from ideomotor.eval.goals.episode import GoalResult
    from ideomotor.launch.commands.goal_options import GoalArguments
    from ideomotor.launch.dashboard.options import WebArguments
    from ideomotor.sim.world import World
    from ideomotor.vla.planner.executor import Executor

SCENE = "tidy"  # whose scene is taken where none is named


class GoalRunOptions(Protocol):
    """What it needs of the options of `run`."""

    @property
    def task(self) -> str: ...
    @property
    def goals(self) -> GoalArguments: ...
    @property
    def seed(self) -> int: ...
    @property
    def randomize(self) -> str: ...
    @property
    def robot(self) -> str: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def expert(self) -> bool: ...
    @property
    def delay(self) -> float: ...


class Refused(GoalRunOptions, Protocol):
    """What a run with a goal does not have."""

    @property
    def instruction(self) -> str | None: ...
    @property
    def env(self) -> str: ...
    @property
    def page(self) -> WebArguments: ...
    @property
    def record(self) -> Path | None: ...
    @property
    def realtime(self) -> bool: ...
    @property
    def confidence(self) -> bool: ...
    @property
    def needed(self) -> NeededArguments: ...


def check_goal_run(options: Refused) -> None:
    """UserError for an option that a run with a goal does not have."""
    for name, given in (
        ("instruction", options.instruction is not None),
        ("env", bool(options.env)),
        ("web", options.page.web is not None),
        ("record", options.record is not None),
        ("realtime", options.realtime),
        ("confidence", options.confidence),
        ("cameras, text", options.needed != NeededArguments()),
    ):
        if given:
            raise UserError(f"{name}: a run with --goal does not have it")


@dataclass(frozen=True)
class _Judged:
    success: bool | None  # by the truth; None: the goal has no conditions that could be judged
    what: str


def run_goal(options: GoalRunOptions, output: Output) -> int:
    """Carries the goal out and shows what was planned, tried, seen and reached."""
    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.eval.goals.episode import GoalFrame, TruthPerception, goal_episode
        from ideomotor.eval.goals.remembered import TrueMemory
        from ideomotor.eval.rollout import answered
        from ideomotor.sim.open_world import task_world
        from ideomotor.vla.planner.perception.perception import SeenPerception
        from ideomotor.vla.planner.routing import routes_of

        embodiment = load_embodiment(options.robot)
        say = functools.partial(output.text.print, markup=False, highlight=False)
        general, routes = routes_of(options.policy)
        goals = asked_where_somebody_is(options.goals, somebody_there(), say)
        executor = executor_of(goals, tuple(routes), say, embodiment)
        seen = SeenPerception.of(embodiment) if options.goals.perception == "seen" else None
        policy = None if options.expert else _policy(general, routes, embodiment, say)
    world = task_world(options.task or SCENE, options.seed, options.randomize, embodiment=embodiment)
    try:
        # The executor ends the episode, not the scene's own task.
        world.task = replace(world.task, max_seconds=options.goals.goal_seconds + 2.0)
        driver = "expert" if options.expert else options.policy or "bundled"
        say(f"goal         {options.goals.goal}")
        say(f"scene        {options.task or SCENE}, seed {options.seed}, {options.randomize} randomisation")
        say(f"driver       {driver}, planner {executor.planner.name}")
        judge, truth = _Judge(world), TrueMemory()

        def on_frame(frame: GoalFrame) -> None:
            truth.see(world.time, judge.look())

        started = monotonic()
        delay = round(options.delay * embodiment.control_hz / 1000)
        perception = seen or TruthPerception(world, places=options.goals.imagine)
        ask = functools.partial(ask_at_terminal, say=say)
        episode = goal_episode(
            world, policy, executor, perception, delay_ticks=delay, on_frame=on_frame, ask=ask
        )
        result = answered(episode, policy)
        if result.ended == "not understood":
            raise UserError(result.reason)
        judged = judge.judged(executor)
        _show(say, executor, result, judged)
        answers = {question: executor.memory.answer(question) for question in options.goals.question}
        for question, answer in answers.items():
            say(f"asked        {question}\nanswer       {answer.text}")
        say(f"achieved     {result.seconds:.1f} s in {monotonic() - started:.1f} s")
        output.result(
            {
                "goal": options.goals.goal,
                "task": options.task or SCENE,
                "seed": options.seed,
                "policy": driver,
                "planner": executor.planner.name,
                **_figures(executor, result, judged),
                "memory": dataclasses.asdict(truth.compared(executor.memory)),
                "answers": {
                    question: {"text": answer.text, "interval": answer.interval}
                    for question, answer in answers.items()
                },
            }
        )
    finally:
        world.close()
    return 0


def _policy(
    general: str | None, routes: dict[str, str], embodiment: Embodiment, say: Callable[[str], None]
) -> Policy:
    from ideomotor.eval.policy_spec import PolicySpec
    from ideomotor.launch.checkpoints import chosen_policy
    from ideomotor.vla.planner.routing import RoutedPolicy

    def loader(where: str | None) -> Callable[[], Policy]:
        chosen = chosen_policy(where, embodiment)  # that it exists is known before anything moves

        def load() -> Policy:
            policy = PolicySpec(chosen, embodiment.name).load()
            assert policy is not None
            return policy

        return load

    return RoutedPolicy(
        loader(general), {name: loader(where) for name, where in routes.items()}, embodiment, log=say
    )


class _Judge:
    """Whether the goal is really reached, by the truth of the simulation."""

    def __init__(self, world: World):
        from ideomotor.sim.long_horizon.truth import Truth

        self._world, self._truth = world, Truth(world)

    def look(self) -> Facts:
        """What is so now; asked at every frame, it knows what was so for a moment."""
        return self._truth.look()

    def judged(self, executor: Executor) -> _Judged:
        """The judgement, as the scene is now."""
        from ideomotor.vla.planner.goals.grounding import goal_of

        things = self._world.scene.things
        try:
            goal = goal_of(executor.text, tuple(self._world.scene.describe(thing.name) for thing in things))
        except UserError as error:
            return _Judged(None, f"not judged: {error}")
        facts = self._truth.look()
        wanted = goal.wanted(len(goal.milestones) - 1, executor.skipped)
        lacking = [str(one) for one in wanted if not one.met(facts)]
        return _Judged(not lacking, f"{lacking[0]} is not so" if lacking else "everything wanted is so")


def _show(say: Callable[[str], None], executor: Executor, result: GoalResult, judged: _Judged) -> None:
    from ideomotor.vla.planner.plan import drawn

    if executor.plan is not None:
        say(f"plan         {result.replans} other plans were made, the last one:")
        say(drawn(executor.plan))
    for candidate in executor.considered[1:]:
        calls = ", ".join(map(str, candidate.calls))
        say(f"not chosen   {calls}: {candidate.reasons[0]}")
    say(f"ended        {result.ended}: {result.reason}")
    said = {True: "reached", False: "NOT reached", None: "not judged"}[judged.success]
    say(f"result       {said}, {judged.what}; {len(result.attempts)} attempts, {result.seconds:.1f} s")


def _figures(executor: Executor, result: GoalResult, judged: _Judged) -> dict[str, Any]:
    from ideomotor.vla.planner.plan import plan_to_json

    return {
        "success": judged.success,
        "ended": result.ended,
        "reason": result.reason,
        "seconds": result.seconds,
        "plan": plan_to_json(executor.plan) if executor.plan is not None else None,
        "candidates": [
            {"calls": list(map(str, one.calls)), "success": one.success, "reasons": list(one.reasons),
             "imagined": one.imagined}
            for one in executor.considered
        ],
        "attempts": [
            {
                "skill": one.skill, "things": list(one.things), "instruction": one.instruction,
                "started_at": one.started_at, "ended_at": one.ended_at, "perceived": one.perceived,
                "true": one.true,
            }
            for one in result.attempts
        ],
        "replans": result.replans,
        "planner_calls": result.planner_calls,
        "facts": result.fact_counts,
        "interventions": sum(result.interventions.values()),
        "events": [{"time": e.time, "kind": e.kind, "text": e.text} for e in executor.memory.events],
    }  # fmt: skip
