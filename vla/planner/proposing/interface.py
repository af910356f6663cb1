"""The interface of planners: what they are asked, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ideomotor.control.facts import Facts
from ideomotor.vla.planner.goals.goals import Goal
from ideomotor.vla.planner.plan import Call, Plan


@dataclass(frozen=True)
class PlanRequest:
    """What a planner is asked."""

    text: str  # the goal as it was given
    goal: Goal | None  # the same as conditions; None where the grammar does not understand it
    things: Sequence[str]
    facts: Facts
    memory: Sequence[str]  # lines
    failed: Sequence[Call]  # what did not succeed, the newest last
    count: int  # plans that are wanted
    costs: Mapping[str, float]
    reached: int = 0  # milestones of the goal
    skipped: Sequence[int] = ()
    images: Mapping[str, np.ndarray] = field(default_factory=dict)  # only where they may be shared


class PlannerFailed(Exception):
    """A planner gave no plan. `outcome` is one of OUTCOMES."""

    def __init__(self, outcome: str, why: str):
        super().__init__(f"{outcome.replace('_', ' ')}: {why}")
        assert outcome in OUTCOMES
        self.outcome = outcome


OUTCOMES: dict[str, str] = {
    "no_plan": "no order of skills reaches it, as far as was searched",
    "malformed": "what it wrote is no plan",
    "refused": "it said that it will not",
    "timed_out": "it did not answer in time",
    "unreachable": "the server could not be reached, or said that something is wrong",
    "over_budget": "the limit of tokens, cost or calls is used up",
}


class Planner(Protocol):
    """Proposes plans. It sees words and facts; it never sees a motor."""

    @property
    def name(self) -> str: ...

    def propose(self, request: PlanRequest) -> list[Plan]:
        """At most `request.count` plans.

        Raises:
            PlannerFailed: it has none.
        """
        ...
