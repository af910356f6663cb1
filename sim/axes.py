"""Axes of generalisation: one thing at a time that is not as in training, at rising strengths.

An axis changes an episode after it was drawn, with random numbers of its own: whatever it is not about stays
what it was, to the bit. Directions and signs follow from seed, task and axis, not from the strength, so that
a stronger change is more of the same. Delay, lost frames and a noisy state do not happen in the
world; `eval/rollout.py` and `eval/sensors.py` make them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.sim import layout
from ideomotor.sim.episode import Episode
from ideomotor.sim.look import Colour, Look
from ideomotor.sim.scene import COLOURS, GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, Task
from ideomotor.sim.tasks import TASKS
from ideomotor.sim.unseen import UNSEEN_COLOURS, UNSEEN_SHAPES
from ideomotor.sim.unseen_words import renamed, templates

LARGEST_TURN = 60.0  # of the lamp [degrees]
STEEPEST = np.radians(75)  # of the lamp from the zenith: lower ones light no table [rad]
CAMERA_SHARE = 0.2  # of the front camera's shift that the wrist's makes, which is nearer to everything
TRIES = 400  # at a scene with room for all distractors


@dataclass(frozen=True)
class Axis:
    """Something that may differ from training.

    Attributes:
        what: it is, and the units of its values.
        label: of a strength, a format string over its values.
        values: of each strength, from 1 on; 0 is the episode as it was drawn.
        vary: (episode, task, generator, *values) -> episode. None: it happens outside of the world.
        bodily: whether it changes what the body has to do, and so concerns an expert that knows the truth.
        tasks: of each strength, where not all can have it.
    """

    what: str
    label: str
    values: tuple[tuple, ...]
    vary: Callable[..., Episode] | None
    bodily: bool = False
    tasks: tuple[tuple[str, ...], ...] = ()

    @property
    def strengths(self) -> range:
        return range(1, len(self.values) + 1)

    def name(self, strength: int) -> str:
        """Of a strength, as people read it."""
        return self.label.format(*self.values[strength - 1])

    def concerns(self, task: str, strength: int) -> bool:
        """Whether the task's episodes can have it."""
        return not self.tasks or task in self.tasks[strength - 1]


def varied(episode: Episode, task: Task, seed: int, axis: str, strength: int) -> Episode:
    """Returns an episode of `sim.episode.draw_episode` with one thing changed.

    Args:
        episode: of `task` and `seed`.
        axis: a key of `AXES`; empty changes nothing.
        strength: from 1 on, or 0, which changes nothing.

    Raises:
        UserError: no such axis or strength, or the task cannot have it.
    """
    if axis and axis not in AXES:
        raise unknown_name("axis", axis, AXES)
    most = len(AXES[axis].values) if axis else 0
    if not 0 <= strength <= most:
        raise UserError(f"strength: got {strength}, expected 0 to {most} (axis {axis!r})")
    if not strength:
        return episode
    chosen = AXES[axis]
    if not chosen.concerns(task.name, strength):
        raise UserError(f"task: {task.name!r} has no {axis!r} of strength {strength}")
    if chosen.vary is None:
        return episode
    generator = np.random.default_rng([seed, zlib.crc32(task.name.encode()), 3, zlib.crc32(axis.encode())])
    return chosen.vary(episode, task, generator, *chosen.values[strength - 1])


# ---- what is seen


def _lighting(episode: Episode, task: Task, generator: np.random.Generator, turn: float, factor: float):
    """Turns the lamp about a random axis across its direction, and makes it and the ambient light `factor`
    times as bright or as dim."""
    look = episode.scene.look
    towards = np.array(look.light_direction) / np.linalg.norm(look.light_direction)
    factor = factor ** float(generator.choice((-1.0, 1.0)))
    angle = np.radians(turn)
    while True:
        across = np.cross(towards, _direction(generator))
        across /= np.linalg.norm(across)
        # Judged at the strongest turn, so that all strengths turn the same way.
        if -_rotated(towards, across, np.radians(LARGEST_TURN))[2] > np.cos(STEEPEST):
            break
    x, y, z = _rotated(towards, across, angle)
    return _look(
        episode,
        light_direction=(float(x), float(y), float(z)),
        light_intensity=look.light_intensity * factor,
        ambient=look.ambient * factor,
    )


def _texture(episode: Episode, task: Task, generator: np.random.Generator, contrast: float):
    """Covers table and floor with a pattern of two colours, each `contrast` from their own, opposite ways."""
    look = episode.scene.look
    patterns = [("checker", "stripes")[index] for index in generator.integers(0, 2, size=2)]
    table, floor = (contrast * _direction(generator) for _ in range(2))
    return _look(
        episode,
        table_texture=patterns[0],
        table_colours=_apart(look.table_colours[0], table),
        floor_texture=patterns[1],
        floor_colours=_apart(look.floor_colours[0], floor),
    )


def _camera(episode: Episode, task: Task, generator: np.random.Generator, shift: float, turn: float):
    """Moves and turns both cameras, the wrist's by less."""
    moved = {}
    for camera, share in (("front", 1.0), ("wrist", CAMERA_SHARE)):
        offset, rotation = episode.scene.look.cameras.get(camera, ((0.0,) * 3, (0.0,) * 3))
        further = 1e-3 * shift * share * _direction(generator)
        turned = np.radians(turn) * share * _direction(generator)
        moved[camera] = (tuple(np.add(offset, further)), tuple(np.add(rotation, turned)))
    return _look(episode, cameras=moved)


def _distractors(episode: Episode, task: Task, generator: np.random.Generator, count: int):
    """Adds objects of pairs of kind and colour that are not there, where no goal of the scene is lost."""
    scene = episode.scene
    there = {(thing.kind, thing.colour) for thing in scene.things}
    free = [(kind, colour) for kind in GRASPABLE for colour in COLOURS if (kind, colour) not in there]
    order, sizes = generator.permutation(len(free)), generator.integers(0, 2, size=len(free))
    things = scene.things
    for index in order[:count]:
        wanted = (*free[index], ("small", "large")[sizes[index]])
        for _ in range(TRIES):
            more = layout.scatter(generator, [wanted], things, radii=(0.12, 0.34), gap=0.03, bearings=(-1.2, 1.2))
            if more and episode.goal in task.goals(Scene(more, scene.look)):
                things = more
                break
        else:
            raise RuntimeError(f"no room for {count} distractors in this scene of {task.name!r}")
    sized = (replace(t, half=t.half * scene.look.size) for t in things[len(scene.things) :])
    return episode._replace(scene=replace(scene, things=(*scene.things, *sized)))


# ---- what things are and how they are called


def _colours(episode: Episode, task: Task, generator: np.random.Generator, which: str):
    """Gives some things colours that training lacks; things of one colour keep having one."""
    names = list(UNSEEN_COLOURS)
    new = dict(zip(COLOURS, (names[index] for index in generator.permutation(len(names))), strict=True))
    named = [episode.scene.thing(name) for name in _names(episode.goal)]
    alike = {(thing.colour, thing.kind) for thing in named}  # a twin's colour is part of the target's name
    chosen = {
        "others": lambda thing: (thing.colour, thing.kind) not in alike,
        "target": lambda thing: thing.name == episode.goal.target,
        "all": lambda thing: True,
    }[which]
    return _renamed_things(episode, lambda t: replace(t, colour=new[t.colour]) if chosen(t) else t)


def _sizes(episode: Episode, task: Task, generator: np.random.Generator, factor: float):
    """Makes small objects smaller and large ones larger."""
    factors = {"small": 1 / factor, "large": factor}
    things = (replace(t, half=t.half * factors[t.size]) if t.graspable else t for t in episode.scene.things)
    return episode._replace(scene=replace(episode.scene, things=tuple(things)))


def _shapes(episode: Episode, task: Task, generator: np.random.Generator, kind: str):
    """Gives the (first) target a shape that training lacks."""
    return _renamed_things(episode, lambda t: replace(t, kind=kind) if t.name == episode.goal.target else t)


def _phrasing(episode: Episode, task: Task, generator: np.random.Generator, step: int):
    """Says it otherwise; readable plans and subtasks keep their words."""
    usable = templates(task.name, step)
    template = usable[generator.integers(len(usable))]
    return episode._replace(phrasing=template.format(**renamed(episode.goal.words, step)))


def _combination(episode: Episode, task: Task, generator: np.random.Generator, count: int):
    """Asks for a pair of known things that no demonstration brings together.

    Objects are put onto zones, to which demonstrations only push, and cylinders take the place of cubes in a
    stack. The first `count` of what can be changed is changed.
    """
    goal = episode.goal
    if task.name == "stack":
        new = dict(zip((goal.place, goal.target)[:count], ("cylinder", "cylinder"), strict=False))
    else:
        places = (goal.place, goal.then.place) if goal.then else (goal.place,)
        new = dict.fromkeys(places[:count], "zone")
    changed = _renamed_things(episode, lambda t: replace(t, kind=new.get(t.name, t.kind)))
    return changed._replace(goal=_onto_zones(changed.goal))


# ---- what it feels like


def _friction(episode: Episode, task: Task, generator: np.random.Generator, friction: float, mass: float):
    """Makes all contacts slippery or rough, and graspable objects heavy or light."""
    one, other = generator.choice((-1.0, 1.0), size=2).tolist()
    look = episode.scene.look
    return _look(episode, contact=look.contact * friction**one, mass=look.mass * mass**other)


def _gain(episode: Episode, task: Task, generator: np.random.Generator, factor: float):
    """Weakens the servos' position loop: the arm lags behind its commands and sags."""
    return _look(episode, gain=episode.scene.look.gain / factor)


_ROUND = ("reach", "lift", "place", "sort")  # where an object may roll

AXES: dict[str, Axis] = {
    "lighting": Axis(
        "direction [degrees] and intensity [factor] of the light", "{:.0f}°, ×÷{:.1f}",
        ((20.0, 1.3), (40.0, 1.7), (LARGEST_TURN, 2.3)), _lighting,
    ),
    "texture": Axis(
        "pattern of table and floor [half the distance of its two colours, of 1 in RGB]", "{:.2f}",
        ((0.1,), (0.2,), (0.4,)), _texture,
    ),
    "camera": Axis(
        "pose of the front camera [mm, degrees]; a fifth of it of the wrist's", "{:.0f} mm, {:.1f}°",
        ((15.0, 1.5), (30.0, 3.0), (50.0, 5.0)), _camera,
    ),
    "distractors": Axis(
        "objects that nobody speaks of [more than usual]", "+{}", ((2,), (4,), (6,)), _distractors, bodily=True
    ),
    "colours": Axis(
        "colours that training lacks, with their names [of which things]", "{}",
        (("others",), ("target",), ("all",)), _colours,
        tasks=(tuple(name for name in TASKS if name != "sort"), tuple(TASKS), tuple(TASKS)),
    ),
    "sizes": Axis(
        "small objects smaller, large ones larger [factor]", "÷×{}", ((1.2,), (1.3,), (1.4,)), _sizes, bodily=True,
        tasks=((*_ROUND, "push", "stack"),) * 3,
    ),
    "shapes": Axis(
        "shape of the object that is handled first", "{}", tuple((kind,) for kind in UNSEEN_SHAPES), _shapes,
        bodily=True, tasks=((*_ROUND, "push", "stack"), _ROUND, _ROUND),
    ),
    "phrasing": Axis(
        "sentence [1 new order of known words, 2 unknown verbs, 3 unknown nouns too]", "{}", ((1,), (2,), (3,)),
        _phrasing,
    ),
    "combination": Axis(
        "object and place that training never brings together [places or objects that are new in their role]", "{}",
        ((1,), (2,)), _combination, bodily=True, tasks=(("place", "sort", "stack"), ("sort", "stack")),
    ),
    "friction": Axis(
        "friction of all contacts, mass of objects [factors]", "friction ×÷{}, mass ×÷{}",
        ((1.5, 2), (2, 4), (3, 6)), _friction, bodily=True,
    ),
    "gain": Axis(
        "stiffness and damping of the servos [factor]", "÷{}", ((2,), (4,), (8,)), _gain, bodily=True
    ),
    "delay": Axis("inference time [ms]", "{} ms", ((50,), (100,), (200,)), None),
    "frames": Axis("camera frames lost [share]", "{:.0%}", ((0.5,), (0.8,), (0.9,)), None),
    "state": Axis(
        "noise of the joint positions that the policy reads [degrees, standard deviation]", "{}°",
        ((0.5,), (1.0,), (2.0,)), None,
    ),
}  # fmt: skip


def _look(episode: Episode, **changed) -> Episode:
    scene: Scene = episode.scene
    return episode._replace(scene=replace(scene, look=replace(scene.look, **changed)))


def _renamed_things(episode: Episode, change: Callable[[Thing], Thing]) -> Episode:
    """Changes things, and the goal's words along with what they are called."""
    before = episode.scene
    after = replace(before, things=tuple(change(thing) for thing in before.things))
    return episode._replace(scene=after, goal=_reworded(episode.goal, before, after))


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
