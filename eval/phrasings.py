"""Suite `phrasings`: a hundred instructions as people say them, none of them a template (`phrasings.yaml`).

Each is one episode in a held-out scene. The same goal in the same scene is then asked for in a held-out
template too, which shows what is lost by the words alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.stats.measures import aggregate, paired

if TYPE_CHECKING:
    from ideomotor.eval.rows import EpisodeRow

FILE = Path(__file__).with_name("phrasings.yaml")
FREE, PLAIN = "free", "plain"  # phrasings of an `EpisodeSpec`
LEVEL = "light"  # of randomisation, for which the scenes and so the goals are
HEADING = "The same goals in templates"


@dataclasses.dataclass(frozen=True)
class Phrasing:
    """What somebody says in a scene."""

    task: str
    seed: int
    said: str
    goal: str  # that is meant, in the first template of the task


@functools.cache
def phrasings() -> dict[tuple[str, int], Phrasing]:
    """All of them, by task and seed."""
    listed = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {(task, row[0]): Phrasing(task, *row) for task, rows in listed.items() for row in rows}


def specs_of(tasks: Sequence[str], episodes: int | None, like: EpisodeSpec) -> list[EpisodeSpec]:
    """The episodes of the suite, task by task.

    Args:
        tasks: their names.
        episodes: the first so many of each task; None: all.
        like: everything else about them.

    Raises:
        UserError: there are not so many, or not of this level of randomisation.
    """
    if like.perturbation != LEVEL:
        raise UserError(f"randomize: got {like.perturbation!r}, expected {LEVEL!r} in suite 'phrasings'")
    found = []
    for task in tasks:
        seeds = [seed for name, seed in phrasings() if name == task]
        if episodes is not None and not 1 <= episodes <= len(seeds):
            raise UserError(f"episodes: got {episodes}, expected 1 to {len(seeds)} of {task}")
        found += [dataclasses.replace(like, task=task, seed=seed) for seed in seeds[:episodes]]
    return found


def instruction_in(spec: EpisodeSpec) -> str | None:
    """What is said in an episode of this suite; None in one of another."""
    if spec.phrasing not in (FREE, PLAIN):
        return None
    found = phrasings()[spec.task, spec.seed]
    if spec.phrasing == FREE:
        return found.said
    from ideomotor.sim.episode import draw_episode, phrase
    from ideomotor.sim.tasks import TASKS

    task = TASKS[spec.task]
    scene = draw_episode(task, spec.seed, spec.perturbation, "heldout").scene
    templates = task.phrasings("heldout")
    goal = next(goal for goal in task.goals(scene) if phrase(goal, task.instructions[0]) == found.goal)
    return phrase(goal, templates[spec.seed % len(templates)])


def figures(rows: Sequence[EpisodeRow]) -> dict[str, Any]:
    """How the free words compare with templates: the key `phrasings` of the `eval` JSON object.

    Returns:
        Of the episodes with templates the fields of a `measures.Rate`, `tasks` ({name: Rate}), and of the
        pairs `lost` and `gained` by free words and `p` (McNemar's exact test). Empty without such rows.
    """
    plain = {row.spec: row.success for row in rows if row.spec.phrasing == PLAIN}
    free = [row for row in rows if row.spec.phrasing == FREE and not row.spec.without and not row.spec.axis]
    pairs = [(dataclasses.replace(row.spec, phrasing=PLAIN), row.success) for row in free]
    compared = [(plain[spec], success) for spec, success in pairs if spec in plain]
    if not compared:
        return {}
    by_task, mean = aggregate((spec.task, success) for spec, success in plain.items())
    tasks = {task: dataclasses.asdict(rate) for task, rate in by_task.items()}
    return {**dataclasses.asdict(mean), **dataclasses.asdict(paired(compared)), "tasks": tasks}


def sentence(found: dict[str, Any]) -> str:
    """The same in words."""
    return (
        f"{HEADING}, in the same scenes: {found['successes']} of {found['episodes']} "
        f"({found['rate']:.1%}, {found['low']:.1%} to {found['high']:.1%}); free words lost {found['lost']} "
        f"of them and gained {found['gained']} others (McNemar's exact p {found['p']:.2g})."
    )
