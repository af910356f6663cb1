"""What is left to do of a plan, and how far its goal has been reached."""

from __future__ import annotations

from collections.abc import Sequence

from ideomotor.control.facts import Facts
from ideomotor.vla.planner.goals.goals import Goal, Requirement
from ideomotor.vla.planner.plan import Call, Condition, Plan, Steps, resolved


class Agenda:
    """The steps of a plan, its conditions decided when their turn comes, and the milestones of its goal.

    Args:
        goal: None where only a planner understands it.

    Attributes:
        reached: the first milestone that is not reached yet.
        skipped: milestones whose condition was not so when it was their turn.
    """

    def __init__(self, goal: Goal | None):
        self.goal = goal
        self.reached = 0
        self.skipped: list[int] = []
        self._steps: list[Plan] = []

    def replace(self, plan: Plan) -> None:
        """From now on another plan is carried out."""
        self._steps = [plan]

    def again(self, call: Call) -> None:
        """A call is done next; it is left out where it comes as the next one anyhow."""
        if not (self._steps and self._steps[0] == call):
            self._steps.insert(0, call)

    def take(self, facts: Facts) -> Call | None:
        """The next call, which is taken off; None where nothing is left."""
        while self._steps:
            step = self._steps.pop(0)
            match step:
                case Call():
                    return step
                case Steps(steps):
                    self._steps = [*steps, *self._steps]
                case Condition():
                    chosen = self._decided(step, facts)
                    self._steps = [*([chosen] if chosen is not None else []), *self._steps]
        return None

    def upcoming(self, facts: Facts) -> list[Call]:
        """Every call that is left, were its conditions decided now."""
        return [call for step in self._steps for call in resolved(step, facts)]

    def note_reached(self, facts: Facts) -> None:
        """Moves on to the first milestone that is not reached."""
        while self.goal is not None and self.reached < len(self.goal.milestones) - 1:
            milestone = self.goal.milestones[self.reached]
            if not milestone.applies(facts) and not milestone.met(facts) and self.reached not in self.skipped:
                self.skipped.append(self.reached)
            if not milestone.met(facts) and self.reached not in self.skipped:
                break
            self.reached += 1

    def wanted(self) -> Sequence[Requirement]:
        """What has to be so in the end."""
        return self.goal.wanted(len(self.goal.milestones) - 1, self.skipped) if self.goal else ()

    def met(self, facts: Facts) -> bool:
        """Whether the goal is reached; nobody can say so without one."""
        if self.goal is not None and len(self.goal.milestones) - 1 == self.reached:
            last = self.goal.milestones[-1]
            if not last.applies(facts) and not last.met(facts) and self.reached not in self.skipped:
                self.skipped.append(self.reached)
        return all(one.met(facts) for one in self.wanted())

    def _decided(self, step: Condition, facts: Facts) -> Plan | None:
        so = (step.fact in facts) == step.wanted
        if not so and self.goal is not None:
            for index, milestone in enumerate(self.goal.milestones):
                if milestone.condition == (step.fact, step.wanted) and index not in self.skipped:
                    self.skipped.append(index)
                    break
        return step.then if so else step.otherwise
