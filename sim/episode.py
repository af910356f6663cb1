"""What a seed stands for: a scene, something to ask for in it, and the words to ask with."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.randomization import draw_appearance
from ideomotor.sim.scene import Scene, with_appearance
from ideomotor.sim.task import Goal, Task


@dataclass(frozen=True)
class Episode:
    """A task and everything about one episode of it that is random."""

    task: Task
    seed: int  # of what is drawn while it goes on
    scene: Scene
    goal: Goal
    phrasing: str  # instruction template
    home_offset: np.ndarray = field(compare=False)  # (A,) added to the home pose at the start [rad]

    @property
    def instruction(self) -> str:
        """The goal in this phrasing."""
        return phrase(self.goal, self.phrasing)


def draw_episode(task: Task, seed: int, level: str, split: str) -> Episode:
    """Returns the episode that a seed stands for."""
    root = [seed, zlib.crc32(task.name.encode())]
    appearance = draw_appearance(np.random.default_rng([*root, 1]), level)
    generator = np.random.default_rng([*root, 2])
    while True:
        things = task.layout(generator)
        if things is None:
            continue
        extra = layout.draw_objects(generator, appearance.distractors, twin=0.0)
        crowd = layout.scatter(generator, extra, things, radii=(0.12, 0.32)) or things
        if len({(thing.kind, thing.colour, thing.size) for thing in crowd}) < len(crowd):
            continue  # two things that no words can tell apart
        scene = with_appearance(Scene(crowd), appearance)
        goals = [
            goal for goal in task.goals(scene) if scene.things.index(scene.thing(goal.target)) < len(things)
        ]
        if len({goal.target for goal in goals}) < 2:
            continue  # words must matter: there is always something else that could have been meant
        goal = goals[generator.integers(len(goals))]
        phrasings = task.phrasings(split)
        home = np.array(appearance.home_offset) if appearance.home_offset else np.zeros(6)
        return Episode(task, seed, scene, goal, phrasings[generator.integers(len(phrasings))], home)


def phrase(goal: Goal, template: str) -> str:
    """The instruction for a goal."""
    return template.format(**goal.words)


def another_goal(task: Task, scene: Scene, goal: Goal, seed: int) -> Goal | None:
    """A goal about another thing, at the same place if there is one so; None if there is no other thing."""
    others = [other for other in task.goals(scene) if other.target != goal.target]
    usable = [other for other in others if other.place == goal.place] or others
    return usable[seed % len(usable)] if usable else None


def plan_text(scene: Scene, now: str, following: str) -> str:
    """Scene facts, the current and the next subtask, as one line."""
    facts = ", ".join(sorted(scene.describe(thing.name) for thing in scene.things))
    return f"scene: {facts}. now: {now}. next: {following}."


def refer(goal: Goal, positions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names the positions a goal refers to: "target", and "place" where that is a thing.

    A spot beside a thing is not pointed at: it was defined where the thing stood at first, and a picture
    does not tell where that was once the thing has moved.
    """
    referred = {"target": positions[goal.target]}
    if goal.place:
        referred["place"] = positions[goal.place]
    return referred
