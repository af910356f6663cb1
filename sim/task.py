"""What a task is: plain functions bundled with the words people use for it.

To add a task, write one file in `sim/tasks/` that ends in a `Task` and add it to the dict there. Every
function gets the `World` and reads the truth of the simulation from it; none keeps state of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import Scene, Thing

if TYPE_CHECKING:
    from ideomotor.sim.world import World

HELD_OUT_PHRASINGS = 2  # the last templates of every task are never used for training


@dataclass(frozen=True)
class Goal:
    """One thing that can be asked for in a scene."""

    target: str  # name of the thing that is handled
    place: str = ""  # name of the thing it goes to, if any
    words: Mapping[str, str] = field(default_factory=dict)  # fields of the instruction templates
    spot: tuple[float, float] | None = None  # where on the table the target should end, if asked [m]
    then: Goal | None = None  # what comes after it, in a long task


@dataclass(frozen=True)
class Subtask:
    """One readable step and the predicate that ends it."""

    text: str
    goal: Goal  # what it serves
    done: Callable[[World], bool]


@dataclass(frozen=True)
class Task:
    """A family of goals that share a layout, phrasings, success and expert."""

    name: str
    summary: str
    instructions: tuple[str, ...]  # templates over the words of a goal, the last two held out
    objects: tuple[str, ...]  # kinds of things in its scenes
    actions: tuple[str, ...]  # what it does, as `sim/instructions/vocabulary.py` has verbs for it
    max_seconds: float
    hold_seconds: float  # how long success must hold
    layout: Callable[[np.random.Generator], tuple[Thing, ...] | None]  # None: try again
    goals: Callable[[Scene], tuple[Goal, ...]]  # everything that can be asked for in a scene
    subtasks: Callable[[Scene, Goal], tuple[Subtask, ...]]
    success: Callable[[World, Goal], bool]
    expert: Callable[[World, Arm, Goal], Iterator[np.ndarray]]
    # Generalisation (`generalization/axes.py`); a task without these is varied along the other axes only.
    harder_instructions: tuple[tuple[str, ...], ...] = ()  # templates of new sentences; with unknown verbs
    new_roles: Callable[[Goal], tuple[tuple[str, str], ...]] | None = None  # (thing, kind) never in this role
    impossible_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # {axis: strengths}

    def phrasings(self, split: str) -> tuple[str, ...]:
        """Templates of a split: "train" or "heldout"."""
        seen = self.instructions[:-HELD_OUT_PHRASINGS]
        return seen if split == "train" else self.instructions[-HELD_OUT_PHRASINGS:]


def goals_for(scene: Scene, fits: Callable[[Thing], bool]) -> tuple[Goal, ...]:
    """A goal for each thing that fits, with its description as the word "target"."""
    return tuple(
        Goal(thing.name, words={"target": scene.describe(thing.name)})
        for thing in scene.things
        if fits(thing)
    )
