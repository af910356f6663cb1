"""A goal as conditions over facts, and how a sentence becomes one in a scene that is seen.

    goal_of("put all cubes into the bowl, then close the drawer", things, facts)

Quantifiers, colours, counts and pronouns are resolved to the things that are there, so what is left is plain:
milestones, one after the other, each a list of requirements "between `least` and `most` of these are so".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ideomotor.control.facts import Fact, Facts, in_words

MAX_MILESTONES = 16


@dataclass(frozen=True)
class Requirement:
    """Between `least` and `most` of these facts are so."""

    facts: tuple[Fact, ...]
    least: int
    most: int

    def met(self, facts: Facts) -> bool:
        return self.least <= sum(one in facts for one in self.facts) <= self.most

    def missing(self, facts: Facts) -> int:
        """How many facts have to change, at the least."""
        count = sum(one in facts for one in self.facts)
        return max(self.least - count, count - self.most, 0)

    def __str__(self) -> str:
        listed = ", ".join(map(in_words, self.facts))
        if len(self.facts) == 1:
            return listed if self.least else f"not {listed}"
        if self.most == 0:
            return f"none of {listed}"
        return f"{'exactly' if self.least == self.most else 'at least'} {self.least} of {listed}"


@dataclass(frozen=True)
class Milestone:
    """What is to be so before the next one begins; skipped where its condition is not so when it begins."""

    requirements: tuple[Requirement, ...]
    condition: tuple[Fact, bool] | None = None

    def met(self, facts: Facts) -> bool:
        return all(requirement.met(facts) for requirement in self.requirements)

    def applies(self, facts: Facts) -> bool:
        return self.condition is None or (self.condition[0] in facts) == self.condition[1]

    def __str__(self) -> str:
        said = "; ".join(map(str, self.requirements))
        if self.condition is None:
            return said
        fact, wanted = self.condition
        return f"if {'' if wanted else 'not '}{in_words(fact)}: {said}"


@dataclass(frozen=True)
class Goal:
    """What is to be reached."""

    text: str
    milestones: tuple[Milestone, ...]

    def wanted(self, until: int, skipped: Iterable[int] = ()) -> tuple[Requirement, ...]:
        """What must be so at the end of milestone `until`: its requirements, and those of earlier ones that
        it does not undo on purpose.

        Args:
            until: index of a milestone.
            skipped: milestones whose condition was not so.
        """
        kept: list[Requirement] = []
        for index in range(until, -1, -1):
            if index in skipped:
                continue
            for requirement in self.milestones[index].requirements:
                if not any(_undoes(later, requirement) for later in kept):
                    kept.append(requirement)
        return tuple(reversed(kept))

    def met(self, facts: Facts, skipped: Iterable[int] = ()) -> bool:
        """Whether everything that has to be so in the end is so."""
        return all(one.met(facts) for one in self.wanted(len(self.milestones) - 1, skipped))

    def __str__(self) -> str:
        return "\n".join(f"{index + 1}. {milestone}" for index, milestone in enumerate(self.milestones))


def holds(one: Fact) -> Requirement:
    """This fact is so."""
    return Requirement((one,), 1, 1)


def conflict(one: Fact, other: Fact) -> bool:
    """Whether two facts cannot both be so."""
    if one == other:
        return False
    placed = ("inside", "on", "in_drawer", "held")
    if one[0] in placed and other[0] in placed:
        stacked = one[0] == other[0] == "on" and len(one) == len(other) and one[1:] == other[:0:-1]
        return one[1] == other[1] or stacked
    return {one[0], other[0]} == {"open", "closed"} and one[1] == other[1]


def contradictions(requirements: Sequence[Requirement]) -> tuple[Fact, Fact] | None:
    """Two facts of one milestone that cannot both be so."""
    sure = [one for requirement in requirements if _is_sure(requirement) for one in requirement.facts]
    for index, one in enumerate(sure):
        for other in sure[index + 1 :]:
            if conflict(one, other):
                return one, other
    none = {one for requirement in requirements if requirement.most == 0 for one in requirement.facts}
    return next(((one, one) for one in sure if one in none), None)


def _is_sure(requirement: Requirement) -> bool:
    """Whether every fact of a requirement must be so."""
    return requirement.least == len(requirement.facts)


def _undoes(later: Requirement, earlier: Requirement) -> bool:
    """Whether a later requirement makes an earlier one impossible."""
    return any(
        conflict(one, other)
        for one in later.facts
        for other in earlier.facts
        if _is_sure(later) and earlier.least > 0
    )
