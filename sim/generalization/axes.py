"""Axes of generalisation: one thing at a time that is not as in training, at rising strengths.

An axis changes an episode after it was drawn, with random numbers of its own: whatever it is not about stays
what it was, to the bit. Random numbers follow from seed, task and axis, not from the strength, so that a
stronger change is more of the same. Delay, a network, lost frames and a noisy state do not happen in the
world; `eval/rollout.py`, `eval/network.py` and `eval/sensors.py` make them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.sim.episode import Episode
from ideomotor.sim.generalization import variations as change
from ideomotor.sim.generalization.held_out_objects import HELD_OUT_SHAPES
from ideomotor.sim.scene import GRASPABLE
from ideomotor.sim.task import Task
from ideomotor.sim.tasks import TASKS


@dataclass(frozen=True)
class Axis:
    """Something that may differ from training.

    Attributes:
        what: it is, and the units of its values.
        label: of a strength, a format string over its values.
        values: of each strength, from 1 on; 0 is the episode as it was drawn.
        vary: (episode, generator, *values) -> episode. None: it happens outside of the world.
        physical: whether it changes what the arm has to do, and so concerns an expert that knows the truth.
        needs: whether a task can have it at all.
    """

    what: str
    label: str
    values: tuple[tuple, ...]
    vary: Callable[..., Episode] | None
    physical: bool = False
    needs: Callable[[Task], bool] = lambda task: True

    @property
    def strengths(self) -> range:
        return range(1, len(self.values) + 1)

    def name(self, strength: int) -> str:
        """Of a strength, as people read it."""
        return self.label.format(*self.values[strength - 1])


def varied(episode: Episode, axis: str, strength: int) -> Episode:
    """Returns an episode of `sim.episode.draw_episode` with one thing changed.

    Args:
        episode: as it was drawn.
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
    if not concerns(axis, episode.task.name, strength):
        raise UserError(f"task: {episode.task.name!r} has no {axis!r} of strength {strength}")
    if chosen.vary is None:
        return episode
    names = (zlib.crc32(episode.task.name.encode()), 3, zlib.crc32(axis.encode()))
    generator = np.random.default_rng([episode.seed, *names])
    return chosen.vary(episode, generator, *chosen.values[strength - 1])


def concerns(axis: str, task: str, strength: int) -> bool:
    """Whether the episodes of a task can have an axis (a key of `AXES`) at this strength.

    Tasks of others' environments can have what happens outside of the world, and what their file names.
    """
    if task not in TASKS:
        return True
    ours = TASKS[task]
    return AXES[axis].needs(ours) and strength not in ours.impossible_axes.get(axis, ())


def _handles_objects(task: Task) -> bool:
    return bool(set(task.objects) & set(GRASPABLE))


AXES: dict[str, Axis] = {
    "lighting": Axis(
        "direction [degrees] and intensity [factor] of the light", "{:.0f}°, ×÷{:.1f}",
        ((20.0, 1.3), (40.0, 1.7), (change.LARGEST_TURN, 2.3)), change.lighting,
    ),
    "texture": Axis(
        "pattern of table and floor [half the distance of its two colours, of 1 in RGB]", "{:.1f}",
        ((0.1,), (0.2,), (0.4,)), change.texture,
    ),
    "camera": Axis(
        "pose of the front camera [mm, degrees]; a fifth of it of the wrist's", "{:.0f} mm, {:.1f}°",
        ((15.0, 1.5), (30.0, 3.0), (50.0, 5.0)), change.camera,
    ),
    "placement": Axis(
        "where things stand, in others' environments that can move them [mm]", "{:.0f} mm",
        ((20.0,), (40.0,), (80.0,)), change.placement, physical=True, needs=lambda task: False,
    ),
    "distractors": Axis(
        "objects that nobody speaks of [more than usual]", "+{}",
        ((2,), (4,), (6,)), change.distractors, physical=True,
    ),
    "colours": Axis(
        "colours that training lacks, with their names [of which things]", "{}",
        (("others",), ("target",), ("all",)), change.colours,
    ),
    "sizes": Axis(
        "small objects smaller, large ones larger [factor]", "÷×{}",
        ((1.2,), (1.3,), (1.4,)), change.sizes, physical=True,
        needs=_handles_objects,
    ),
    "shapes": Axis(
        "shape of the object that is handled first", "{}",
        tuple((kind,) for kind in HELD_OUT_SHAPES), change.shapes, physical=True,
        needs=_handles_objects,
    ),
    "phrasing": Axis(
        "sentence [1 new order of known words, 2 unknown verbs, 3 unknown names of things too]", "{}",
        ((1,), (2,), (3,)), change.phrasing, needs=lambda task: bool(task.harder_instructions),
    ),
    "combination": Axis(
        "object and place that training never brings together [things that are new in their role]", "{}",
        ((1,), (2,)), change.combination, physical=True,
        needs=lambda task: task.new_roles is not None,
    ),
    "friction": Axis(
        "friction of all contacts, mass of objects [factors]", "×÷{}, mass ×÷{}",
        ((1.5, 2), (2, 4), (3, 6)), change.friction, physical=True,
    ),
    "gain": Axis(
        "stiffness and damping of the servos [factor]", "÷{}",
        ((4,), (16,), (64,)), change.gain, physical=True,
    ),
    "delay": Axis("inference time [ms]", "{} ms", ((50,), (100,), (200,)), None),
    "network": Axis(
        "round trip to the policy [ms] with 10 % jitter, messages lost each way", "{} ms, {:.0%} lost",
        ((0, 0.02), (50, 0.02), (100, 0.02), (200, 0.02)), None,
    ),
    "frames": Axis("camera frames lost [share]", "{:.0%}", ((0.5,), (0.8,), (0.9,)), None),
    "state": Axis(
        "noise of the joint positions that the policy reads [degrees, standard deviation]", "{}°",
        ((0.5,), (1.0,), (2.0,)), None,
    ),
}  # fmt: skip
