"""From the clauses of a sentence to a goal about the things that are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ideomotor.control.errors import UserError
from ideomotor.control.facts import SIDES, Fact, in_words
from ideomotor.vla.planner.goals.goals import (
    MAX_MILESTONES,
    Goal,
    Milestone,
    Requirement,
    conflict,
    contradictions,
    holds,
)
from ideomotor.vla.planner.goals.reader import Clause, Placing, Test, read
from ideomotor.vla.planner.goals.references import Reference
from ideomotor.vla.planner.goals.resolution import SpokenThings
from ideomotor.vla.planner.goals.words import ANY_THING
from ideomotor.vla.planner.things import is_graspable, kind_of, taken_apart

PLACES = ("bowl", "plate", "zone", "drawer")
ON_DRAWERS = ("open", "close")


def goal_of(sentence: str, things: Sequence[str]) -> Goal:
    """What a sentence means among things that are seen.

    Raises:
        UserError: a word or a reference is not understood, it is ambiguous, or it contradicts itself.
    """
    clauses = _without_lifts(_in_order(read(sentence)))
    milestones: list[list[Requirement]] = []
    conditions: list[tuple[Fact, bool] | None] = []
    grounding = _Grounding(tuple(things))
    alone = True  # the last milestone takes nothing more
    for clause in clauses:
        requirements = grounding.requirements(clause)
        if not requirements:
            continue
        condition = grounding.condition(clause.condition) if clause.condition else None
        together = not (alone or clause.then or condition) and not _drawers_turn(milestones[-1], requirements)
        if together:
            milestones[-1] += requirements
        else:
            milestones.append(requirements)
            conditions.append(condition)
        alone = condition is not None
    if not 1 <= len(milestones) <= MAX_MILESTONES:
        raise UserError(
            f"goal: {sentence[:80]!r} has {len(milestones)} things to do, expected 1 to {MAX_MILESTONES}"
        )
    for milestone in milestones:
        if pair := contradictions(milestone):
            one, other = map(in_words, pair)
            raise UserError(f"goal: it contradicts itself: {one} and {other} cannot both be so")
    return Goal(
        sentence,
        tuple(
            Milestone(tuple(milestone), one) for milestone, one in zip(milestones, conditions, strict=True)
        ),
    )


def _in_order(clauses: list[Clause]) -> list[Clause]:
    """Clauses with a condition that are to be done first, first."""
    first = [clause for clause in clauses if clause.condition and clause.first]
    rest = [clause for clause in clauses if clause not in first]
    return [*first, *rest] if rest and clauses[0] not in first else clauses


def _without_lifts(clauses: list[Clause]) -> list[Clause]:
    """Without "pick it up" where what is picked up is then put somewhere."""
    kept = []
    for index, clause in enumerate(clauses):
        following = clauses[index + 1 :]
        moved = any(c.action in ("put", "stack") and c.placings for c in following)
        if clause.action == "lift" and moved:
            placings = tuple(replace(one, place=None) for one in clause.placings)
            clause = replace(clause, action="mention", placings=placings)
        kept.append(clause)
    return kept


def _drawers_turn(before: Sequence[Requirement], after: Sequence[Requirement]) -> bool:
    """Whether one opens what the other closes: that is an order, not a contradiction."""
    return any(
        conflict(one, other)
        for first in before
        for second in after
        for one in first.facts
        for other in second.facts
        if one[0] in ("open", "closed")
    )


def _is_bare(ref: Reference) -> bool:
    """Whether a reference only counts what was named before it: "two", "all"."""
    counts = ref.number is not None or ref.quantifier == "all"
    return counts and not (ref.kinds or ref.colours or ref.size)


class _Grounding:
    """Resolves references in the order in which they are spoken."""

    def __init__(self, things: tuple[str, ...]):
        self._spoken = SpokenThings(things)
        self._marks = frozenset[str]()  # of what was only mentioned, for what is done with it

    def condition(self, test: Test) -> tuple[Fact, bool]:
        """The fact of a condition, and whether it must be so."""
        return (test.state, self._spoken.one(test.reference, ("drawer",))), test.wanted

    def requirements(self, clause: Clause) -> list[Requirement]:
        """What a clause asks for."""
        if clause.condition:
            self._spoken.resolve(clause.condition.reference, ("drawer",))
        if clause.state:
            name = self._spoken.one(clause.state.reference, ("drawer",))
            opposite = {"open": "closed", "closed": "open"}[clause.state.state]
            return [holds((clause.state.state if clause.state.wanted else opposite, name))]
        if clause.action == "tower" or (
            clause.action == "stack" and all(not p.place for p in clause.placings)
        ):
            return self._tower(clause)
        if clause.action == "mention":
            for placing in clause.placings:
                self._things_of(placing)
            self._marks |= clause.marks
            return []
        if clause.action == "tidy":
            return self._tidy(clause)
        marks, self._marks = clause.marks | self._marks, frozenset()
        found = [one for placing in clause.placings for one in self._placing(clause, placing)]
        if marks & {"NOELSE", "KIT"}:
            found = self._nothing_else(found)
        if not found and clause.implicit:
            self._marks = marks
            return []
        if not found and clause.placings:
            raise UserError(f"goal: {clause.text!r} names no place, expected e.g. 'into the bowl'")
        return found

    def _placing(self, clause: Clause, placing: Placing) -> list[Requirement]:
        action = clause.action
        if action == "point" and placing.place is not None:  # point at it, reach for it
            placing = Placing((*placing.things, placing.place))
        if action in ("open", "close", "press", "lift", "point") and placing.things:
            return self._simple(action, placing.things)
        if placing.preposition in SIDES:
            names = [name for ref in placing.things for name in self._spoken.resolve(ref, ANY_THING)]
            return [holds(("pushed", name, placing.preposition)) for name in names]
        if placing.place is None and placing.preposition == "in" and self._spoken.last_drawer:
            names = self._things_of(placing)
            return [holds(("in_drawer", name, self._spoken.last_drawer)) for name in names]
        where = placing.place
        if where is None or not placing.things:
            if self._spoken.last and where is not None:
                return self._into(self._spoken.last, where, None, False)
            if placing.things:  # spoken of, for what follows
                self._things_of(placing)
            return []
        if len(placing.things) > 1 and _is_bare(placing.things[-1]):
            of, last = placing.things[-2:]  # "of the red things two", "the cube, the ball, all"
            counted = replace(of, number=last.number, quantifier="any", text=last.text)
            rest = placing.things[:-1] if last.number is None else (*placing.things[:-2], counted)
            placing = replace(placing, things=rest)
        if placing.preposition == "below":
            raise UserError(f"goal: {clause.text!r} puts something below something, expected on or into")
        exactly = "EXACTLY" in clause.marks
        if len(placing.things) == 1:
            ref = placing.things[0]
            names = self._spoken.resolve(ref, ANY_THING)
            count = ref.number if ref.quantifier in ("any", "all") and ref.number is not None else None
            if ref.quantifier == "any" and count is None:
                count = 1
            return self._into(names, where, count, exactly)
        return self._into(self._things_of(placing), where, None, False)

    def _things_of(self, placing: Placing) -> tuple[str, ...]:
        names = [name for ref in placing.things for name in self._spoken.resolve(ref, ANY_THING)]
        self._spoken.last = tuple(dict.fromkeys(names))
        return self._spoken.last

    def _simple(self, action: str, references: Sequence[Reference]) -> list[Requirement]:
        domain = {"open": ("drawer",), "close": ("drawer",), "press": ("button",)}.get(action, ANY_THING)
        predicate = {"open": "open", "close": "closed", "press": "pressed", "lift": "held"}.get(
            action, "pointed_at"
        )
        names = [name for ref in references for name in self._spoken.resolve(ref, domain)]
        if predicate == "held" and len(names) > 1:
            raise UserError(f"goal: lift: got {len(names)} things, expected one, for there is one hand")
        return [holds((predicate, name)) for name in dict.fromkeys(names)]

    def _into(
        self, names: Sequence[str], place: Reference, count: int | None, exactly: bool
    ) -> list[Requirement]:
        facts = [self._fact(name, place, names) for name in dict.fromkeys(names)]
        if count is None or (count == len(facts) and not exactly):
            return [holds(one) for one in facts]
        if count > len(facts):
            raise UserError(f"goal: {count} of {', '.join(names)}: there are only {len(facts)}")
        return [Requirement(tuple(facts), count, count if exactly else len(facts))]

    def _fact(self, name: str, place: Reference, names: Sequence[str]) -> Fact:
        spot = self._place_of(name, place, names)
        kind = kind_of(spot)
        if spot == name:
            raise UserError(f"goal: {name!r} cannot be put on itself")
        predicate = {"bowl": "inside", "drawer": "in_drawer"}.get(kind, "on")
        return predicate, name, spot

    def _place_of(self, name: str, place: Reference, names: Sequence[str]) -> str:
        kinds = place.kinds or PLACES
        if place.matching:
            colour = taken_apart(name).colour
            same = [t for t in self._spoken.things if kind_of(t) in kinds and taken_apart(t).colour == colour]
            if len(same) != 1:
                raise UserError(
                    f"goal: {len(same)} {'/'.join(kinds)} of the colour of {name!r}, expected one"
                )
            return same[0]
        if place.quantifier in ("it", "them"):
            if self._spoken.last_drawer:
                return self._spoken.last_drawer
            raise UserError(f"goal: {place.text!r} is no place that was spoken of")
        domain = place.kinds or (*PLACES, *ANY_THING)
        last = self._spoken.last
        found = self._spoken.one(place, domain)
        self._spoken.last = last or tuple(names)
        return found

    def _nothing_else(self, found: Sequence[Requirement]) -> list[Requirement]:
        """The same, and nothing else at those places."""
        placed = [one for requirement in found for one in requirement.facts if one[0] in ("inside", "on")]
        places = dict.fromkeys((one[0], one[2]) for one in placed if kind_of(one[2]) in PLACES)
        others = [name for name in self._spoken.things if is_graspable(name)]
        facts = [(p, name, spot) for p, spot in places for name in others if (p, name, spot) not in placed]
        exact = [replace(one, most=one.least) if one.least < len(one.facts) else one for one in found]
        return [*exact, Requirement(tuple(facts), 0, 0)] if facts else exact

    def _tidy(self, clause: Clause) -> list[Requirement]:
        placings = [one for one in clause.placings if one.place is not None]
        if placings:
            return [one for placing in placings for one in self._placing(clause, placing)]
        named = [
            name
            for one in clause.placings
            for ref in one.things
            for name in self._spoken.resolve(ref, ANY_THING)
        ]
        if not clause.placings and "BYCOLOUR" not in clause.marks and not clause.text.endswith("tidy"):
            return []
        place = Reference("the container of its colour", ("bowl", "plate"), matching=True)
        names = named or [name for name in self._spoken.things if is_graspable(name)]
        return self._into(names, place, None, False) if named or clause.text.strip() else []

    def _tower(self, clause: Clause) -> list[Requirement]:
        refs = [(ref, mark) for ref, mark in clause.order if ref.quantifier not in ("it", "them")]
        named: list[tuple[str, str]] = []
        for ref, mark in refs:
            if ref.number is not None and len(refs) > 1:
                continue  # "of three cubes"
            named += [(name, mark) for name in self._spoken.resolve(ref, ANY_THING)]
        rank = {"BOTTOM": 0, "": 1, "MIDDLE": 1, "TOP": 2}
        ordered = [name for name, _ in sorted(named, key=lambda one: rank[one[1]])]
        if "DOWNWARDS" in clause.marks:
            ordered.reverse()
        if len(ordered) < 2 or len(set(ordered)) < len(ordered):
            raise UserError(
                f"goal: {clause.text!r}: a tower of {ordered}, expected two different cubes or more"
            )
        self._spoken.last = tuple(ordered)
        return [holds(("on", top, base)) for base, top in zip(ordered, ordered[1:], strict=False)]
