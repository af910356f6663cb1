"""What the rows of an evaluation come to: the `eval` JSON object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ideomotor.eval import phrasings, plans
from ideomotor.eval.reporting import generalization
from ideomotor.eval.rows import EpisodeRow
from ideomotor.eval.stats import confidence
from ideomotor.eval.stats.measures import aggregate, mean_of, paired

SMOOTHNESS = ("jerk_ratio", "boundary_jerk", "interior_jerk", "largest_step")


def summary(
    suite: str,
    policy: str,
    rows: Sequence[EpisodeRow],
    stopping: dict[str, Any] | None = None,
    levels: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The `eval` JSON object: rows, one rate per task, and one over all episodes (docs/evaluation.md).

    Rates and the like are of the episodes with all senses, as they are in training; those without some are
    compared with them in `without`, those along an axis in `generalization`, those in the templates of the
    suite phrasings in `phrasings`. `confidence` is there where it was asked for.

    Args:
        stopping: `sequential.figures` of an evaluation that was stopped early, whose intervals then replace
            Wilson's, which do not hold there.
        levels: {task: level of difficulty}; where there are any, also one rate per level, and
            `level_average` ({"rate", "low", "high"}), the mean of the levels' rates however many tasks each
            has, which is what VLA papers report of Meta-World.
    """
    every, rows = rows, [row for row in rows if _counts(row)]
    by_task, mean = aggregate((row.spec.task, row.success) for row in rows)
    tasks = {
        task: {**dataclasses.asdict(rate), **figures([row for row in rows if row.spec.task == task])}
        for task, rate in by_task.items()
    }
    over_all = {"rate": mean.rate, "low": mean.low, "high": mean.high}
    more: dict[str, Any] = {}
    if stopping:
        more["stopping"] = stopping
        over_all = stopping["mean"]
        for task, found in stopping["tasks"].items():
            tasks[task] |= {"low": found["low"], "high": found["high"]}
    if any(row.spec.without for row in every):
        more["without"] = _without(rows, every)
    if found := phrasings.figures(every):
        more["phrasings"] = found
    if along := generalization.figures(every):
        more["generalization"] = along
    if judged := [judged_episode(row) for row in rows if row.confidences]:
        more["confidence"] = confidence.figures(judged)
    if levels:
        by_level, _ = aggregate((levels[row.spec.task], row.success) for row in rows)
        more["levels"] = {level: dataclasses.asdict(rate) for level, rate in by_level.items()}
        average = mean_of(list(by_level.values()))
        more["level_average"] = dict(zip(("rate", "low", "high"), average, strict=True))
    return {
        "suite": suite,
        "policy": policy,
        "episodes": [row.to_json() for row in every],
        "tasks": tasks,
        "mean": {**over_all, **figures(rows)},
        "smoothness": {name: _over_episodes(rows, name) for name in SMOOTHNESS},
        "holds": sum(row.holds for row in rows),
        "plan": plans.figures(row.plan for row in rows),
        **more,
    }


def figures(rows: Sequence[EpisodeRow]) -> dict[str, Any]:
    """What else to say of some episodes beside their rate.

    success_seconds: {"median", "q25", "q75"} [s] of the solved ones, None where none is. Then means:
    progress, share of the subtasks done; interventions, ticks on which the safety filter changed a command,
    and holds, how often chunks ran out, in an episode. jerk_ratio: median, None without hand-overs.
    """
    seconds = [row.seconds for row in rows if row.success]
    quartiles = np.quantile(seconds, [0.5, 0.25, 0.75]).tolist() if seconds else []
    return {
        "success_seconds": dict(zip(("median", "q25", "q75"), quartiles, strict=True)) if seconds else None,
        "progress": float(np.mean([row.progress for row in rows])),
        "jerk_ratio": _over_episodes(rows, "jerk_ratio"),
        "interventions": float(np.mean([row.interventions for row in rows])),
        "holds": float(np.mean([row.holds for row in rows])),
    }


def _counts(row: EpisodeRow) -> bool:
    """Whether a row is one of the suite's own, not there to be compared with it."""
    return not row.spec.without and not row.spec.axis and row.spec.phrasing != phrasings.PLAIN


def judged_episode(row: EpisodeRow) -> confidence.Judged:
    """What a row says about confidence."""
    pairs = np.array(row.confidences, float).reshape(-1, 2)
    return confidence.Judged(pairs[:, 0], pairs[:, 1], row.success)


def _without(rows: Sequence[EpisodeRow], every: Sequence[EpisodeRow]) -> dict[str, Any]:
    """{senses: its rate over all episodes, and how it compares with the same episodes with all senses}."""
    whole = {row.spec: row.success for row in rows}
    groups: dict[str, list[EpisodeRow]] = {}
    for row in every:
        if row.spec.without:
            groups.setdefault(row.spec.without, []).append(row)
    found = {}
    for senses, group in groups.items():
        by_task, mean = aggregate((row.spec.task, row.success) for row in group)
        pairs = [(whole[dataclasses.replace(row.spec, without="")], row.success) for row in group]
        tasks = {task: dataclasses.asdict(rate) for task, rate in by_task.items()}
        found[senses] = {**dataclasses.asdict(mean), **dataclasses.asdict(paired(pairs)), "tasks": tasks}
    return found


def _over_episodes(rows: Sequence[EpisodeRow], name: str) -> float | None:
    """Median over the episodes that have this figure, the largest where it is a largest one."""
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    if not values:
        return None
    return max(values) if name.startswith("largest") else float(np.median(values))
