"""From a goal's sentence to clauses: what is to be done with which references. No scene is needed yet."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.goals import words
from ideomotor.vla.planner.goals.references import Cursor, Reference, is_filler, reference_at, singular

MAX_WORDS = 120
_TOKEN = re.compile(r"[a-zA-Z']+|\d+|[,;:.!]")


@dataclass(frozen=True)
class Placing:
    """Things, and where they go; without a place, or a side."""

    things: tuple[Reference, ...]
    place: Reference | None = None
    preposition: str = ""  # in, on, to or below; left or right


@dataclass(frozen=True)
class Test:
    """What a condition or a state is about."""

    reference: Reference
    state: str  # open or closed
    wanted: bool


@dataclass(frozen=True)
class Clause:
    """One thing to do."""

    action: str  # a value of `words.VERBS`, or "state"
    placings: tuple[Placing, ...] = ()
    condition: Test | None = None
    state: Test | None = None
    then: bool = False  # only after what was said before
    first: bool = False
    marks: frozenset[str] = frozenset()
    order: tuple[tuple[Reference, str], ...] = ()  # of a tower: (cube, TOP, MIDDLE, BOTTOM or "")
    text: str = ""
    implicit: bool = False  # no verb was said


def read(sentence: str) -> list[Clause]:
    """The clauses of a goal.

    Raises:
        UserError: it is empty or too long, or a word is not understood (with near matches).
    """
    tokens = tokenised(sentence)
    cursor, clauses = Cursor(tokens), list[Clause]()
    action, then, condition = "", False, None
    while cursor.peek():
        token = cursor.peek()
        if token in (",", ";", ":", ".", "!", "and") or is_filler(token):
            cursor.take()
        elif token == "THEN":
            then = bool(clauses)
            cursor.take()
        elif token in words.IF:
            condition = _condition(cursor)
        else:
            clause = _ClauseReader(cursor).read(action)
            clauses.append(replace(clause, condition=condition, then=then))
            action, then, condition = clause.action, False, None
    if condition is not None or not clauses:
        raise UserError(f"goal: {sentence!r} says nothing to do, expected e.g. 'put all cubes into the bowl'")
    return clauses


def tokenised(sentence: str) -> list[str]:
    """Words, marks and signs. UserError as `read`."""
    text = " ".join(sentence.lower().split())
    for pattern, by in words.PHRASES:
        text = pattern.sub(by, text)
    tokens = _TOKEN.findall(text)
    if not tokens:
        raise UserError(f"goal: got {sentence[:80]!r}, expected e.g. 'put all cubes into the bowl'")
    if len(tokens) > MAX_WORDS:
        raise UserError(f"goal: {len(tokens)} words, expected at most {MAX_WORDS}")
    for token in tokens:
        if token not in words.MARKS and not _known(token) and token not in ",;:.!":
            near = difflib.get_close_matches(token, sorted(words.WORDS), n=1, cutoff=0.7)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"goal: {token[:40]!r} is not understood{hint} (docs/planning.md has the words)")
    return tokens


def _known(token: str) -> bool:
    return token in words.WORDS or singular(token) in words.NOUNS


def _condition(cursor: Cursor) -> Test:
    unless = words.IF[cursor.take()] == "unless"
    reference = reference_at(cursor)
    if reference is None:
        raise UserError(
            f"goal: a condition about {cursor.peek() or 'nothing'!r}, expected e.g. 'if the drawer is open'"
        )
    test = _state(cursor, reference)
    if test is None:
        raise UserError(f"goal: a condition on {reference.text!r} says no state, expected open or closed")
    return replace(test, wanted=test.wanted != unless)


def _state(cursor: Cursor, reference: Reference) -> Test | None:
    """ "is (not) open" behind a reference."""
    start, wanted, copula = cursor.at, True, False
    while cursor.peek() in ("IS", "NOT") or is_filler(cursor.peek()):
        token = cursor.take()
        wanted, copula = wanted != (token == "NOT"), copula or token == "IS"
    if copula and cursor.peek() in words.STATES:
        return Test(reference, words.STATES[cursor.take()], wanted)
    cursor.at = start
    return None


class _ClauseReader:
    """Reads one clause, from its verb or from its first reference."""

    def __init__(self, cursor: Cursor):
        self._cursor, self._start = cursor, cursor.at
        self._action, self._marks, self._first = "", set[str](), False
        self._order: list[tuple[Reference, str]] = []
        self._placings, self._things = list[Placing](), list[Reference]()
        self._pending: tuple[Reference | None, str] | None = None  # a place that waits for its things
        self._state: Test | None = None

    def read(self, previous: str) -> Clause:
        """The clause; without a verb it does what the one before did, else it puts."""
        while self._cursor.peek() and self._state is None and not self._ends():
            self._take()
        text = " ".join(self._cursor.tokens[self._start : self._cursor.at])
        if self._state is not None:
            return Clause("state", state=self._state, marks=frozenset(self._marks), text=text)
        if self._things or self._pending:
            place, preposition = self._pending or (None, "")
            self._placings.append(Placing(tuple(self._things), place, preposition))
        said = self._action or (previous if previous in ("put", "stack", "push") else "put")
        return Clause(
            said, tuple(self._placings), first=self._first, marks=frozenset(self._marks),
            order=tuple(self._order), text=text, implicit=not self._action,
        )  # fmt: skip

    def _ends(self) -> bool:
        token, said = self._cursor.peek(), bool(self._things or self._placings)
        if token in words.VERBS:
            building = self._action in ("tower", "stack") and token == "tower"
            return bool(self._action) and said and not building
        if token in (",", ":", "and", "THEN") and said and _ahead_is_verb(self._cursor):
            return True
        return token in words.IF or token in ".;!" or (token == "THEN" and self._action != "tower")

    def _take(self) -> None:
        cursor = self._cursor
        token = cursor.peek()
        if token in words.VERBS:
            building = self._action == "tower"
            self._action = self._action if building else words.VERBS[token]
            cursor.take()
        elif token in words.MARKS:
            self._mark(cursor.take())
        elif token in words.PREPOSITIONS:
            self._place(words.PREPOSITIONS[cursor.take()])
        elif (reference := reference_at(cursor)) is not None:
            self._refer(reference)
        else:
            self._first = self._first or token == "first"
            cursor.take()

    def _mark(self, token: str) -> None:
        if token in ("TOP", "MIDDLE", "BOTTOM") and self._order:
            self._order[-1] = (self._order[-1][0], token)
        elif token in ("TOleft", "TOright"):
            self._placings.append(Placing(tuple(self._things), None, token[2:]))
            self._things = []
        elif token == "NOT":
            raise UserError(
                "goal: what is not to be done is not understood, expected what is to be so in the end"
            )
        self._marks.add(token)

    def _place(self, preposition: str) -> None:
        place = reference_at(self._cursor)
        if place is not None:
            self._order.append((place, "BOTTOM" if preposition == "below" else ""))
        if self._things and (place is not None or preposition == "in"):
            self._placings.append(Placing(tuple(self._things), place, preposition))
            self._things = []
        elif place is not None:
            self._pending = (place, preposition)

    def _refer(self, reference: Reference) -> None:
        if not self._things and not self._action:
            self._state = _state(self._cursor, reference)
        if self._state is None:
            self._things.append(reference)
            self._order.append((reference, ""))


def _ahead_is_verb(cursor: Cursor) -> bool:
    """Whether a new clause begins behind this sign."""
    ahead = 1
    while cursor.peek(ahead) in (",", "and", "THEN") or (
        cursor.peek(ahead) and is_filler(cursor.peek(ahead))
    ):
        ahead += 1
    return cursor.peek(ahead) in words.VERBS or cursor.peek(ahead) in words.IF
