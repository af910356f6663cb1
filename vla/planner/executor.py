"""Carries a goal out: plans, sets one skill after the other, checks each against what is seen, and recovers.

On failure, in this order: the skill is tried again in other words; another plan is made that avoids it;
another specialist is asked; the person is asked; it gives up. Attempts, plans, questions and seconds are
bounded, so every goal ends in DONE or GIVE_UP with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.agenda import Agenda
from ideomotor.vla.planner.candidates import RATES, Candidate, Imagine, costs_of, ranked
from ideomotor.vla.planner.executor_options import (
    CONFIRM,
    DONE_PROGRESS,
    GRACE,
    Acting,
    ExecutorOptions,
    Failures,
)
from ideomotor.vla.planner.goals.goals import Goal
from ideomotor.vla.planner.goals.grounding import goal_of
from ideomotor.vla.planner.interface import Decision, DecisionKind, Moment, SkillAttempt
from ideomotor.vla.planner.memory import Memory
from ideomotor.vla.planner.plan import Call, Plan
from ideomotor.vla.planner.proposing.interface import Planner, PlannerFailed, PlanRequest
from ideomotor.vla.planner.proposing.symbolic import SymbolicPlanner
from ideomotor.vla.planner.skills import SKILLS, instruction, succeeded, unmet


class Executor:
    """Implements `interface.GoalExecutor`.

    Args:
        text: the goal in words.
        planner: who proposes plans.
        options: limits and ablations.
        rates: of the skills, see `candidates.RATES`.
        specialists: skills that have a policy of their own.
        imagine: a simulation of the seen scene, where there is one.
        log: takes what happens, one line each.

    Attributes:
        memory: what was seen and done.
        considered: candidates of the newest plan, the chosen one first.
    """

    def __init__(
        self, text: str, planner: Planner | None = None, options: ExecutorOptions | None = None,
        rates: Mapping[str, float] | None = None, specialists: Sequence[str] = (),
        imagine: Imagine | None = None, log: Callable[[str], None] = lambda line: None,
    ):  # fmt: skip
        self.text = text
        self.planner: Planner = planner or SymbolicPlanner()
        self.options = options or ExecutorOptions()
        self.memory = Memory(self.options.memory)
        self.considered: list[Candidate] = []
        self.goal: Goal | None = None
        self.plan: Plan | None = None
        self.attempts: list[SkillAttempt] = []
        self.replans, self.planner_calls = 0, 0
        self._rates, self._specialists = dict(rates or RATES), frozenset(specialists)
        self._imagine, self._log = imagine, log
        self._agenda = Agenda(None)
        self._acting: Acting | None = None
        self._failures = Failures()
        self._now, self._started, self._final, self._questions = 0.0, 0, 0, 0
        self._ended: Decision | None = None
        self._asked: Call | None = None
        self._last = Decision(DecisionKind.ACT)

    # ---- the interface

    def start(self, moment: Moment) -> None:
        """Reads the goal and makes the first plan.

        Raises:
            UserError: the symbolic planner does not understand the goal, in what is seen.
        """
        self.memory.see(moment.time, moment.scene.facts)
        try:
            self.goal = goal_of(self.text, moment.scene.things)
        except UserError:
            if isinstance(self.planner, SymbolicPlanner):
                raise
        self._agenda = Agenda(self.goal)
        self._make_plan(moment, first=True)

    def decide(self, moment: Moment) -> Decision:
        """See `interface.GoalExecutor`."""
        if self._ended is not None:
            return self._ended
        self.memory.see(moment.time, moment.scene.facts)
        if moment.time > self.options.max_seconds:
            self._close_attempt(moment, False, "the goal's time is over")
            return self._end(moment, DecisionKind.GIVE_UP, f"more than {self.options.max_seconds:g} s")
        if self._asked is not None and not self._came_about(moment):
            return self._last
        if self._acting is not None and not self._check(moment):
            return self._last
        if self._ended is not None or self._asked is not None:
            return self._ended or self._last
        return self._next(moment)

    def answer(self, text: str) -> None:
        """ "again" tries once more, "skip" leaves the skill out, anything else gives up."""
        call, self._asked = self._asked, None
        if call is None:
            return
        word = text.strip().lower()
        self.memory.note(self._now, "answer", word or "none")
        if word in ("again", "retry", "yes", "y"):
            self._failures.counts[call] = 0
            self._agenda.again(call)
        elif word != "skip":
            said = f"the person said {word!r}" if word else "nobody answered"
            self._ended = Decision(DecisionKind.GIVE_UP, reason=f"{call} failed and {said}")
            self.memory.note(self._now, "gave_up", self._ended.reason)

    @property
    def skipped(self) -> tuple[int, ...]:
        """Milestones whose condition was not so when it was their turn."""
        return tuple(self._agenda.skipped)

    def _came_about(self, moment: Moment) -> bool:
        """Whether what the person is asked about is so after all: then no answer is needed."""
        if self._asked is None or not self.options.verify or not succeeded(self._asked, moment.scene.facts):
            return False
        self.memory.note(moment.time, "succeeded", f"{self._asked} (while somebody was asked)")
        self._asked = None
        return True

    # ---- checking what is under way

    def _check(self, moment: Moment) -> bool:
        """Whether the skill under way has ended, either way."""
        acting = self._acting
        assert acting is not None
        self._now = moment.time
        late = moment.time - acting.started_at >= SKILLS[acting.call.skill].max_seconds
        if not self.options.verify:
            if late or moment.progress >= DONE_PROGRESS:
                self._close_attempt(moment, True, "not verified")
                return True
            return False
        so = succeeded(acting.call, moment.scene.facts)
        acting.seen = acting.seen + 1 if so else 0
        if acting.seen >= CONFIRM:
            self._close_attempt(moment, True, "seen")
            return True
        whole = so and not self._agenda.upcoming(moment.scene.facts) and self._agenda.met(moment.scene.facts)
        self._final = self._final + 1 if whole else 0  # looks that need not be taken again at the end
        acting.late += late and not so
        if acting.late < GRACE:
            return False
        self._close_attempt(moment, False, f"not seen after {moment.time - acting.started_at:.0f} s")
        self._failed(acting, moment)
        return True

    def _close_attempt(self, moment: Moment, good: bool, why: str) -> None:
        acting, self._acting = self._acting, None
        if acting is None:
            return
        self.attempts.append(acting.ended(moment.time, good, why))
        kind = "succeeded" if good else "failed"
        self.memory.note(moment.time, kind, f"{acting.call} ({why})")
        self._log(f"{moment.time:6.1f} s  {kind}  {acting.call}: {why}")

    def _failed(self, acting: Acting, moment: Moment) -> None:
        """Chooses what to do about a failure."""
        call, failures, facts = acting.call, self._failures, moment.scene.facts
        failures.counts[call] = count = failures.counts.get(call, 0) + 1
        failures.order.append(call)
        if count <= self.options.retries and not unmet(call, facts):
            self._agenda.again(call)
            return
        if self.replans < self.options.max_replans:
            self._make_plan(moment)
            if self._ended is not None or self._agenda.upcoming(facts)[:1] != [call]:
                return
        if call.skill in self._specialists and call not in failures.others:
            failures.others.add(call)
            self._agenda.again(call)
        elif count <= self.options.retries + 1:
            self._agenda.again(call)  # there is no other way
        else:
            self._ask_or_give_up(call, moment)

    def _ask_or_give_up(self, call: Call, moment: Moment) -> None:
        if self.options.ask and self._questions < self.options.max_questions:
            self._questions += 1
            self._asked = call
            question = f"{call} failed {self._failures.counts[call]} times: again, skip or stop?"
            self.memory.note(moment.time, "question", question)
            self._last = Decision(DecisionKind.ASK, question=question, call=call, reason=f"{call} failed")
            return
        self._end(moment, DecisionKind.GIVE_UP, f"{call} failed {self._failures.counts[call]} times")

    # ---- what comes next

    def _next(self, moment: Moment) -> Decision:
        """The next skill; or the end, if nothing is left to do."""
        self._now = moment.time
        facts = moment.scene.facts
        self._agenda.note_reached(facts)
        while (call := self._agenda.take(facts)) is not None:
            if not self.options.verify:
                return self._act(call, moment)
            if succeeded(call, facts):
                self.memory.note(moment.time, "succeeded", f"{call} (it is so already)")
                continue
            lacking = unmet(call, facts)
            if not lacking:
                return self._act(call, moment)
            why = f"{call}: {lacking[0]}"
            self.memory.note(moment.time, "failed", why)
            self._replan(moment, why)
            if self._ended is not None:
                return self._ended
        return self._finish(moment)

    def _act(self, call: Call, moment: Moment) -> Decision:
        if self._started >= self.options.max_attempts:
            return self._end(moment, DecisionKind.GIVE_UP, f"{self._started} attempts")
        self._started += 1
        self._final = 0
        tried = self._failures.counts.get(call, 0)
        other = call in self._failures.others
        specialist = call.skill if call.skill in self._specialists and not other else ""
        said = instruction(call, tried)
        self._acting = Acting(call, said, moment.time, self._started, specialist)
        self.memory.note(moment.time, "attempt", f"{call} {said}")
        self._log(f"{moment.time:6.1f} s  attempt {self._started}  {call}: {said!r}")
        reason = f"attempt {tried + 1}" if tried else "next of the plan"
        self._last = Decision(DecisionKind.ACT, said, call, self._started, specialist, reason=reason)
        return self._last

    def _finish(self, moment: Moment) -> Decision:
        """Nothing is left to do: is the goal reached? It is looked at more than once, either way."""
        facts, verified = moment.scene.facts, self.options.verify and self.goal is not None
        if not verified or self._agenda.met(facts):
            self._final = max(self._final, 0) + 1
            if self._final >= (CONFIRM if verified else 1):
                why = "everything that was wanted is seen to be so" if verified else "the plan is carried out"
                return self._end(moment, DecisionKind.DONE, why)
            return self._last
        self._final = min(self._final, 0) - 1
        if -self._final < GRACE:
            return self._last
        self._final = 0
        lacking = [str(one) for one in self._agenda.wanted() if not one.met(facts)]
        self._replan(moment, f"{lacking[0]} is not so")
        if self._ended is not None or not self._agenda.upcoming(facts):
            return self._ended or self._last
        return self._next(moment)

    # ---- plans

    def _replan(self, moment: Moment, why: str) -> None:
        """Makes another plan, if one may still be made; ends otherwise."""
        if self.replans >= self.options.max_replans:
            self._end(moment, DecisionKind.GIVE_UP, f"{why}, after {self.replans} other plans")
            return
        self._log(f"{moment.time:6.1f} s  another plan: {why}")
        self._make_plan(moment)

    def _make_plan(self, moment: Moment, first: bool = False) -> None:
        self._now = moment.time
        self.replans += not first
        self._agenda.note_reached(moment.scene.facts)
        scene = moment.scene
        request = PlanRequest(
            self.text, self.goal, scene.things, scene.facts, self.memory.lines(),
            tuple(self._failures.order[-8:]), max(1, self.options.candidates), costs_of(self._rates),
            self._agenda.reached, tuple(self._agenda.skipped), moment.images,
        )  # fmt: skip
        self.planner_calls += 1
        try:
            plans = self.planner.propose(request)
        except PlannerFailed as error:
            self._end(moment, DecisionKind.GIVE_UP, str(error))
            return
        self.considered = ranked(plans, self.goal, scene, self._rates, self._agenda.skipped, self._imagine)
        if not self.considered or self.considered[0].rejected:
            reasons = self.considered[0].reasons if self.considered else ()
            self._end(moment, DecisionKind.GIVE_UP, f"no plan: {reasons[0] if reasons else 'none proposed'}")
            return
        self.plan = self.considered[0].plan
        self._agenda.replace(self.plan)
        self.memory.note(
            moment.time, "plan", "; ".join(map(str, self.considered[0].calls)) or "nothing to do"
        )

    def _end(self, moment: Moment, kind: DecisionKind, reason: str) -> Decision:
        self._ended = Decision(kind, reason=reason)
        self.memory.note(moment.time, "done" if kind == DecisionKind.DONE else "gave_up", reason)
        self._log(f"{moment.time:6.1f} s  {kind}: {reason}")
        return self._ended
