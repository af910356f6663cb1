"""What passes between a goal's executor and whoever runs the episode: a simulation in lockstep or a launch.

At most once a second the runner hands a `Moment` in and gets a `Decision` back. The executor only ever
answers with an instruction; it knows no motor, and the safety filter stands below the policy as ever.

    executor.start(moment)                  # plans; may take as long as its planner does
    while the episode goes on, once every PERIOD_S:
        decision = executor.decide(moment)
        ACT: the policy is given `decision.instruction`; `decision.attempt` counts up with each new attempt
        ASK: somebody is asked `decision.question`; `executor.answer(text)` brings their word
        DONE, GIVE_UP: the goal's episode ends, `decision.reason` says why
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from ideomotor.control.facts import Facts
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.planner.plan import Call, Plan

PERIOD_S = 1.0  # between decisions, at least [s]


@dataclass(frozen=True)
class PerceivedScene:
    """What is seen of a scene, without any knowledge of the truth."""

    things: tuple[str, ...]  # by the shortest phrase that names one thing only
    facts: Facts
    positions: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # x, y [m] in the base frame
    confidence: Mapping[str, float] = field(default_factory=dict)  # {thing: that it is there}, in [0, 1]
    sizes: Mapping[str, str] = field(default_factory=dict)  # small or large, of what can be grasped
    openings: Mapping[str, float] = field(default_factory=dict)  # of drawers [m]


class Perception(Protocol):
    """Looks at a scene at most once a second. It remembers what lasts (`Predicate.lasting`)."""

    def reset(self, goal: str = "") -> None:
        """A goal begins: nothing is remembered; its words are evidence of what there is."""
        ...

    def notice(self, state: np.ndarray) -> None:
        """What joint positions (A,) tell between two looks; at every camera frame, if the runner can."""
        ...

    def perceive(self, observation: Observation, plan: LatentPlan | None) -> PerceivedScene:
        """What is so now.

        Args:
            observation: the newest one.
            plan: the policy's newest, if there is one.
        """
        ...


@dataclass(frozen=True)
class Moment:
    """What the executor knows of the present."""

    time: float  # [s] since the goal's episode began
    scene: PerceivedScene
    progress: float = 0.0  # the policy's own word on its present instruction, in [0, 1]
    confidence: float = float("nan")  # of the policy's newest chunk; NaN where it tells none
    still: bool = True  # whether the arm stands still
    images: Mapping[str, np.ndarray] = field(default_factory=dict)  # {camera: (H, W, 3) uint8}, if there are


class DecisionKind(StrEnum):
    ACT = "act"
    ASK = "ask"
    DONE = "done"
    GIVE_UP = "give_up"


@dataclass(frozen=True)
class Decision:
    """What is to be done until the next decision."""

    kind: DecisionKind
    instruction: str = ""  # for the policy; empty unless ACT
    call: Call | None = None  # that the instruction stands for
    attempt: int = 0  # of the episode, counted from 1; a new number is a new beginning of a skill
    specialist: str = ""  # skill whose own policy is to act; empty: the general one
    question: str = ""  # of ASK
    reason: str = ""  # one line


@dataclass(frozen=True)
class SkillAttempt:
    """One attempt at a skill, as the executor saw it."""

    call: Call
    instruction: str
    started_at: float  # [s] of the goal's episode
    ended_at: float
    succeeded: bool  # as perceived, or taken for granted without verification
    why: str  # it ended
    specialist: str = ""


class GoalExecutor(Protocol):
    """Turns a goal into instructions, one after the other; bounded in every respect."""

    @property
    def text(self) -> str:
        """The goal in words; empty: there are none."""
        ...

    def start(self, moment: Moment) -> None:
        """Plans. Call it once, before the first `decide`."""
        ...

    def decide(self, moment: Moment) -> Decision:
        """What to do now; moments come in the order of time. After DONE or GIVE_UP it stays so."""
        ...

    def answer(self, text: str) -> None:
        """What the person said to the question; empty: nobody answered."""
        ...

    @property
    def plan(self) -> Plan | None:
        """That is being carried out."""
        ...

    @property
    def attempts(self) -> Sequence[SkillAttempt]:
        """That have ended, in order."""
        ...

    @property
    def replans(self) -> int:
        """How many plans were made after the first."""
        ...

    @property
    def planner_calls(self) -> int:
        """How many times a planner was asked, retries included."""
        ...
