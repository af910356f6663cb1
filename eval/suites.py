"""Suites: fixed lists of episodes, written before anything runs; a result is keyed by its entry."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.eval.episode_spec import EpisodeSpec, Phrasing
from ideomotor.eval.phrasings import specs_of

HELD_OUT_SEEDS = 1_000_000  # first seed of every suite; demonstrations count up from 0
MAX_SKIPPED = 1000  # scenes in a row in which nothing else can be named

SUITES: dict[str, Phrasing] = {
    "builtin": "heldout",  # scenes and phrasings of the instruction that no demonstration had
    "familiar": "train",  # the same scenes, in phrasings of the demonstrations
    # As builtin, but the policy has to use another object that is present. Success is judged by the
    # original instruction, so a policy that listens fails. Scenes without another object are left out.
    "swap": "swapped",
    # The same instructions in the same scenes, and success is judged by what the policy is given.
    "named": "named",
    # In words that nobody wrote as a template, then the same goals in those of builtin (`phrasings.py`).
    "phrasings": "free",
    # As builtin, then the same episodes again with one thing that is not as in training
    # (`sim/generalization/axes.py`).
    "generalization": "heldout",
    "mt50": "train",  # Meta-World's tasks from starts that no demonstration had; each has one phrasing
    "libero": "train",  # LIBERO's tasks from the published initial states; each has one phrasing
}


def suite(
    name: str,
    tasks: Sequence[str],
    episodes: int | None,
    seed_start: int,
    delay_ms: int = 0,
    handover: str = DEFAULT,
    level: str = "light",
    without: Sequence[str] = (),
    axes: Sequence[str] = (),
) -> list[EpisodeSpec]:
    """The episodes of a suite, task by task; after them the same ones again without each of some senses,
    and then with all senses at each strength of some axes of generalisation.

    Args:
        name: a key of `SUITES`.
        tasks: task names, in the order of the list.
        episodes: how many of each task; None, in suite phrasings only: all there are.
        seed_start: the first seed of each task.
        delay_ms: simulated inference time [ms].
        handover: how a chunk takes over from the one before.
        level: how much of the scenes' appearance and physics varies.
        without: values of `EpisodeSpec.without`.
        axes: keys of `sim.generalization.axes.AXES`.

    Raises:
        UserError: unknown suite, hand-over or axis, fewer than one episode, or a task whose scenes hold
            nothing to swap.
    """
    if name not in SUITES:
        raise unknown_name("suite", name, SUITES)
    if handover not in HANDOVERS:
        raise unknown_name("handover", handover, HANDOVERS)
    like = EpisodeSpec("", seed_start, SUITES[name], level, delay_ms, handover)
    plain: list[EpisodeSpec] = []
    if like.phrasing == "free":
        specs = specs_of(tasks, episodes, like)
        plain = [replace(spec, phrasing="plain") for spec in specs]
    else:
        specs = _drawn(name, tasks, episodes or 0, like)
    lacking = [replace(spec, without=lack) for lack in dict.fromkeys(("", *without)) for spec in specs]
    return lacking + plain + [harder for axis in dict.fromkeys(axes) for harder in _along(axis, specs)]


def _drawn(name: str, tasks: Sequence[str], episodes: int, like: EpisodeSpec) -> list[EpisodeSpec]:
    """Episodes from the seed of `like` on, as many of each task."""
    if episodes < 1:
        raise UserError(f"episodes: got {episodes}, expected at least 1")
    specs = []
    for task in tasks:
        other = like.phrasing in ("swapped", "named")
        seeds = _swappable(task, name, like.perturbation, like.seed) if other else itertools.count(like.seed)
        specs += [replace(like, task=task, seed=seed) for seed in itertools.islice(seeds, episodes)]
    return specs


def _along(name: str, specs: Sequence[EpisodeSpec]) -> Iterator[EpisodeSpec]:
    """The same episodes at every strength of an axis, where their tasks can have it."""
    from ideomotor.sim.generalization.axes import AXES, concerns

    if name not in AXES:
        raise unknown_name("axis", name, AXES)
    axis = AXES[name]
    for strength in axis.strengths:
        for spec in specs:
            if concerns(name, spec.task, strength):
                delay = axis.values[strength - 1][0] if name == "delay" else spec.delay_ms
                yield replace(spec, axis=name, strength=strength, delay_ms=delay)


def _swappable(task: str, suite: str, level: str, seed_start: int) -> Iterator[int]:
    """Seeds from `seed_start` on in whose scenes the instruction could name another object."""
    from ideomotor.sim.open_world import task_world

    skipped = 0
    for seed in itertools.count(seed_start):
        world = task_world(task, seed, level=level, split="heldout")
        found = world.alternative_instruction() is not None
        world.close()
        skipped = 0 if found else skipped + 1
        if found:
            yield seed
        elif skipped == MAX_SKIPPED:
            raise UserError(f"suite: {suite!r} needs scenes with something else to name, {task!r} has none")
