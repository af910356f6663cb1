"""sort: put two named objects into two named containers, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import GRASPABLE, Scene
from ideomotor.sim.task import Goal, SceneState, Subtask, Task
from ideomotor.sim.tasks import place


def goals(scene: Scene) -> tuple[Goal, ...]:
    objects = [t for t in scene.things if t.kind in GRASPABLE and layout.within_reach(t.position)]
    containers = [t for t in scene.things if t.kind in place.WHERE]
    found = []
    for one, other in permutations(objects, 2):
        for here, there in permutations(containers, 2):
            first, second = place.goal_of(scene, one, here), place.goal_of(scene, other, there)
            words = {**first.words, "other": second.words["target"], "there": second.words["where"]}
            found.append(replace(first, words=words, then=second))
    return tuple(found)


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    assert goal.then is not None
    return place.subtasks(scene, goal) + place.subtasks(scene, goal.then)


def success(world: SceneState, goal: Goal) -> bool:
    assert goal.then is not None
    return place.success(world, goal) and place.success(world, goal.then)


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    assert goal.then is not None
    # Whatever is in the hand already is put down first, where it belongs.
    order = (goal.then, goal) if world.holding(goal.then.target) else (goal, goal.then)
    for part in order:
        yield from place.expert(world, arm, part)


def new_roles(goal: Goal) -> tuple[tuple[str, str], ...]:
    assert goal.then is not None
    return ((goal.place, "zone"), (goal.then.place, "zone"))  # to which demonstrations only push


TASK = Task(
    name="sort",
    summary="put two named objects into two named containers",
    instructions=(
        "put the {target} {where} and the {other} {there}",
        "place the {target} {where} and the {other} {there}",
        "first put the {target} {where} then the {other} {there}",
        "sort the {target} {where} and the {other} {there}",
        "move the {target} {where} and then the {other} {there}",
        "tidy up: the {target} {where} and the {other} {there}",
        "drop the {target} {where} and the {other} {there}",
        "clean up the {target} {where} and the {other} {there}",
        "please put the {target} {where} and the {other} {there}",
        "can you put the {target} {where} then the {other} {there}",
        "carry the {target} {where} and after that the {other} {there}",
        "two things to do: the {target} {where} and the {other} {there}",
        "the {target} goes {where} and the {other} goes {there}",
        "i want the {target} {where} and the {other} {there}",
    ),
    harder_instructions=(
        (
            "i need the {target} {where} and the {other} {there}",
            "get the {target} {where} and get the {other} {there}",
        ),
        (
            "deposit the {target} {where} plus the {other} {there}",
            "arrange the {target} {where} while the {other} rests {there}",
        ),
    ),
    objects=(*GRASPABLE, *place.WHERE),
    actions=("sort", "put", "push", "stack"),
    max_seconds=18.0,
    hold_seconds=0.3,
    layout=place.draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
    new_roles=new_roles,
    impossible_axes={"colours": (1,)},  # it speaks of everything
)
