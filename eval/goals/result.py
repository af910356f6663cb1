"""What happened in a goal's episode."""

from __future__ import annotations

from dataclasses import dataclass, field

from ideomotor.control.types import Observation
from ideomotor.vla.planner.interface import Decision, PerceivedScene


@dataclass(frozen=True)
class AttemptRow:
    """One attempt at a skill: what the executor saw, and what was so."""

    skill: str
    things: tuple[str, ...]
    instruction: str
    started_at: float  # [s]
    ended_at: float
    perceived: bool  # the executor took it for a success
    true: bool  # its effects were so at the end
    why: str  # it ended


@dataclass(frozen=True)
class GoalFrame:
    """A camera frame of a goal's episode, for a film or a log."""

    observation: Observation
    decision: Decision
    scene: PerceivedScene


@dataclass(frozen=True)
class GoalResult:
    """What happened in a goal's episode."""

    success: bool  # what was asked for is so at the end
    reached: bool  # it was so at some time, whether or not anybody noticed
    ended: str  # done, give_up, out of time, or not understood
    reason: str
    seconds: float
    subgoals: int  # that were reached
    subgoals_wanted: int
    replans: int
    planner_calls: int
    attempts: list[AttemptRow]
    interventions: dict[str, int]
    holds: int
    plan: str  # that was carried out last, drawn
    fact_counts: dict[str, int] = field(default_factory=dict)  # of perceived facts: true, false, missed
