"""Facts about a scene, as the planner, the simulator's truth and the evaluation all spell them.

A fact is a predicate and the things it is about, by the shortest phrase that names one thing only (what
`Scene.describe` gives): `("inside", "small red cube", "blue bowl")`. What is not among the facts is not so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ideomotor.control.errors import UserError, unknown_name

Fact = tuple[str, ...]
Facts = frozenset[Fact]

SIDES = ("left", "right")


@dataclass(frozen=True)
class Predicate:
    """What may be said about things."""

    arguments: tuple[str, ...]  # what each is, in order
    meaning: str
    lasting: bool = False  # once so, it is so until the goal ends


PREDICATES: dict[str, Predicate] = {
    "inside": Predicate(("thing", "bowl"), "it lies in the bowl, let go of"),
    "on": Predicate(("thing", "plate, zone or thing"), "it rests on it, let go of"),
    "in_drawer": Predicate(("thing", "drawer"), "it lies in the drawer, open or closed, let go of"),
    "open": Predicate(("drawer",), "it stands open far enough to reach into"),
    "closed": Predicate(("drawer",), "it is pushed in"),
    "held": Predicate(("thing",), "it is in the hand, off the table"),
    "hand_empty": Predicate((), "nothing is in the hand"),
    "pressed": Predicate(("button",), "it was pushed down since the goal was given", lasting=True),
    "pushed": Predicate(
        ("thing", "left or right"), "it was moved to that side since the goal was given", lasting=True
    ),
    "pointed_at": Predicate(
        ("thing",), "the fingertips were just above it since the goal was given", lasting=True
    ),
}


def fact(predicate: str, *things: str) -> Fact:
    """A checked fact.

    Raises:
        UserError: an unknown predicate, or the wrong number of things.
    """
    if predicate not in PREDICATES:
        raise unknown_name("predicate", predicate, PREDICATES)
    wanted = PREDICATES[predicate].arguments
    if len(things) != len(wanted) or not all(things):
        expected = f"{len(wanted)} ({', '.join(wanted)})" if wanted else "none"
        raise UserError(f"{predicate}: got {len(things)} things {list(things)}, expected {expected}")
    return (predicate, *things)


def in_words(one: Fact) -> str:
    """A fact as people read it: "inside(red cube, blue bowl)"."""
    return f"{one[0]}({', '.join(one[1:])})"


def parse_fact(text: str) -> Fact:
    """The fact that `in_words` wrote.

    Raises:
        UserError: it is none.
    """
    name, opening, rest = text.strip().partition("(")
    if not opening or not rest.endswith(")"):
        raise UserError(f"fact: got {text!r}, expected predicate(thing, …), e.g. 'held(red cube)'")
    inner = rest[:-1].strip()
    return fact(name.strip(), *(part.strip() for part in inner.split(",")) if inner else ())


def listed(facts: Iterable[Fact]) -> list[str]:
    """Facts in words, in the order of the alphabet."""
    return sorted(in_words(one) for one in facts)
