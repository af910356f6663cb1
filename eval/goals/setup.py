"""How goals are carried out in an evaluation, as something that can be sent to another process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ideomotor.control.errors import unknown_name
from ideomotor.eval.goals.oracle import TRIES, OraclePlan, steps_of
from ideomotor.eval.goals.truth_perception import TruthPerception
from ideomotor.vla.planner.executor import Executor
from ideomotor.vla.planner.executor_options import ExecutorOptions
from ideomotor.vla.planner.proposing.choosing import planner_named

if TYPE_CHECKING:
    from ideomotor.sim.world import World
    from ideomotor.vla.planner.interface import GoalExecutor, Perception

ORACLE = "oracle"  # the goal's own steps instead of a planner
SYMBOLIC = "symbolic"
PLANNERS = (SYMBOLIC, ORACLE)
NEVER_AGAIN = -1  # retries: not even where there is no other way
PERCEPTIONS = ("truth", "seen")


@dataclass(frozen=True)
class GoalSetup:
    """Who plans, what is seen, and what is left out to see what it is worth."""

    planner: str = SYMBOLIC
    perception: str = "truth"
    verify: bool = True  # whether skills are checked; else their time or the policy's word ends them
    candidates: bool = True  # whether several plans are weighed
    memory: bool = True
    recovery: bool = True  # whether anything is done about a failure
    return_home: bool = False  # whether the arm goes home before each attempt
    imagine: bool = field(default=False, repr=False)  # whether plans are tried in simulation before

    @property
    def fingerprint(self) -> str:
        """What rows of one run have in common; as it was before there was imagining, where there is none."""
        return f"{self}{', plans imagined' if self.imagine else ''}"

    def executor(self, world: World) -> GoalExecutor:
        """Of one episode, given its world's instruction. UserError for an unknown planner."""
        if self.planner == ORACLE:
            return OraclePlan(steps_of(world), TRIES if self.recovery else 1)
        imagine = None
        if self.imagine:
            from ideomotor.eval.goals.imagining import Imagination

            imagine = Imagination(world.embodiment)
        planner = planner_named(self.planner)
        return Executor(world.instruction, planner, self._options(world), imagine=imagine)

    def _options(self, world: World) -> ExecutorOptions:
        options = ExecutorOptions(verify=self.verify, memory=self.memory, max_seconds=world.task.max_seconds)
        if not self.candidates:
            options = replace(options, candidates=1)
        if not self.recovery:
            options = replace(options, retries=NEVER_AGAIN, max_replans=0)
        return options

    def seer(self, world: World) -> Perception | TruthPerception:
        """What the executor is given of the scene. UserError for an unknown one."""
        if self.perception == "truth":
            return TruthPerception(world, places=self.imagine)
        if self.perception == "seen":
            from ideomotor.vla.planner.perception.perception import SeenPerception

            return SeenPerception.of(world.embodiment)
        raise unknown_name("perception", self.perception, PERCEPTIONS)
