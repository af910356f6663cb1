"""`ideomotor launch --goal`: what a launch needs for a goal of several skills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ideomotor.control.errors import UserError
from ideomotor.launch.checkpoints import chosen_policy, facts_of
from ideomotor.launch.commands.goal_options import asked_where_somebody_is, executor_of
from ideomotor.launch.runtime.asking import somebody_there
from ideomotor.vla.planner.routing import routes_of

if TYPE_CHECKING:
    from pathlib import Path

    from ideomotor.control.embodiment import Embodiment
    from ideomotor.control.runtime.shared_state import SharedState
    from ideomotor.eval.policy_spec import PolicySource
    from ideomotor.launch.commands.goal_options import GoalArguments
    from ideomotor.launch.dashboard.options import WebArguments
    from ideomotor.launch.needed_options import NeededArguments
    from ideomotor.launch.runtime.goal_companion import GoalCompanion
    from ideomotor.launch.runtime.rig import Rig
    from ideomotor.launch.serving.lerobot_options import LeRobotOptions
    from ideomotor.launch.serving.remote_options import RemoteOptions


class GoalLaunchOptions(Protocol):
    """What it needs of the options of `launch`."""

    @property
    def instruction(self) -> str | None: ...
    @property
    def goals(self) -> GoalArguments: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def needed(self) -> NeededArguments: ...
    @property
    def leader(self) -> str | None: ...
    @property
    def rearrange(self) -> bool: ...
    @property
    def page(self) -> WebArguments: ...


def check_goal_launch(options: GoalLaunchOptions) -> None:
    """UserError for what a launch with a goal does not have."""
    routes_of(options.policy)
    if options.goals.perception != "seen":
        raise UserError("perception: a launch has only what is seen, expected --perception seen")
    for name, given in (
        ("instruction", options.instruction is not None),
        ("leader", options.leader is not None),
        ("rearrange", options.rearrange),
    ):
        if given:
            raise UserError(f"{name}: a launch with --goal does not have it")


def policies_of(
    options: GoalLaunchOptions, embodiment: Embodiment, remote: RemoteOptions, lerobot: LeRobotOptions
) -> tuple[Path | PolicySource, dict[str, Path | PolicySource]]:
    """What `--policy` means: the policy, and {skill: its own} where there is a goal. Nothing is loaded.

    Raises:
        UserError: there is no such policy, it is of another robot, or a skill's own is to be asked at other
            times than the general one; or one has not what `options.needed` names.
    """
    if options.goals.goal is None:
        policy = chosen_policy(options.policy, embodiment, lerobot, remote)
        options.needed.of(policy)
        return policy, {}
    general, routes = routes_of(options.policy)
    policy = chosen_policy(general, embodiment, lerobot, remote)
    timing, found = facts_of(policy, embodiment)[0], dict[str, "Path | PolicySource"]()
    for skill, where in routes.items():
        found[skill] = chosen_policy(where, embodiment)
        if (own := facts_of(found[skill], embodiment)[0]) != timing:
            raise UserError(f"policy: {skill}={where} has timing {own}, expected the general one's {timing}")
    options.needed.of(policy, *found.values())
    return policy, found


def goal_beside(
    options: GoalLaunchOptions, shared: SharedState, embodiment: Embodiment, say: Callable[[str], None],
    specialists: Sequence[str] = (),
) -> GoalCompanion | None:  # fmt: skip
    """What goes on beside the session; None without a goal.

    Args:
        specialists: skills that have a policy of their own.

    Raises:
        UserError: there is no such planner, or nothing to see with.
    """
    if options.goals.goal is None:
        return None
    from ideomotor.launch.runtime.goal_companion import GoalCompanion
    from ideomotor.vla.planner.perception.perception import SeenPerception

    there = somebody_there() or options.page.web is not None
    goals = asked_where_somebody_is(options.goals, there, say)
    perception = SeenPerception.of(embodiment)
    executor = executor_of(goals, tuple(specialists), say, embodiment)
    return GoalCompanion(shared, embodiment, executor, perception)


def rig_of_goal(rig: Rig, goal: GoalCompanion | None) -> Rig:
    """A rig whose first instruction the plan gives, before any torque; a twin's things stay put.

    Raises:
        UserError: the goal is not understood or cannot be reached in what is seen.
    """
    return rig if goal is None else replace(rig, instruction=goal.prepare(), table=None, judging=None)
