"""What a goal longer than one skill is given by, in `run` and `launch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ideomotor.control.errors import UserError

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.vla.planner.candidates import Imagine
    from ideomotor.vla.planner.executor import Executor


@dataclass(frozen=True)
class GoalArguments:
    """A goal, and who plans for it."""

    goal: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """a goal of several skills, e.g. "put all cubes into the bowl, then close the drawer\" (see
    docs/planning.md)"""

    planner: Annotated[str, tyro.conf.arg(metavar="NAME")] = "symbolic"
    """symbolic; local:DIR or local:ORG/NAME, a language model; openai:MODEL or anthropic:MODEL, asked over
    the network, with the key from OPENAI_API_KEY or ANTHROPIC_API_KEY"""

    base_url: Annotated[str, tyro.conf.arg(metavar="URL")] = ""
    """of another server that speaks OpenAI's protocol, e.g. http://127.0.0.1:8000/v1"""

    share_images: bool = False
    """send the front camera's picture to the planner's server as well"""

    perception: Literal["seen", "truth"] = "seen"
    """what the planner is told of the scene: what the front camera sees; or, in `run`, the simulator's truth,
    which shows what better eyes would be worth"""

    candidates: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """plans that are weighed before one is chosen"""

    imagine: bool = False
    """try plans in simulation before one is chosen: scripted experts carry them out, without pictures, in a
    world in which things are where they are perceived"""

    ask: bool = False
    """ask the person at the terminal, or with --web at the page, before giving up: again, skip or stop"""

    no_verification: bool = False
    """take every skill for done when its time is over, without looking"""

    goal_seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 120.0
    """give up after so long"""

    rates: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """JSON {skill: rate} of the policy, by which plans are weighed; the bundled policy's by default"""

    question: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TEXT")] = ()
    """asked afterwards, of what was seen and done, e.g. "what was in the drawer?\""""


def check_goal(options: GoalArguments) -> None:
    """UserError for what no goal can be carried out with."""
    from ideomotor.vla.planner.memory import Memory

    if options.goal is None:
        usual = GoalArguments()
        given = [name for name in _OF_A_GOAL if getattr(options, name) != getattr(usual, name)]
        if given or options.question:
            name = (given or ["question"])[0].replace("_", "-")
            raise UserError(f"{name}: belongs to --goal, which is not given")
        return
    if not options.goal.strip():
        raise UserError(f"goal: got {options.goal!r}, expected e.g. 'put all cubes into the bowl'")
    for question in options.question:
        Memory().answer(question)  # whether it is one
    if not 1 <= options.candidates <= 8:
        raise UserError(f"candidates: got {options.candidates}, expected 1 to 8")
    if not 1 <= options.goal_seconds <= 3600:
        raise UserError(f"goal-seconds: got {options.goal_seconds:g}, expected 1 to 3600")


def executor_of(
    options: GoalArguments, specialists: tuple[str, ...], log: Callable[[str], None], embodiment: Embodiment
) -> Executor:
    """What carries the goal out.

    Raises:
        UserError: as `planner_named`, for rates that cannot be read, or a robot that cannot be simulated.
    """
    from ideomotor.vla.planner.candidates import RATES, load_rates
    from ideomotor.vla.planner.executor import Executor
    from ideomotor.vla.planner.executor_options import ExecutorOptions
    from ideomotor.vla.planner.proposing.choosing import planner_named

    assert options.goal is not None
    how = ExecutorOptions(
        verify=not options.no_verification,
        candidates=options.candidates,
        max_seconds=options.goal_seconds,
        ask=options.ask,
    )
    rates = load_rates(options.rates) if options.rates else RATES
    planner = planner_named(options.planner, options.base_url, options.share_images)
    imagine = _imagination(embodiment) if options.imagine else None
    return Executor(options.goal, planner, how, rates, specialists, imagine, log)


def asked_where_somebody_is(options: GoalArguments, there: bool, say: Callable[[str], None]) -> GoalArguments:
    """The same; without `ask`, which is said, where there is nobody to be asked."""
    if options.ask and not there:
        say("ask: there is no terminal and no page, so nobody is asked")
    return replace(options, ask=options.ask and there)


def _imagination(embodiment: Embodiment) -> Imagine:
    from ideomotor.launch.runtime.rig import has_world

    if not has_world(embodiment):
        raise UserError(f"imagine: there is no simulated table for {embodiment.name}, expected so101")
    from ideomotor.eval.goals.imagining import Imagination

    return Imagination(embodiment)


_OF_A_GOAL = ("planner", "base_url", "rates", "imagine", "ask")
