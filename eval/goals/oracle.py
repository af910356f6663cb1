"""The best that can be done with some skills: the goal's own steps in order, each checked by the truth."""

from __future__ import annotations

from collections.abc import Sequence

from ideomotor.sim.long_horizon import chain
from ideomotor.sim.world import World
from ideomotor.vla.planner.interface import Decision, DecisionKind, Moment, SkillAttempt
from ideomotor.vla.planner.plan import Call, Plan, sequence
from ideomotor.vla.planner.skills import SKILLS, instruction, succeeded

TRIES = 3  # of a step before it gives up
LOOKS = 2  # in a row that must find a step done


def steps_of(world: World) -> tuple[Call, ...]:
    """A world's goal as calls, in order."""
    scene = world.scene
    calls = []
    for step in chain.steps(world.goal):
        skill = step.words["verb"] if not step.place else chain.skill_of(scene, step)
        things = [scene.describe(name) for name in (step.target, step.place) if name]
        calls.append(Call(skill, tuple(things)))
    return tuple(calls)


class OraclePlan:
    """Implements `interface.GoalExecutor` with a plan that is given; it never makes another one.

    Args:
        steps: the calls in order.
        tries: of each.
    """

    text = ""

    def __init__(self, steps: Sequence[Call], tries: int = TRIES):
        self.plan: Plan | None = sequence(steps)
        self.attempts: list[SkillAttempt] = []
        self.replans = self.planner_calls = 0
        self._steps, self._tries = list(steps), tries
        self._at, self._seen, self._tried, self._count = 0, 0, 0, 0
        self._began = 0.0
        self._last: Decision | None = None

    def start(self, moment: Moment) -> None:
        """Nothing is to be planned."""

    def decide(self, moment: Moment) -> Decision:
        """See `interface.GoalExecutor`."""
        if self._last is not None and self._last.kind != DecisionKind.ACT:
            return self._last
        if self._last is not None:
            call = self._steps[self._at]
            self._seen = self._seen + 1 if succeeded(call, moment.scene.facts) else 0
            late = moment.time - self._began >= SKILLS[call.skill].max_seconds and not self._seen
            if self._seen < LOOKS and not late:
                return self._last
            done = self._seen >= LOOKS
            why = "seen" if done else f"not seen after {moment.time - self._began:.0f} s"
            said = self._last.instruction
            self.attempts.append(SkillAttempt(call, said, self._began, moment.time, done, why))
            self._at, self._tried = (self._at + 1, 0) if done else (self._at, self._tried + 1)
        if self._at == len(self._steps):
            self._last = Decision(DecisionKind.DONE, reason="every step is done")
        elif self._tried == self._tries:
            self._last = Decision(DecisionKind.GIVE_UP, reason=f"{self._steps[self._at]} failed")
        else:
            call, self._seen, self._began = self._steps[self._at], 0, moment.time
            self._count += 1
            said = instruction(call, self._tried)
            self._last = Decision(DecisionKind.ACT, said, call, self._count)
        return self._last

    def answer(self, text: str) -> None:
        """It asks nobody."""
