"""fetch: put the named thing away into the named drawer, opened before and closed afterwards."""

from __future__ import annotations

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.long_horizon import chain, stow
from ideomotor.sim.long_horizon.drawers import draw_two, ways_are_free
from ideomotor.sim.scene import GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, Task


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    return stow.draw_beside(generator, draw_two(generator), 3)


def goals(scene: Scene) -> tuple[Goal, ...]:
    """Every thing into every drawer; and the same on condition that the other drawer is closed first."""
    if not ways_are_free(scene):
        return ()
    drawers = [thing for thing in scene.things if thing.kind == "drawer"]
    things = [t for t in scene.things if stow.goes_in(t) and layout.within_reach(t.position)]
    return tuple(
        goal_of(scene, thing, drawer, other, conditional)
        for thing in things
        for drawer, other in (drawers, drawers[::-1])
        for conditional in (False, True)
    )


def goal_of(scene: Scene, thing: Thing, drawer: Thing, other: Thing, conditional: bool) -> Goal:
    """Puts a thing away into a drawer.

    Args:
        conditional: the other drawer has to be closed first, if it is open.
    """
    name = scene.describe(other.name)
    words = {
        "thing": scene.describe(thing.name),
        "drawer": scene.describe(drawer.name),
        "first": f"if the {name} is open, close it first, then " if conditional else "",
        "before": f"make sure that the {name} is closed, then " if conditional else "",
    }
    parts = [chain.drawer_step(scene, "close", other)] if conditional and other.opening else []
    if not drawer.opening:
        parts.append(chain.drawer_step(scene, "open", drawer))
    parts += [chain.step_of(scene, thing, drawer), chain.drawer_step(scene, "close", drawer)]
    return chain.chained(parts, words)


TASK = Task(
    name="fetch",
    summary="put the named object into the named drawer and close it",
    instructions=(
        "{first}put the {thing} into the {drawer} and close it",
        "{first}open the {drawer}, put the {thing} in and close it",
        "{first}put the {thing} into the {drawer}, then close the {drawer}",
        "{first}place the {thing} into the {drawer} and close the {drawer}",
        "{first}put the {thing} in the {drawer} and then close it",
        "{first}please put the {thing} into the {drawer} and close it again",
        "{first}drop the {thing} into the {drawer}, then close it",
        "{first}pick up the {thing}, put it into the {drawer} and close the drawer",
        "{first}can you put the {thing} into the {drawer} and shut it",
        "{first}move the {thing} into the {drawer} and shut the {drawer}",
        "{before}stow the {thing} in the {drawer} and close it",
        "{before}store the {thing} inside the {drawer}, which has to be shut in the end",
    ),
    objects=(*GRASPABLE, "drawer"),
    actions=("put", "open", "close"),
    max_seconds=90.0,
    hold_seconds=0.5,
    layout=draw_layout,
    goals=goals,
    subtasks=chain.subtasks,
    success=chain.success,
    expert=chain.expert,
)
