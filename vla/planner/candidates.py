"""Several plans for one goal are weighed before the arm moves: the best is chosen, the others keep reasons.

A plan is worth what it is likely to reach: the product of its skills' measured rates and of how sure it is
that its things are there, less a little for every second. It is rejected if preconditions fail on the way, if
a skill or a thing does not exist, if a thing is out of reach, or if it fails in a simulation of what is seen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ideomotor.control.errors import UserError
from ideomotor.control.facts import SIDES, Facts
from ideomotor.vla.planner.goals.goals import Goal
from ideomotor.vla.planner.interface import PerceivedScene
from ideomotor.vla.planner.plan import Call, Plan, resolved
from ideomotor.vla.planner.skills import SKILLS, applied, checked, unmet
from ideomotor.vla.planner.things import is_graspable

# The bundled policy's success at `light` (docs/results.md, built-in tasks); not trained for the last two.
RATES: dict[str, float] = {
    "lift": 0.92, "place": 0.93, "stack": 0.55, "push": 0.73, "open": 0.99, "close": 0.99, "press": 0.99,
    "point": 0.95, "stow": 0.5, "put_down": 0.5,
}  # fmt: skip
PER_SECOND = 0.002  # what a second costs, in units of log-probability
REACH, BEARING = (0.115, 0.275), 1.2  # of the arm: from the pan axis [m], from straight ahead [rad]
PAN_AXIS = (0.0388, 0.0)  # of the SO-101 [m]
FAILS = 0.05  # share of trials in simulation below which a plan is rejected
UNKNOWN_CERTAINTY = 0.9  # of a thing whose certainty nobody measured


@dataclass(frozen=True)
class Imagined:
    """How calls went in a simulation of the scene."""

    share: float  # of the trials in which they came about
    why: str = ""  # one trial failed


Imagine = Callable[[PerceivedScene, Sequence[Call]], Imagined | None]  # None: it could not be tried


@dataclass(frozen=True)
class Candidate:
    """A plan with what is thought of it."""

    plan: Plan
    calls: tuple[Call, ...]  # with its conditions decided by what is so now
    score: float  # log-probability, less its seconds; -inf where it is rejected
    success: float  # expected, in [0, 1]
    seconds: float  # expected [s]
    reasons: tuple[str, ...] = field(default_factory=tuple)  # why it was rejected, or not chosen
    imagined: float | None = None  # share of trials in simulation in which it came about; None: not tried

    @property
    def rejected(self) -> bool:
        return self.score == -math.inf


def load_rates(path: Path) -> dict[str, float]:
    """Measured rates of a policy, {skill: rate}, that replace the bundled one's.

    Raises:
        UserError: it cannot be read, or names no skill or no rate in (0, 1].
    """
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"rates: {path} cannot be read ({error}), expected JSON {{skill: rate}}") from None
    if not isinstance(read, dict):
        raise UserError(f"rates: {path} holds {type(read).__name__}, expected an object {{skill: rate}}")
    for name, rate in read.items():
        if name not in SKILLS or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise UserError(f"rates: {path}: {name!r}: {rate!r}, expected a skill and a rate in (0, 1]")
    return {**RATES, **read}


def costs_of(rates: Mapping[str, float]) -> dict[str, float]:
    """What each skill is expected to take [s]: its time over its rate."""
    return {name: 0.6 * skill.max_seconds / max(rates.get(name, 0.5), 0.05) for name, skill in SKILLS.items()}


def ranked(
    plans: Sequence[Plan], goal: Goal | None, scene: PerceivedScene, rates: Mapping[str, float],
    skipped: Sequence[int] = (), imagine: Imagine | None = None,
) -> list[Candidate]:  # fmt: skip
    """Plans from the best to the worst, rejected ones last, each with its reasons.

    Args:
        plans: to be compared; equal ones are compared once.
        goal: that they should reach; None: nobody can say so but their effects.
        scene: that is seen.
        rates: of the skills, in [0, 1].
        skipped: milestones of the goal whose condition was not so.
        imagine: a simulation of the seen scene, where there is one.
    """
    unique = list(dict.fromkeys(plans))
    found = [_weighed(plan, goal, scene, rates, skipped, imagine) for plan in unique]
    found.sort(key=lambda one: -one.score)
    best = found[0] if found and not found[0].rejected else None
    return [one if one is best or one.rejected or best is None else _less_than(one, best) for one in found]


def _less_than(one: Candidate, best: Candidate) -> Candidate:
    reason = (
        f"expected success {one.success:.0%} in {one.seconds:.0f} s, the chosen one's {best.success:.0%} in"
        f" {best.seconds:.0f} s"
    )
    return replace(one, reasons=(reason,))


def _weighed(
    plan: Plan, goal: Goal | None, scene: PerceivedScene, rates: Mapping[str, float],
    skipped: Sequence[int], imagine: Imagine | None,
) -> Candidate:  # fmt: skip
    calls = tuple(resolved(plan, scene.facts))
    reasons, now = list[str](), scene.facts
    log_success, seconds = 0.0, 0.0
    for number, call in enumerate(calls, start=1):
        try:
            checked(call, scene.things)
        except UserError as error:
            reasons.append(f"step {number}: {error}")
            break
        reasons += [
            f"step {number}, {call}: {why}" for why in (*unmet(call, now), *_too_far(call, scene, now))
        ]
        now = applied(call, now)
        log_success += math.log(max(rates.get(call.skill, 0.5), 1e-3)) + math.log(_sureness(call, scene))
        seconds += 0.6 * SKILLS[call.skill].max_seconds
    if not reasons and goal is not None and not goal.met(now, skipped):
        lacking = [str(one) for one in goal.wanted(len(goal.milestones) - 1, skipped) if not one.met(now)]
        reasons.append(f"it would not reach {lacking[0]}")
    tried = imagine(scene, calls) if imagine is not None and not reasons and calls else None
    if tried is not None:
        log_success += math.log(max(tried.share, 1e-3))
        if tried.share < FAILS:
            reasons.append(f"imagined in simulation, {tried.why}")
    share = tried.share if tried is not None else None
    score = -math.inf if reasons else log_success - PER_SECOND * seconds
    return Candidate(plan, calls, score, math.exp(log_success), seconds, tuple(reasons), share)


def _sureness(call: Call, scene: PerceivedScene) -> float:
    known = [scene.confidence.get(name, UNKNOWN_CERTAINTY) for name in call.arguments if name not in SIDES]
    return max(1e-3, math.prod(known))


def _too_far(call: Call, scene: PerceivedScene, now: Facts) -> list[str]:
    """Things that are out of the arm's reach, as far as it is seen where they are."""
    wrong = []
    for name in call.arguments:
        held = ("held", name) in now
        if (
            name not in scene.positions
            or held
            or not (is_graspable(name) or name.endswith(("bowl", "plate")))
        ):
            continue
        if any(one[0] in ("inside", "on", "in_drawer") and one[1] == name for one in now - scene.facts):
            continue  # an earlier step moves it
        x, y = scene.positions[name][0] - PAN_AXIS[0], scene.positions[name][1] - PAN_AXIS[1]
        away, bearing = math.hypot(x, y), abs(math.atan2(y, x))
        if not REACH[0] <= away <= REACH[1] or bearing > BEARING:
            wrong.append(f"the {name} is out of reach ({away * 100:.0f} cm from the shoulder)")
    return wrong
