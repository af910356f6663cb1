"""`ideomotor launch --goal`: what a launch needs for a goal of several skills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ideomotor.control.errors import UserError
from ideomotor.launch.commands.goal_options import executor_of

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.runtime.shared_state import SharedState
    from ideomotor.launch.commands.goal_options import GoalArguments
    from ideomotor.launch.runtime.goal_companion import GoalCompanion
    from ideomotor.launch.runtime.rig import Rig


class GoalLaunchOptions(Protocol):
    """What it needs of the options of `launch`."""

    @property
    def instruction(self) -> str | None: ...
    @property
    def goals(self) -> GoalArguments: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def leader(self) -> str | None: ...
    @property
    def rearrange(self) -> bool: ...


def check_goal_launch(options: GoalLaunchOptions) -> None:
    """UserError for what a launch with a goal does not have."""
    if options.policy is not None and "," in options.policy:
        raise UserError(f"policy: got {options.policy!r}, but skill=DIR belongs to `ideomotor run --goal`")
    if options.goals.perception != "seen":
        raise UserError("perception: a launch has only what is seen, expected --perception seen")
    for name, given in (
        ("instruction", options.instruction is not None),
        ("leader", options.leader is not None),
        ("rearrange", options.rearrange),
    ):
        if given:
            raise UserError(f"{name}: a launch with --goal does not have it")


def goal_beside(
    options: GoalArguments, shared: SharedState, embodiment: Embodiment, say: Callable[[str], None]
) -> GoalCompanion | None:
    """What goes on beside the session; None without a goal.

    Raises:
        UserError: there is no such planner, or nothing to see with.
    """
    if options.goal is None:
        return None
    from ideomotor.launch.runtime.goal_companion import GoalCompanion
    from ideomotor.vla.planner.perception import SeenPerception

    perception = SeenPerception.of(embodiment)
    return GoalCompanion(shared, embodiment, executor_of(options, (), say), perception)


def rig_of_goal(rig: Rig, goal: GoalCompanion | None) -> Rig:
    """A rig whose first instruction the plan gives, before any torque; a twin's things stay put.

    Raises:
        UserError: the goal is not understood or cannot be reached in what is seen.
    """
    return rig if goal is None else replace(rig, instruction=goal.prepare(), table=None, judging=None)
