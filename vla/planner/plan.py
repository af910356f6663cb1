"""A plan as data: a tree of skill calls that is read from JSON, checked, and drawn. Never code.

    {"skill": "place", "arguments": ["red cube", "blue bowl"]}
    {"sequence": [plan, …]}
    {"if": "open(red drawer)", "then": plan, "else": plan}      "else" may be left out; "not open(…)" as well

What a planner writes is text of strangers: its size, depth and fields are bounded here, its skills and things
by `skills.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.control.facts import Fact, Facts, in_words, parse_fact

MAX_BYTES = 16_384
MAX_DEPTH = 8
MAX_CALLS = 48
MAX_NAME = 64  # characters of a skill or a thing


@dataclass(frozen=True)
class Call:
    """One skill with what it is about."""

    skill: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.skill}({', '.join(self.arguments)})"


@dataclass(frozen=True)
class Steps:
    """Plans, one after the other."""

    steps: tuple[Plan, ...]


@dataclass(frozen=True)
class Condition:
    """One of two plans, by a fact that is looked at when its turn comes."""

    fact: Fact
    wanted: bool  # whether `then` is for the fact being so
    then: Plan
    otherwise: Plan | None = None


Plan = Call | Steps | Condition


def sequence(calls: Sequence[Plan]) -> Steps:
    """Plans, one after the other."""
    return Steps(tuple(calls))


def calls_of(plan: Plan) -> Iterator[Call]:
    """Every call of a plan, of both branches of its conditions."""
    match plan:
        case Call():
            yield plan
        case Steps(steps):
            for step in steps:
                yield from calls_of(step)
        case Condition(then=then, otherwise=otherwise):
            yield from calls_of(then)
            if otherwise is not None:
                yield from calls_of(otherwise)


def resolved(plan: Plan, facts: Facts) -> list[Call]:
    """The calls of a plan with its conditions decided by what is so at present."""
    match plan:
        case Call():
            return [plan]
        case Steps(steps):
            return [call for step in steps for call in resolved(step, facts)]
        case Condition(fact, wanted, then, otherwise):
            chosen = then if (fact in facts) == wanted else otherwise
            return resolved(chosen, facts) if chosen is not None else []


# ---- JSON


def parse_plan(text: str) -> Plan:
    """The plan that a JSON text holds.

    Raises:
        UserError: it is no plan; one line says where and what was expected.
    """
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        raise UserError(f"plan: {size} bytes, expected at most {MAX_BYTES}")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(
            f"plan: not JSON ({_first_line(error)}), expected a plan as one JSON object"
        ) from None
    return plan_from_json(value)


def plan_from_json(value: Any) -> Plan:
    """The plan that a parsed JSON value holds. UserError as `parse_plan`."""
    plan = _read(value, "plan", 0)
    count = sum(1 for _ in calls_of(plan))
    if not 1 <= count <= MAX_CALLS:
        raise UserError(f"plan: {count} skill calls, expected 1 to {MAX_CALLS}")
    return plan


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """What `plan_from_json` reads."""
    match plan:
        case Call(skill, arguments):
            return {"skill": skill, "arguments": list(arguments)}
        case Steps(steps):
            return {"sequence": [plan_to_json(step) for step in steps]}
        case Condition(fact, wanted, then, otherwise):
            found = {"if": _condition_text(fact, wanted), "then": plan_to_json(then)}
            return found if otherwise is None else {**found, "else": plan_to_json(otherwise)}


def _read(value: Any, where: str, depth: int) -> Plan:
    if depth > MAX_DEPTH:
        raise UserError(f"{where}: deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        raise UserError(f"{where}: got {_kind(value)}, expected an object with skill, sequence or if")
    fields = set(value)
    if "skill" in fields:
        _only(where, fields, {"skill", "arguments"})
        arguments = value.get("arguments", [])
        if not isinstance(arguments, list):
            raise UserError(f"{where}.arguments: got {_kind(arguments)}, expected a list of things")
        names = [_name(one, f"{where}.arguments[{index}]") for index, one in enumerate(arguments)]
        return Call(_name(value["skill"], f"{where}.skill"), tuple(names))
    if "sequence" in fields:
        _only(where, fields, {"sequence"})
        steps = value["sequence"]
        if not isinstance(steps, list) or len(steps) > MAX_CALLS:
            raise UserError(f"{where}.sequence: got {_kind(steps)}, expected a list of at most {MAX_CALLS}")
        read = [_read(step, f"{where}.sequence[{index}]", depth + 1) for index, step in enumerate(steps)]
        return Steps(tuple(read))
    if "if" in fields:
        _only(where, fields, {"if", "then", "else"})
        if "then" not in fields:
            raise UserError(f"{where}: 'if' without 'then'")
        fact, wanted = _condition(value["if"], f"{where}.if")
        then = _read(value["then"], f"{where}.then", depth + 1)
        otherwise = _read(value["else"], f"{where}.else", depth + 1) if "else" in fields else None
        return Condition(fact, wanted, then, otherwise)
    raise UserError(f"{where}: fields {sorted(map(str, fields))}, expected skill, sequence or if")


def _only(where: str, fields: set[str], known: set[str]) -> None:
    if unknown := sorted(fields - known):
        raise UserError(
            f"{where}: unknown field {unknown[0][:MAX_NAME]!r} (valid: {', '.join(sorted(known))})"
        )


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise UserError(f"{where}: got {_kind(value)}, expected a name of 1 to {MAX_NAME} characters")
    return " ".join(value.lower().split())


def _condition(value: Any, where: str) -> tuple[Fact, bool]:
    if not isinstance(value, str) or len(value) > 4 * MAX_NAME:
        raise UserError(f"{where}: got {_kind(value)}, expected a fact such as 'open(red drawer)'")
    text = " ".join(value.lower().split())
    negated = text.startswith("not ")
    try:
        return parse_fact(text.removeprefix("not ")), not negated
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _condition_text(fact: Fact, wanted: bool) -> str:
    return in_words(fact) if wanted else f"not {in_words(fact)}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UserError("plan: a field is given twice")
    return found


def _no_constant(name: str) -> None:
    raise UserError(f"plan: got {name}, expected JSON without NaN and infinities")


def _kind(value: Any) -> str:
    return repr(value)[: MAX_NAME + 2] if isinstance(value, str | int | float) else type(value).__name__


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


# ---- drawing


def drawn(plan: Plan, done: int = -1) -> str:
    """A plan as a tree of text.

    Args:
        done: how many of a plain sequence's steps are done already, marked; -1: none is marked.
    """
    lines = [_label(plan)]
    children = _children(plan)
    for index, (label, child) in enumerate(children):
        mark = "" if done < 0 else ("✓ " if index < done else "▸ " if index == done else "  ")
        last = index == len(children) - 1
        first, *rest = drawn(child).splitlines()
        lines.append(f"{'└─' if last else '├─'} {mark}{label}{first}")
        lines += [f"{'   ' if last else '│  '}{line}" for line in rest]
    return "\n".join(lines)


def _label(plan: Plan) -> str:
    match plan:
        case Call():
            return str(plan)
        case Steps(steps):
            return f"in this order ({len(steps)})"
        case Condition(fact, wanted):
            return f"if {_condition_text(fact, wanted)}"


def _children(plan: Plan) -> list[tuple[str, Plan]]:
    match plan:
        case Call():
            return []
        case Steps(steps):
            return [("", step) for step in steps]
        case Condition(then=then, otherwise=otherwise):
            return [("then ", then), *([("else ", otherwise)] if otherwise is not None else [])]
