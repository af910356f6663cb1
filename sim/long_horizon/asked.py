"""What one skill is asked for in the midst of a long episode, and its expert from wherever the arm is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.sim.long_horizon import chain, put_down
from ideomotor.sim.motion import Arm, Unreachable
from ideomotor.sim.paths import FADE_S
from ideomotor.sim.skills import CARRY, LET_GO
from ideomotor.sim.task import Goal
from ideomotor.sim.tasks import TASKS, push
from ideomotor.sim.world import World

ROOM = 2  # things for which an expert leaves room in a container


def skill_goal(world: World, skill: str, things: Sequence[str]) -> Goal:
    """The goal of one skill, as things are now.

    Args:
        world: of which the things are.
        skill: place, stack, stow, put_down, open, close, lift, press, point or push.
        things: what it is about, by the words of `Scene.describe`; of push also "left" or "right".

    Raises:
        UserError: a thing that the scene does not have, or an unknown skill.
    """
    scene = world.scene
    names = {scene.describe(thing.name): thing for thing in scene.things}
    for thing in things:
        if thing not in names and thing not in push.SIDES:
            raise UserError(f"thing: got {thing!r}, expected one of {', '.join(sorted(names))}")
    first = names[things[0]]
    words = {"target": things[0]}
    if skill in ("open", "close"):
        return chain.drawer_step(scene, skill, first)
    if skill in ("lift", "press", "point", "put_down"):
        return Goal(first.name, words=words)
    if skill == "push" and things[1] in push.SIDES:
        x, y, _ = world.position(first.name)
        spot = (float(x), float(y + push.SIDES[things[1]] * push.DISTANCE))
        return Goal(first.name, words={**words, "where": f"to the {things[1]}"}, spot=spot)
    second = names[things[1]]
    if skill == "push":
        return Goal(first.name, second.name, {**words, "where": f"onto the {things[1]}"})
    if skill not in ("place", "stack", "stow"):
        raise UserError(f"skill: got {skill!r}, expected one of the built-in skills")
    return chain.step_of(scene, first, second)


def skill_expert(
    world: World, skill: str, things: Sequence[str], past_commands: np.ndarray | None
) -> Iterator[np.ndarray]:
    """The scripted expert's joint targets for one skill, (A,) one a tick; arguments as in `skill_goal`.

    It ends early where a thing has come to where no arm reaches.

    Args:
        past_commands: (P, A) [rad] of the ticks before, from which it takes over.

    Raises:
        UserError: at once, as `skill_goal`.
    """
    return _driven(world, skill, skill_goal(world, skill, things), past_commands)


def _driven(world: World, skill: str, goal: Goal, past_commands: np.ndarray | None) -> Iterator[np.ndarray]:
    arm = Arm(world.embodiment, world.data.ctrl[: len(world.embodiment.joints)], past_commands=past_commands)
    try:
        if skill in ("lift", "press", "point", "push"):
            yield from TASKS["reach" if skill == "point" else skill].expert(world, arm, goal)
        elif skill == "put_down":
            yield from put_down.expert(world, arm, goal)
        else:
            yield from chain.step_expert(world, arm, goal, ROOM)
        yield from arm.wait(FADE_S)
    except Unreachable:
        return


def go_home(world: World, past_commands: np.ndarray | None, drops: bool) -> Iterator[np.ndarray]:
    """Joint targets, (A,) one a tick, straight up and to the home pose; the fingers stay as they are.

    Args:
        past_commands: (P, A) [rad] of the ticks before, from which it takes over.
        drops: whether the fingers open first.
    """
    arm = Arm(world.embodiment, world.data.ctrl[: len(world.embodiment.joints)], past_commands=past_commands)
    if drops:
        yield from arm.grip(LET_GO, seconds=0.1)
    yield from arm.rise(CARRY)
    home = world.embodiment.home_position.copy()
    if not drops:
        home[-1] = arm.target[-1]
    yield from arm.move(home)
    yield from arm.wait(0.1)
