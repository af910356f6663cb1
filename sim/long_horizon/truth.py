"""The facts about a world that are true, from the simulator's state. Only to score with: no policy sees them.

A fact is spelled as everywhere (`control/facts.py`), its things by the words of `Scene.describe`.
"""

from __future__ import annotations

from ideomotor.control.facts import PREDICATES, Fact, Facts
from ideomotor.sim.long_horizon import relations
from ideomotor.sim.scene import Thing
from ideomotor.sim.task import Goal, SceneState
from ideomotor.sim.tasks import press, push, reach

HELD_HEIGHT = 0.012  # of a held thing's lowest point above the table [m]


def facts(world: SceneState) -> Facts:
    """What is so now; what lasts (`Predicate.lasting`) is there while it is so, see `Truth`."""
    scene, name = world.scene, world.scene.describe
    movable = [thing for thing in scene.things if thing.graspable]
    found: set[Fact] = set()
    for thing in movable:
        for other in scene.things:
            if predicate := _lies(world, thing, other):
                found.add((predicate, name(thing.name), name(other.name)))
        if _is_held(world, thing):
            found.add(("held", name(thing.name)))
        if reach.success(world, Goal(thing.name)):
            found.add(("pointed_at", name(thing.name)))
        found |= {("pushed", name(thing.name), side) for side in _pushed(world, thing)}
    for thing in scene.things:
        if thing.kind == "drawer":
            if relations.is_open(world, thing.name):
                found.add(("open", name(thing.name)))
            if relations.is_closed(world, thing.name):
                found.add(("closed", name(thing.name)))
        elif thing.kind == "button" and press.success(world, Goal(thing.name)):
            found.add(("pressed", name(thing.name)))
    if not any(world.holding(thing.name) for thing in movable):
        found.add(("hand_empty",))
    return frozenset(found)


class Truth:
    """The facts of an episode: as `facts`, and what lasts since it began. Look at every frame."""

    def __init__(self, world: SceneState):
        self._world = world
        self._lasting: set[Fact] = set()

    def look(self) -> Facts:
        """What is so now, and what was so once and lasts."""
        now = facts(self._world)
        self._lasting |= {one for one in now if PREDICATES[one[0]].lasting}
        return now | self._lasting


def _lies(world: SceneState, thing: Thing, other: Thing) -> str:
    """The predicate that says where a thing lies, if it is in or on the other one."""
    if other.name == thing.name:
        return ""
    if other.kind in ("bowl", "plate", "zone"):
        lies = relations.in_container(world, thing.name, other.name)
        return ("inside" if other.kind == "bowl" else "on") if lies else ""
    if other.kind == "drawer":
        return "in_drawer" if other.hollow and relations.in_tray(world, thing.name, other.name) else ""
    return "on" if other.graspable and relations.on_top(world, thing.name, other.name) else ""


def _is_held(world: SceneState, thing: Thing) -> bool:
    bottom = world.position(thing.name)[2] - thing.half
    return bool(bottom > HELD_HEIGHT) and world.holding(thing.name)


def _pushed(world: SceneState, thing: Thing) -> list[str]:
    """The sides to which a thing has come since the episode began, by as much as a push has to."""
    moved = world.position(thing.name)[:2] - world.start_positions[thing.name][:2]
    straight = abs(moved[0]) < push.ASIDE and world.speed(thing.name) < push.STILL
    return [side for side, sign in push.SIDES.items() if straight and sign * moved[1] > push.FAR_ENOUGH]
