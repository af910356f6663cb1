"""What the robot can be asked to do, as typed calls: arguments, what must be so before and afterwards,
and the words its policy was trained with.

A planner chooses among these and nothing else. Facts about the hand and about where a thing lies follow from
`moves` and `Skill.hand`, so that every skill treats them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.facts import SIDES, Fact, Facts, in_words
from ideomotor.vla.planner.plan import Call
from ideomotor.vla.planner.things import is_graspable, kind_of

WHERE = ("inside", "on", "in_drawer", "held")  # predicates that say where their first thing is
Literal = tuple[Fact, bool]  # a fact, and whether it must be so; "*" stands for any thing


@dataclass(frozen=True)
class Parameter:
    """One argument of a skill."""

    name: str
    expected: str  # in words
    fits: Callable[[str], bool]  # whether a thing by its name can be it


@dataclass(frozen=True)
class Skill:
    """One built-in task as a call."""

    name: str
    task: str  # of `sim.tasks`, or of the policy that is asked for it
    parameters: tuple[Parameter, ...]
    max_seconds: float  # an attempt ends after it [s]
    instructions: Callable[
        [Sequence[str]], tuple[str, ...]
    ]  # as the policy was trained with, first the usual
    needs: Callable[[Sequence[str]], tuple[Literal, ...]]
    adds: Callable[[Sequence[str]], tuple[Fact, ...]]
    deletes: Callable[[Sequence[str]], tuple[Fact, ...]] = lambda arguments: ()
    moves: bool = True  # its first thing leaves where it was
    may_hold: bool = False  # its first thing may be in the hand at the start; else the hand must be empty


THING = Parameter("thing", "a thing that can be grasped", is_graspable)
CONTAINER = Parameter("container", "a bowl or plate", lambda name: kind_of(name) in ("bowl", "plate"))
CUBE = Parameter("thing", "a cube", lambda name: kind_of(name) == "cube")
BASE = Parameter("base", "a cube", lambda name: kind_of(name) == "cube")
DRAWER = Parameter("drawer", "a drawer", lambda name: kind_of(name) == "drawer")
BUTTON = Parameter("button", "a button", lambda name: kind_of(name) == "button")
GOAL = Parameter("where", "a zone, 'left' or 'right'", lambda name: name in SIDES or kind_of(name) == "zone")


def _into(container: str) -> str:
    return f"{'into' if kind_of(container) == 'bowl' else 'onto'} the {container}"


def _side_or_zone(where: str) -> str:
    return f"to the {where}" if where in SIDES else f"onto the {where}"


def _drawer(verb: str, becomes: str, was: str) -> Skill:
    """What is done to a drawer, and the predicates that it makes true and false."""
    return Skill(
        verb, "drawer", (DRAWER,), 8.0,
        instructions=lambda a: (
            f"{verb} the {a[0]}", f"please {verb} the {a[0]}", f"{verb} the {a[0]} all the way"
        ),
        needs=lambda a: (((becomes, a[0]), False),),
        adds=lambda a: ((becomes, a[0]),),
        deletes=lambda a: ((was, a[0]),),
        moves=False,
    )  # fmt: skip


SKILLS: dict[str, Skill] = {
    "lift": Skill(
        "lift", "lift", (THING,), 6.0,
        instructions=lambda a: (f"lift the {a[0]}", f"pick up the {a[0]}", f"grab the {a[0]} and lift it"),
        needs=lambda a: (_clear(a[0]), _not_stowed(a[0])),
        adds=lambda a: (("held", a[0]),),
    ),
    "place": Skill(
        "place", "place", (THING, CONTAINER), 10.0,
        instructions=lambda a: (
            f"put the {a[0]} {_into(a[1])}", f"pick up the {a[0]} and put it {_into(a[1])}",
            f"move the {a[0]} {_into(a[1])}",
        ),
        needs=lambda a: (_clear(a[0]), _not_stowed(a[0])),
        adds=lambda a: (("inside" if kind_of(a[1]) == "bowl" else "on", a[0], a[1]),),
        may_hold=True,
    ),
    "stack": Skill(
        "stack", "stack", (CUBE, BASE), 10.0,
        instructions=lambda a: (
            f"stack the {a[0]} on the {a[1]}", f"place the {a[0]} on top of the {a[1]}",
            f"pick up the {a[0]} and stack it on the {a[1]}",
        ),
        needs=lambda a: (_clear(a[0]), _clear(a[1]), _not_stowed(a[0]), _not_stowed(a[1]),
                         (("inside", a[1], "*"), False)),
        adds=lambda a: (("on", a[0], a[1]),),
        may_hold=True,
    ),
    "push": Skill(
        "push", "push", (THING, GOAL), 8.0,
        instructions=lambda a: (
            f"push the {a[0]} {_side_or_zone(a[1])}", f"slide the {a[0]} {_side_or_zone(a[1])}",
            f"nudge the {a[0]} {_side_or_zone(a[1])}",
        ),
        needs=lambda a: (_clear(a[0]), _not_stowed(a[0]), (("inside", a[0], "*"), False)),
        adds=lambda a: (("pushed", a[0], a[1]) if a[1] in SIDES else ("on", a[0], a[1]),),
    ),
    "open": _drawer("open", "open", "closed"),
    "close": _drawer("close", "closed", "open"),
    "press": Skill(
        "press", "press", (BUTTON,), 5.0,
        instructions=lambda a: (f"press the {a[0]}", f"push the {a[0]} down", f"press down on the {a[0]}"),
        needs=lambda a: (),
        adds=lambda a: (("pressed", a[0]),),
        moves=False,
    ),
    "point": Skill(
        "point", "reach", (THING,), 4.0,
        instructions=lambda a: (f"point at the {a[0]}", f"reach for the {a[0]}", f"hover over the {a[0]}"),
        needs=lambda a: (_not_stowed(a[0]),),
        adds=lambda a: (("pointed_at", a[0]),),
        moves=False,
    ),
    "stow": Skill(
        "stow", "stow", (THING, DRAWER), 12.0,
        instructions=lambda a: (
            f"put the {a[0]} into the {a[1]}", f"pick up the {a[0]} and put it into the {a[1]}",
            f"move the {a[0]} into the {a[1]}",
        ),
        needs=lambda a: (_clear(a[0]), _not_stowed(a[0]), (("open", a[1]), True)),
        adds=lambda a: (("in_drawer", a[0], a[1]),),
        may_hold=True,
    ),
    "put_down": Skill(  # onto a free place of the table, which no fact names
        "put_down", "put_down", (THING,), 8.0,
        instructions=lambda a: (
            f"put the {a[0]} down on the table", f"set the {a[0]} down on the table",
            f"put the {a[0]} back on the table",
        ),
        needs=lambda a: (_clear(a[0]), _not_stowed(a[0])),
        adds=lambda a: (("hand_empty",),),
        may_hold=True,
    ),
}  # fmt: skip


def checked(call: Call, things: Iterable[str]) -> Skill:
    """The skill of a call whose arguments are things that are seen.

    Raises:
        UserError: an unknown skill, a wrong number of arguments, a thing that is not there or does not fit.
    """
    if call.skill not in SKILLS:
        raise unknown_name("skill", call.skill, SKILLS)
    skill, seen = SKILLS[call.skill], sorted(things)
    if len(call.arguments) != len(skill.parameters):
        wanted = ", ".join(parameter.name for parameter in skill.parameters)
        raise UserError(f"{call.skill}: got {len(call.arguments)} arguments, expected ({wanted})")
    for argument, parameter in zip(call.arguments, skill.parameters, strict=True):
        if argument not in (*seen, *SIDES):
            raise unknown_name(f"{call.skill}.{parameter.name}", argument, seen)
        if not parameter.fits(argument):
            raise UserError(f"{call.skill}.{parameter.name}: got {argument!r}, expected {parameter.expected}")
    if len(set(call.arguments)) < len(call.arguments):
        raise UserError(f"{call.skill}: got {call.arguments[0]!r} twice")
    return skill


def instruction(call: Call, phrasing: int = 0) -> str:
    """The policy's instruction, in one of the phrasings it was trained with."""
    phrasings = SKILLS[call.skill].instructions(call.arguments)
    return phrasings[phrasing % len(phrasings)]


def effects(call: Call) -> tuple[Fact, ...]:
    """The facts that say that a call has succeeded."""
    return SKILLS[call.skill].adds(call.arguments)


def succeeded(call: Call, facts: Facts) -> bool:
    """Whether what a call is for is so: its effects; and what is put down on the table is nowhere else."""
    lies = any(one[0] in WHERE and one[1] == call.arguments[0] for one in facts)
    return set(effects(call)) <= facts and not (call.skill == "put_down" and lies)


def unmet(call: Call, facts: Facts) -> list[str]:
    """In words, what must be so before a call and is not."""
    skill = SKILLS[call.skill]
    in_hand = [one[1] for one in facts if one[0] == "held"]
    wrong = [
        f"the hand holds the {name}" for name in in_hand if not (skill.may_hold and name == call.arguments[0])
    ]
    for literal, wanted in skill.needs(call.arguments):
        found = [one for one in facts if matches(literal, one)]
        if wanted and not found:
            wrong.append(f"{in_words(literal)} is not so")
        if not wanted:
            wrong += [f"{in_words(one)} is so" for one in found]
    return wrong


def applied(call: Call, facts: Facts) -> Facts:
    """What is so after a call has succeeded, where `facts` were so before."""
    skill, first = SKILLS[call.skill], call.arguments[0]
    added = skill.adds(call.arguments)
    gone = set(skill.deletes(call.arguments))
    if skill.moves:
        gone |= {one for one in facts if one[0] in WHERE and one[1] == first}
        gone.add(("hand_empty",))
    left = (facts - gone) | set(added)
    return left if any(one[0] == "held" for one in left) else left | {("hand_empty",)}


def possible(things: Iterable[str], facts: Facts) -> list[Call]:
    """Every call about some things whose preconditions hold, in a fixed order."""
    return [call for call in all_calls(things) if not unmet(call, facts)]


def all_calls(things: Iterable[str]) -> list[Call]:
    """Every well-typed call about some things, in a fixed order."""
    names = sorted(things)
    found = []
    for skill in SKILLS.values():
        domains = [
            [name for name in (*names, *SIDES) if parameter.fits(name)] for parameter in skill.parameters
        ]
        found += [Call(skill.name, chosen) for chosen in product(*domains) if len(set(chosen)) == len(chosen)]
    return found


def matches(pattern: Fact, one: Fact) -> bool:
    """Whether a fact is what a pattern says, in which "*" stands for any thing."""
    return len(pattern) == len(one) and all(p in ("*", o) for p, o in zip(pattern, one, strict=True))


def _clear(thing: str) -> Literal:
    return ("on", "*", thing), False


def _not_stowed(thing: str) -> Literal:
    return ("in_drawer", thing, "*"), False
