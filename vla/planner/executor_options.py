"""How a goal is carried out, and what is kept while it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from ideomotor.vla.planner.interface import SkillAttempt
from ideomotor.vla.planner.plan import Call

CONFIRM = 2  # looks in a row that must agree that a skill has succeeded
GRACE = 3  # looks after a skill's time, or at the end, before it is taken for failed
DONE_PROGRESS = 0.95  # of the policy's own word that is believed where nothing is verified


@dataclass(frozen=True)
class ExecutorOptions:
    """How a goal is carried out; the defaults are recommended, the rest are for ablations."""

    verify: bool = True  # whether skills are checked against what is seen
    candidates: int = 3  # plans that are weighed; 1: the first is taken
    memory: bool = True
    retries: int = 1  # of a skill, in other words, before another plan is made
    max_replans: int = 6
    max_attempts: int = 24
    max_questions: int = 2
    max_seconds: float = 240.0  # [s]
    ask: bool = False  # whether there is a person who can be asked


@dataclass
class Acting:
    """The skill that is under way."""

    call: Call
    instruction: str
    started_at: float
    number: int
    specialist: str
    seen: int = 0  # looks in a row that say it has succeeded
    late: int = 0  # looks after its time

    def ended(self, time: float, good: bool, why: str) -> SkillAttempt:
        """The attempt that it was, at its end [s]."""
        return SkillAttempt(self.call, self.instruction, self.started_at, time, good, why, self.specialist)


@dataclass
class Failures:
    """What did not succeed."""

    counts: dict[Call, int] = field(default_factory=dict)
    order: list[Call] = field(default_factory=list)
    others: set[Call] = field(default_factory=set)  # for which another specialist was asked
