"""The planner that needs no model: it searches for skills that lead from what is so to what is wanted.

A* over sets of facts, a skill's preconditions and effects as its edges (`skills.py`), bounded in the states
it visits. The cost of a skill is what it is expected to take: its seconds over the rate at which it succeeds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from ideomotor.control.facts import Facts
from ideomotor.vla.planner.goals.goals import Goal, Requirement
from ideomotor.vla.planner.plan import MAX_CALLS, Call, Condition, Plan, calls_of, sequence
from ideomotor.vla.planner.proposing.interface import PlannerFailed, PlanRequest
from ideomotor.vla.planner.skills import all_calls, applied, effects, unmet
from ideomotor.vla.planner.things import kind_of

MAX_STATES = 6_000  # visited in the search for one milestone
CONTAINERS = ("bowl", "plate", "drawer")
DEAR = 4.0  # factor on the cost of what another candidate does, or of what failed before


class NoPlan(Exception):
    """No order of skills leads there, as far as was searched; the message says what is missing."""


class SymbolicPlanner:
    """Implements `interface.Planner` by searching over the skills' preconditions and effects."""

    name = "symbolic"

    def propose(self, request: PlanRequest) -> list[Plan]:
        """The cheapest plan, then others that avoid the calls of those before. PlannerFailed as `Planner`."""
        if request.goal is None:
            raise PlannerFailed("no_plan", f"the grammar does not understand {request.text[:80]!r}")
        dear = dict.fromkeys(request.failed, DEAR)
        found: list[Plan] = []
        for _ in range(2 * request.count):
            try:
                plan = plan_for(
                    request.goal, request.things, request.facts, request.costs, dear, request.reached,
                    request.skipped,
                )  # fmt: skip
            except NoPlan as error:
                if not found:
                    raise PlannerFailed("no_plan", str(error)) from None
                break
            if plan not in found:
                found.append(plan)
            if len(found) == request.count:
                break
            first = next(calls_of(plan), None)
            dear = {**dear, **{call: dear.get(call, 1.0) * DEAR for call in ([first] if first else [])}}
        return found


def plan_for(
    goal: Goal, things: Sequence[str], facts: Facts, costs: Mapping[str, float],
    dear: Mapping[Call, float] | None = None, reached: int = 0, skipped: Iterable[int] = (),
) -> Plan:  # fmt: skip
    """A plan for a goal's milestones.

    Args:
        goal: what is wanted.
        things: that are seen.
        facts: that are so now.
        costs: of each skill.
        dear: calls that cost more, as factors: what failed before, or what another candidate does.
        reached: milestones that are reached already.
        skipped: those whose condition was not so when it was their turn.

    Raises:
        NoPlan: there is none.
    """
    steps: list[Plan] = []
    now, left_out, length = facts, set(skipped), 0
    for index in range(reached, len(goal.milestones)):
        milestone = goal.milestones[index]
        if not milestone.applies(now):
            left_out.add(index)
            if milestone.condition is not None and index > reached:
                steps += _conditional(goal, index, things, now, costs)
            continue
        wanted = goal.wanted(index, left_out)
        if index == reached:  # what later milestones undo need not be done again
            wanted = tuple(
                one for one in wanted if index == 0 or one in milestone.requirements or one.missing(now)
            )
        calls = search(wanted, things, now, costs, dear or {})
        length += len(calls)
        if length > MAX_CALLS:
            raise NoPlan(f"it takes more than {MAX_CALLS} skills")
        for call in calls:
            now = applied(call, now)
        if milestone.condition is not None and calls:
            fact, is_so = milestone.condition
            steps.append(Condition(fact, is_so, sequence(calls) if len(calls) > 1 else calls[0]))
        else:
            steps += calls
    return sequence(steps)


def _conditional(
    goal: Goal, index: int, things: Sequence[str], now: Facts, costs: Mapping[str, float]
) -> list[Plan]:
    """What would be done were the condition of a later milestone so: it is looked at when its turn comes."""
    milestone = goal.milestones[index]
    assert milestone.condition is not None
    fact, wanted = milestone.condition
    opposite = {"open": "closed", "closed": "open"}.get(fact[0])
    supposed = (now | {fact}) if wanted else (now - {fact})
    if opposite:
        other = (opposite, *fact[1:])
        supposed = (supposed - {other}) if wanted else (supposed | {other})
    try:
        calls = search(milestone.requirements, things, supposed, costs, {})
    except NoPlan:
        return []
    return [Condition(fact, wanted, sequence(calls) if len(calls) > 1 else calls[0])] if calls else []


def search(
    wanted: Sequence[Requirement], things: Sequence[str], facts: Facts, costs: Mapping[str, float],
    dear: Mapping[Call, float],
) -> list[Call]:  # fmt: skip
    """The cheapest calls after which every requirement is met. NoPlan if there are none."""
    calls = _relevant(wanted, things, facts)
    cheapest = min((costs.get(call.skill, 1.0) for call in calls), default=1.0)
    order = count()
    start = _missing(wanted, facts)
    queue: list[tuple[float, int, int, float, Facts, tuple[Call, ...]]] = [
        (start * cheapest, start, next(order), 0.0, facts, ())
    ]
    best = {facts: 0.0}
    for _ in range(MAX_STATES):
        if not queue:
            break
        _, missing, _, cost, now, done = heapq.heappop(queue)
        if missing == 0:
            return list(done)
        if cost > best[now] or len(done) >= MAX_CALLS:
            continue
        for call in calls:
            if unmet(call, now):
                continue
            after = applied(call, now)
            price = cost + costs.get(call.skill, 1.0) * dear.get(call, 1.0)
            if price < best.get(after, float("inf")):
                best[after] = price
                left = _missing(wanted, after)
                entry = (price + left * cheapest, left, next(order), price, after, (*done, call))
                heapq.heappush(queue, entry)
    lacking = next((str(one) for one in wanted if not one.met(facts)), "")
    raise NoPlan(f"no order of skills leads to {lacking}")


def _missing(wanted: Sequence[Requirement], facts: Facts) -> int:
    return sum(one.missing(facts) for one in wanted)


def _relevant(wanted: Sequence[Requirement], things: Sequence[str], facts: Facts) -> list[Call]:
    """The calls that can matter: about what is wanted, about what lies on that, and for a full hand."""
    asked = {one for requirement in wanted for one in requirement.facts}
    about = {name for one in asked for name in one[1:]}
    strange = {one[1] for one in facts if one[0] == "held"} - about  # in the hand, and nobody asked for it
    grown = True
    while grown:  # what lies on it, and what is in the hand
        more = {one[1] for one in facts if one[0] == "held"}
        more |= {
            one[1]
            for one in facts
            if one[0] == "on" and one[2] in about and kind_of(one[2]) not in CONTAINERS
        }
        grown, about = not more <= about, about | more
    away = any(requirement.most < len(requirement.facts) for requirement in wanted)
    blocked = {
        one[1] for one in facts if one[0] == "on" and one[1] in about and kind_of(one[2]) not in CONTAINERS
    }
    blocked |= {one[1] for one in facts if one[0] == "held"}
    drawers = {name for name in about if kind_of(name) == "drawer"}
    found = []
    for call in all_calls(things):
        serves = bool(set(effects(call)) & asked)
        opens = call.skill in ("open", "close") and call.arguments[0] in drawers
        clears = call.arguments[0] in about and call.skill in ("place", "stack", "put_down") and (
            away or bool(blocked)
        )  # fmt: skip
        if call.arguments[0] in strange and not serves:
            clears = call.skill == "put_down"  # a bowl is no place for what nobody asked for
        if serves or opens or clears:
            found.append(call)
    return found
