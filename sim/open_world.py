"""Makes the world of an episode: draws and varies one of our tasks, or opens an environment of others."""

from __future__ import annotations

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import unknown_name
from ideomotor.sim.environments.external import ExternalWorld
from ideomotor.sim.episode import draw_episode
from ideomotor.sim.generalization.axes import varied
from ideomotor.sim.long_horizon import all_tasks
from ideomotor.sim.protocol import EpisodeWorld
from ideomotor.sim.randomization import LEVELS
from ideomotor.sim.world import World

SPLITS = ("train", "heldout")


def task_world(
    task: str,
    seed: int,
    level: str = "light",
    quality: str = "fast",
    instruction: str | None = None,
    split: str = "train",
    embodiment: Embodiment | None = None,
    axis: str = "",
    strength: int = 0,
) -> World:
    """An episode of one of our tasks.

    Args:
        task: name in `sim.long_horizon.all_tasks()`.
        seed: decides layout, appearance, goal and phrasing.
        level: of randomisation: none, light or full.
        quality: of pictures: fast or high.
        instruction: what to do instead of the seed's own choice, see `World`.
        split: phrasings to choose from: train or heldout.
        embodiment: the SO-101 by default.
        axis: of generalisation along which the episode differs, a key of `sim.generalization.axes.AXES`.
        strength: by how much; 0 for not at all.

    Raises:
        UserError: for an unknown name or strength, or an instruction that is empty.
    """
    tasks = all_tasks()
    for kind, name, valid in (("task", task, tasks), ("level", level, LEVELS), ("split", split, SPLITS)):
        if name not in valid:
            raise unknown_name(kind, name, valid)
    episode = varied(draw_episode(tasks[task], seed, level, split), axis, strength)
    return World(episode, instruction, embodiment, quality)


def open_world(
    embodiment: Embodiment,
    task: str,
    seed: int,
    level: str = "light",
    instruction: str | None = None,
    split: str = "train",
    axis: str = "",
    strength: int = 0,
) -> EpisodeWorld:
    """An episode's world: ours, or the environment that the embodiment's file names.

    Args:
        level, split, axis, strength: of our worlds, see `task_world`; an environment knows no level and no
            split, and the axes that its file names.
    """
    if embodiment.environment is not None:
        return ExternalWorld(task, seed, embodiment, instruction, axis, strength)
    return task_world(
        task, seed, level, instruction=instruction, split=split, embodiment=embodiment, axis=axis,
        strength=strength,
    )  # fmt: skip
