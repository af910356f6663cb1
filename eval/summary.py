"""What the rows of an evaluation come to: the `eval` JSON object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ideomotor.eval import confidence
from ideomotor.eval.measures import aggregate, paired
from ideomotor.eval.plans import figures
from ideomotor.eval.run import EpisodeRow

SMOOTHNESS = ("jerk_ratio", "boundary_jerk", "interior_jerk", "largest_step")


def summary(
    suite: str, policy: str, rows: Sequence[EpisodeRow], levels: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The `eval` JSON object: rows, one rate per task, and one over all episodes.

    Where tasks have `levels` of difficulty ({task: level}), also one rate per level, and `level_average`, the
    mean of the levels' rates however many tasks each has, which is what VLA papers report of Meta-World.

    Rates and the like are of the episodes with all senses; those without some are compared with them in
    `without`. `confidence` is there where it was asked for.
    """
    every, rows = rows, [row for row in rows if not row.spec.without]
    by_task, mean = aggregate((row.spec.task, row.success) for row in rows)
    over_all = dataclasses.asdict(mean)
    more: dict[str, Any] = {}
    if len(rows) < len(every):
        more["without"] = _without(rows, every)
    if judged := [judged_episode(row) for row in rows if row.confidences]:
        more["confidence"] = confidence.figures(judged)
    if levels:
        by_level, _ = aggregate((levels[row.spec.task], row.success) for row in rows)
        more["levels"] = {level: dataclasses.asdict(rate) for level, rate in by_level.items()}
        more["level_average"] = float(np.mean([rate.rate for rate in by_level.values()]))
    return {
        "suite": suite,
        "policy": policy,
        "episodes": [row.to_json() for row in every],
        "tasks": {task: dataclasses.asdict(rate) for task, rate in by_task.items()},
        "mean": {key: over_all[key] for key in ("rate", "low", "high")},
        "smoothness": {name: _over_episodes(rows, name) for name in SMOOTHNESS},
        "holds": sum(row.holds for row in rows),
        "plan": figures(row.plan for row in rows),
        **more,
    }


def judged_episode(row: EpisodeRow) -> confidence.Judged:
    """What a row says about confidence."""
    told = np.array(row.confidences, float).reshape(-1, 2)
    return confidence.Judged(told[:, 0], told[:, 1], row.success)


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
