"""count: as many things of a colour or a kind in a container as said, no matter which of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.long_horizon import chain, relations
from ideomotor.sim.scene import GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task
from ideomotor.sim.tasks.place import WHERE

BEARINGS = (-0.95, 0.95)  # [rad]
NUMBERS = {1: "one", 2: "two", 3: "three"}


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    container = (tuple(WHERE)[generator.integers(0, 2)], layout.draw_colours(generator, 1)[0], "large")
    first, second = layout.draw_colours(generator, 2)
    kinds = [GRASPABLE[index] for index in generator.permutation(len(GRASPABLE))]
    objects = [(kind, first, "small") for kind in kinds] + [(kind, second, "small") for kind in kinds[:2]]
    placed = layout.scatter(generator, [container], gap=0.015, bearings=BEARINGS)
    return placed and layout.scatter(generator, objects, placed, gap=0.022, bearings=BEARINGS)


def goals(scene: Scene) -> tuple[Goal, ...]:
    """Two, or all but one, of the things of a colour or a kind of which there are enough."""
    containers = [thing for thing in scene.things if thing.kind in WHERE]
    objects = [thing for thing in scene.things if thing.kind in GRASPABLE]
    groups = {f"{thing.colour} things": [t for t in objects if t.colour == thing.colour] for thing in objects}
    groups |= {f"{thing.kind}s": [t for t in objects if t.kind == thing.kind] for thing in objects}
    return tuple(
        goal_of(scene, said, group, count, container)
        for said, group in groups.items()
        for count in (2, 3)
        for container in containers
        if _enough(group, count)
    )


def _enough(group: Sequence[Thing], count: int) -> bool:
    """Whether the arm can handle so many of a group, and there are more than that, or just two."""
    able = sum(layout.within_reach(thing.position) for thing in group)
    return count <= able and (count < len(group) or count == len(group) == 2)


def goal_of(scene: Scene, said: str, group: Sequence[Thing], count: int, container: Thing) -> Goal:
    """`count` things of a group in a container; the first steps are about those that are handled best."""
    able = sorted(group, key=lambda thing: (not layout.within_reach(thing.position), thing.kind == "ball"))
    words = {
        "number": NUMBERS[count],
        "things": said,
        "in": "in" if container.kind == "bowl" else "on",
        "container": scene.describe(container.name),
        "onto": WHERE[container.kind],
    }
    return chain.chained([chain.step_of(scene, thing, container) for thing in able[:count]], words)


def _counted(world: SceneState, goal: Goal) -> int:
    """How many of the things spoken of lie in the container."""
    adjective, _, noun = goal.words["things"].partition(" ")
    kind = "" if noun else adjective.removesuffix("s")
    return sum(
        relations.in_container(world, thing.name, goal.place)
        for thing in world.scene.things
        if thing.kind in GRASPABLE and (thing.kind == kind if kind else thing.colour == adjective)
    )


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    def subtask(number: int, step: Goal) -> Subtask:
        return Subtask(chain.in_words(scene, step), step, lambda world: _counted(world, goal) >= number)

    return tuple(subtask(number, step) for number, step in enumerate(chain.steps(goal), start=1))


def success(world: SceneState, goal: Goal) -> bool:
    return _counted(world, goal) == len(chain.steps(goal))


TASK = Task(
    name="count",
    summary="put as many things of a colour or a kind into a container as said",
    instructions=(
        "put exactly {number} {things} {onto} the {container}",
        "place exactly {number} {things} {onto} the {container}",
        "exactly {number} {things} {in} the {container}",
        "put {number} {things} {onto} the {container}, no more and no less",
        "there should be exactly {number} {things} {in} the {container}",
        "please put exactly {number} {things} {onto} the {container}",
        "make sure that exactly {number} {things} are {in} the {container}",
        "i want exactly {number} {things} {in} the {container}",
        "can you put exactly {number} {things} {onto} the {container}",
        "move {number} {things} {onto} the {container}, not more",
        "bring it about that exactly {number} {things} lie {in} the {container}",
        "of the {things} put {number} {onto} the {container} and leave the others",
    ),
    objects=(*GRASPABLE, *WHERE),
    actions=("put",),
    max_seconds=60.0,
    hold_seconds=0.5,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=chain.expert,
)
