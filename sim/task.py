"""What a task is: plain functions bundled with the words people use for it.

To add a task, write one file in `sim/tasks/` that ends in a `Task` and add it to the dict there. Every
function that needs it gets the truth of the simulation as a `SceneState`; none keeps state of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import Scene, Thing

HELD_OUT_PHRASINGS = 2  # the last templates of every task are never used for training


class SceneState(Protocol):
    """What tasks read of a `World`: the truth about its scene at present; names are those of things."""

    @property
    def scene(self) -> Scene: ...

    @property
    def start_positions(self) -> Mapping[str, np.ndarray]:
        """(3,) [m] of each thing when the episode began."""
        ...

    def position(self, name: str) -> np.ndarray:
        """(3,) [m] of a thing's body."""
        ...

    def yaw(self, name: str) -> float:
        """Of a thing about the vertical [rad]."""
        ...

    def speed(self, name: str) -> float:
        """Of a thing that can move freely [m/s]."""
        ...

    def slide(self, name: str) -> float:
        """Displacement of a drawer or a button [m]."""
        ...

    def fingertips(self) -> np.ndarray:
        """(3,) [m], between them."""
        ...

    def holding(self, name: str) -> bool:
        """Whether both fingers touch a thing."""
        ...

    def touching(self, name: str) -> bool:
        """Whether a finger touches a thing."""
        ...


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
    done: Callable[[SceneState], bool]


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
    success: Callable[[SceneState, Goal], bool]
    expert: Callable[[SceneState, Arm, Goal], Iterator[np.ndarray]]
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
