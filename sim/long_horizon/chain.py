"""Long goals as chains of goals of one skill each: which skill, when each is done, and an expert for all.

A long `Goal` is its first step; `then` leads to the others. What a step asks for follows from the kinds of
its things: a thing and a bowl or plate are placed, two cubes stacked, a thing and a drawer stowed; a drawer
alone is opened or closed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ideomotor.sim.long_horizon import relations, stow
from ideomotor.sim.long_horizon.crowded import put_among
from ideomotor.sim.motion import Arm, Unreachable
from ideomotor.sim.scene import Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task
from ideomotor.sim.tasks import drawer, place, stack

SKILLS: dict[str, Task] = {
    "place": place.TASK, "stack": stack.TASK, "drawer": drawer.TASK, "stow": stow.TASK,
}  # fmt: skip
ATTEMPTS = 3  # of an expert at a step


def chained(parts: Sequence[Goal], words: Mapping[str, str]) -> Goal:
    """A goal of several steps, in their order.

    Args:
        parts: at least one goal of one skill.
        words: fields of the instruction templates, of none of the parts' own names.
    """
    following: Goal | None = None
    for part in reversed(parts):
        following = replace(part, then=following)
    assert following is not None
    return replace(following, words={**following.words, **words})


def steps(goal: Goal) -> tuple[Goal, ...]:
    """The goals of one skill that a long one is made of."""
    return (goal, *(steps(goal.then) if goal.then else ()))


def skill_of(scene: Scene, step: Goal) -> str:
    """The skill that a step asks for, a key of `SKILLS`."""
    if not step.place:
        return "drawer"
    kind = scene.thing(step.place).kind
    return {"drawer": "stow", "cube": "stack"}.get(kind, "place")


def step_of(scene: Scene, thing: Thing, where: Thing) -> Goal:
    """Puts a thing into a container or a drawer, or a cube onto another."""
    if where.kind == "drawer":
        return stow.goal_of(scene, thing, where)
    if where.kind == "cube":
        words = {"target": scene.describe(thing.name), "place": scene.describe(where.name)}
        return Goal(thing.name, where.name, words)
    return place.goal_of(scene, thing, where)


def drawer_step(scene: Scene, verb: str, thing: Thing) -> Goal:
    """Opens or closes a drawer."""
    return Goal(thing.name, words={"verb": verb, "target": scene.describe(thing.name)})


def in_words(scene: Scene, step: Goal) -> str:
    """A step in its skill's first phrasing."""
    return SKILLS[skill_of(scene, step)].instructions[0].format(**step.words)


def is_done(world: SceneState, step: Goal) -> bool:
    """Whether what a step asks for is so now."""
    skill = skill_of(world.scene, step)
    if skill == "drawer":
        opens = step.words["verb"] == "open"
        return (relations.is_open if opens else relations.is_closed)(world, step.target)
    holds = {"stow": relations.in_tray, "stack": relations.on_top, "place": relations.in_container}[skill]
    return holds(world, step.target, step.place)


def lasting(goal: Goal) -> tuple[Goal, ...]:
    """The steps whose outcome has to be there in the end: a drawer is opened to be closed again."""
    return tuple(step for step in steps(goal) if step.words.get("verb") != "open")


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    """The sub-goals, in order."""

    def subtask(step: Goal) -> Subtask:
        return Subtask(in_words(scene, step), step, lambda world: is_done(world, step))

    return tuple(subtask(step) for step in steps(goal))


def success(world: SceneState, goal: Goal) -> bool:
    """Whether everything that was asked for is so now."""
    return all(is_done(world, step) for step in lasting(goal))


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    """Step after step, each again where it failed; and in the end what came undone meanwhile."""
    for step in (*steps(goal), *lasting(goal)):
        for _ in range(ATTEMPTS):
            if is_done(world, step):
                break
            with contextlib.suppress(Unreachable):  # it may be from where the arm is then
                yield from step_expert(world, arm, step, meeting_there(goal, step))
            yield from arm.wait(0.15)


def step_expert(world: SceneState, arm: Arm, step: Goal, sharing: int = 1) -> Iterator[np.ndarray]:
    """The expert of a step's skill.

    Args:
        sharing: how many things are to lie in its container in the end.
    """
    skill = skill_of(world.scene, step)
    if skill == "place":
        yield from put_among(world, arm, step, sharing)
    else:
        yield from SKILLS[skill].expert(world, arm, replace(step, then=None))


def meeting_there(goal: Goal, step: Goal) -> int:
    """How many things are to lie in a step's container in the end."""
    return sum(bool(other.place) and other.place == step.place for other in steps(goal))
