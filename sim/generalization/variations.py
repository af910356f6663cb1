"""How an episode is changed along each axis of generalisation; `sim/generalization/axes.py` says by how much.

Every function takes an episode, random numbers of its own and the axis' values at some strength. It
draws the same numbers whatever the values are, so that directions and signs do not depend on the strength.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ideomotor.sim import layout
from ideomotor.sim.episode import Episode
from ideomotor.sim.generalization.held_out_objects import HELD_OUT_COLOURS
from ideomotor.sim.generalization.held_out_phrasings import renamed, templates
from ideomotor.sim.randomization import Colour
from ideomotor.sim.scene import COLOURS, GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal

LARGEST_TURN = 60.0  # of the lamp [degrees]
STEEPEST = np.radians(75)  # of the lamp from the zenith: lower ones light no table [rad]
CAMERA_SHARE = 0.2  # of the front camera's shift that the wrist's makes, which is nearer to everything
TRIES = 400  # at a spot for one more distractor


# ---- what is seen


def lighting(episode: Episode, generator: np.random.Generator, turn: float, factor: float) -> Episode:
    """Turns the lamp about a random axis across its direction, and makes it and the ambient light `factor`
    times as bright or as dim."""
    appearance = episode.scene.appearance
    towards = np.array(appearance.light_direction) / np.linalg.norm(appearance.light_direction)
    factor = factor ** float(generator.choice((-1.0, 1.0)))
    angle = np.radians(turn)
    while True:
        across = np.cross(towards, _direction(generator))
        across /= np.linalg.norm(across)
        # Judged at the strongest turn, so that all strengths turn the same way.
        if -_rotated(towards, across, np.radians(LARGEST_TURN))[2] > np.cos(STEEPEST):
            break
    x, y, z = _rotated(towards, across, angle)
    return _with_appearance(
        episode,
        light_direction=(float(x), float(y), float(z)),
        light_intensity=appearance.light_intensity * factor,
        ambient=appearance.ambient * factor,
    )


def texture(episode: Episode, generator: np.random.Generator, contrast: float) -> Episode:
    """Covers table and floor with a pattern of two colours, each `contrast` from their own, opposite ways."""
    appearance = episode.scene.appearance
    patterns = [("checker", "stripes")[index] for index in generator.integers(0, 2, size=2)]
    table, floor = (contrast * _direction(generator) for _ in range(2))
    return _with_appearance(
        episode,
        table_texture=patterns[0],
        table_colours=_apart(appearance.table_colours[0], table),
        floor_texture=patterns[1],
        floor_colours=_apart(appearance.floor_colours[0], floor),
    )


def camera(episode: Episode, generator: np.random.Generator, shift: float, turn: float) -> Episode:
    """Moves and turns both cameras, the wrist's by less."""
    moved = {}
    for camera, share in (("front", 1.0), ("wrist", CAMERA_SHARE)):
        offset, rotation = episode.scene.appearance.cameras.get(camera, ((0.0,) * 3, (0.0,) * 3))
        further = 1e-3 * shift * share * _direction(generator)
        turned = np.radians(turn) * share * _direction(generator)
        moved[camera] = (tuple(np.add(offset, further)), tuple(np.add(rotation, turned)))
    return _with_appearance(episode, cameras=moved)


def placement(episode: Episode, generator: np.random.Generator, shift: float) -> Episode:
    """Ours draw new places for every episode: only others' environments have this axis."""
    raise NotImplementedError


def distractors(episode: Episode, generator: np.random.Generator, count: int) -> Episode:
    """Adds objects of pairs of kind and colour that are not there, where no goal of the scene is lost."""
    scene = episode.scene
    there = {(thing.kind, thing.colour) for thing in scene.things}
    free = [(kind, colour) for kind in GRASPABLE for colour in COLOURS if (kind, colour) not in there]
    order, sizes = generator.permutation(len(free)), generator.integers(0, 2, size=len(free))
    things = scene.things
    for index in order[:count]:
        wanted = (*free[index], ("small", "large")[sizes[index]])
        for _ in range(TRIES):
            more = layout.scatter(
                generator, [wanted], things, radii=(0.12, 0.34), gap=0.03, bearings=(-1.2, 1.2)
            )
            if more and episode.goal in episode.task.goals(Scene(more, scene.appearance)):
                things = more
                break
        else:
            raise RuntimeError(f"no room for {count} distractors in this scene of {episode.task.name!r}")
    sized = (replace(t, half=t.half * scene.appearance.size) for t in things[len(scene.things) :])
    return replace(episode, scene=replace(scene, things=(*scene.things, *sized)))


# ---- what things are and how they are called


def colours(episode: Episode, generator: np.random.Generator, which: str) -> Episode:
    """Gives some things colours that training lacks; things of one colour keep having one."""
    names = list(HELD_OUT_COLOURS)
    new = dict(zip(COLOURS, (names[index] for index in generator.permutation(len(names))), strict=True))
    named = [episode.scene.thing(name) for name in _names(episode.goal)]
    alike = {(thing.colour, thing.kind) for thing in named}  # a twin's colour is part of the target's name
    chosen = {
        "others": lambda thing: (thing.colour, thing.kind) not in alike,
        "target": lambda thing: thing.name == episode.goal.target,
        "all": lambda thing: True,
    }[which]
    return _renamed_things(episode, lambda t: replace(t, colour=new[t.colour]) if chosen(t) else t)


def sizes(episode: Episode, generator: np.random.Generator, factor: float) -> Episode:
    """Makes small objects smaller and large ones larger."""
    factors = {"small": 1 / factor, "large": factor}
    things = (replace(t, half=t.half * factors[t.size]) if t.graspable else t for t in episode.scene.things)
    return replace(episode, scene=replace(episode.scene, things=tuple(things)))


def shapes(episode: Episode, generator: np.random.Generator, kind: str) -> Episode:
    """Gives the (first) target a shape that training lacks."""
    return _renamed_things(episode, lambda t: replace(t, kind=kind) if t.name == episode.goal.target else t)


def phrasing(episode: Episode, generator: np.random.Generator, step: int) -> Episode:
    """Says it otherwise; readable plans and subtasks keep their words."""
    usable = templates(episode.task, step)
    template = usable[generator.integers(len(usable))]
    return replace(episode, phrasing=template.format(**renamed(episode.goal.words, step)))


def combination(episode: Episode, generator: np.random.Generator, count: int) -> Episode:
    """Asks for a pair of known things that no demonstration brings together.

    Objects are put onto zones, to which demonstrations only push, and cylinders take the place of cubes in a
    stack. The first `count` of what can be changed is changed.
    """
    assert episode.task.new_roles is not None  # else the axis does not concern it
    new = dict(episode.task.new_roles(episode.goal)[:count])
    changed = _renamed_things(episode, lambda t: replace(t, kind=new.get(t.name, t.kind)))
    return replace(changed, goal=_onto_zones(changed.goal))


# ---- physics


def friction(episode: Episode, generator: np.random.Generator, friction: float, mass: float) -> Episode:
    """Makes all contacts slippery or rough, and graspable objects heavy or light."""
    one, other = generator.choice((-1.0, 1.0), size=2).tolist()
    appearance = episode.scene.appearance
    return _with_appearance(
        episode, contact=appearance.contact * friction**one, mass=appearance.mass * mass**other
    )


def gain(episode: Episode, generator: np.random.Generator, factor: float) -> Episode:
    """Weakens the servos' position loop: the arm lags behind its commands and sags."""
    return _with_appearance(episode, gain=episode.scene.appearance.gain / factor)


# ---- how


def _with_appearance(episode: Episode, **changed) -> Episode:
    scene: Scene = episode.scene
    return replace(episode, scene=replace(scene, appearance=replace(scene.appearance, **changed)))


def _renamed_things(episode: Episode, change: Callable[[Thing], Thing]) -> Episode:
    """Changes things, and the goal's words along with what they are called."""
    before = episode.scene
    after = replace(before, things=tuple(change(thing) for thing in before.things))
    return replace(episode, scene=after, goal=_reworded(episode.goal, before, after))


def _reworded(goal: Goal, before: Scene, after: Scene) -> Goal:
    words = dict(goal.words)
    for field, word in words.items():
        for name in _names(goal):
            if word.endswith(before.describe(name)):
                words[field] = word.removesuffix(before.describe(name)) + after.describe(name)
    return replace(goal, words=words, then=goal.then and _reworded(goal.then, before, after))


def _names(goal: Goal) -> list[str]:
    """Of everything that a goal speaks of."""
    return [name for name in (goal.target, goal.place) if name] + (_names(goal.then) if goal.then else [])


def _onto_zones(goal: Goal) -> Goal:
    words = {k: w.replace("into", "onto") if w.endswith("zone") else w for k, w in goal.words.items()}
    return replace(goal, words=words, then=goal.then and _onto_zones(goal.then))


def _direction(generator: np.random.Generator) -> np.ndarray:
    """(3,) of length 1, uniform over the sphere."""
    vector = generator.normal(size=3)
    return vector / np.linalg.norm(vector)


def _rotated(vector: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """`vector` (3,) turned about a perpendicular unit `axis` (3,) by `angle` [rad]."""
    return np.cos(angle) * vector + np.sin(angle) * np.cross(axis, vector)


def _apart(colour: Colour, by: np.ndarray) -> tuple[Colour, Colour]:
    """Two colours, `by` (3,) from one on either side."""
    one, other = (tuple(float(c) for c in np.clip(np.add(colour, s * by), 0.02, 0.98)) for s in (1, -1))
    return one, other  # pyright: ignore[reportReturnType]
