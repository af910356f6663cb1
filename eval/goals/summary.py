"""What the rows of an evaluation on goals come to: the `eval` JSON object of suite goals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ideomotor.eval.goals.rows import GoalRow
from ideomotor.eval.goals.setup import GoalSetup
from ideomotor.eval.stats.measures import aggregate, rate

RESAMPLES = 2000  # of the bootstrap
MEANS = {
    "subgoals": lambda row: row.result.subgoals / row.result.subgoals_wanted,
    "replans": lambda row: row.result.replans,
    "planner_calls": lambda row: row.result.planner_calls,
    "attempts": lambda row: len(row.result.attempts),
    "seconds": lambda row: row.result.seconds,
}  # of an episode; `subgoals` is the share of them that was reached


def goal_summary(policy: str, setup: GoalSetup, rows: Sequence[GoalRow]) -> dict[str, Any]:
    """The JSON object: rows, a rate and means for each task and over all, and what verification is worth.

    `chain` stands beside each rate: p^n, what the goals' own steps would come to if every skill had but one
    attempt and succeeded as often as first attempts at it did here, whatever came before.
    `detection`: of attempts taken for a success how many were one (precision), and of those that were one how
    many were taken for it (recall). `facts`: the same of each single fact, once a second.
    """
    by_task, mean = aggregate((row.spec.task, row.result.success) for row in rows)
    chances = first_attempts(rows)
    tasks = {}
    for task, found in by_task.items():
        group = [row for row in rows if row.spec.task == task]
        tasks[task] = {**dataclasses.asdict(found), **_means(group), "chain": chain(group, rows)}
    return {
        "suite": "goals",
        "policy": policy,
        "setup": dataclasses.asdict(setup),
        "episodes": [row.to_json() for row in rows],
        "tasks": tasks,
        "mean": {
            "rate": mean.rate,
            "low": mean.low,
            "high": mean.high,
            **_means(rows),
            "chain": chain(rows, rows),
        },
        "skills": {skill: dataclasses.asdict(rate(outcomes)) for skill, outcomes in chances.items()},
        "detection": detection(rows),
        "facts": facts(rows),
        "ends": _counted(row.result.ended for row in rows),
    }


def first_attempts(rows: Sequence[GoalRow]) -> dict[str, list[bool]]:
    """{skill: whether each first attempt at something succeeded, by the truth}."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        tried = set()
        for attempt in row.result.attempts:
            about = (attempt.skill, attempt.things)
            if about not in tried:
                found.setdefault(attempt.skill, []).append(attempt.true)
            tried.add(about)
    return found


def chain(rows: Sequence[GoalRow], all_rows: Sequence[GoalRow]) -> dict[str, float] | None:
    """{"rate", "low", "high"} of p^n over some rows' own steps, p being of all rows; None where p is unknown.

    The interval is the bootstrap's over episodes, at 95 %.
    """
    skills = sorted({skill for row in rows for skill in row.steps})
    counts = np.zeros((len(all_rows), len(skills), 2))  # first attempts, and those that succeeded
    for number, row in enumerate(all_rows):
        for skill, outcomes in first_attempts([row]).items():
            if skill in skills:
                counts[number, skills.index(skill)] = len(outcomes), sum(outcomes)
    if not all(counts[:, :, 0].sum(axis=0)):
        return None
    lengths = np.array([[row.steps.count(skill) for skill in skills] for row in rows])

    def product(total: np.ndarray, chosen: np.ndarray) -> float:
        chances = total[:, 1] / np.maximum(total[:, 0], 1)
        return float(np.mean(np.prod(chances ** lengths[chosen], axis=1)))

    draw = np.random.default_rng(0)
    samples = [
        product(
            counts[draw.integers(len(all_rows), size=len(all_rows))].sum(axis=0),
            draw.integers(len(rows), size=len(rows)),
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"rate": product(counts.sum(axis=0), np.arange(len(rows))), "low": float(low), "high": float(high)}


def detection(rows: Sequence[GoalRow]) -> dict[str, Any]:
    """Precision and recall of success as it was perceived, over all attempts."""
    attempts = [attempt for row in rows for attempt in row.result.attempts]
    return {
        "attempts": len(attempts),
        "precision": dataclasses.asdict(rate(one.true for one in attempts if one.perceived)),
        "recall": dataclasses.asdict(rate(one.perceived for one in attempts if one.true)),
    }


def facts(rows: Sequence[GoalRow]) -> dict[str, Any]:
    """Precision and recall of perceived facts, None where there was nothing to perceive."""
    true, false, missed = (
        sum(row.result.fact_counts.get(key, 0) for row in rows) for key in ("true", "false", "missed")
    )
    return {
        "precision": true / (true + false) if true + false else None,
        "recall": true / (true + missed) if true + missed else None,
    }


def _means(rows: Sequence[GoalRow]) -> dict[str, Any]:
    """{name: {"mean", "low", "high"}} of `MEANS`, with the bootstrap's interval at 95 %."""
    draw = np.random.default_rng(0)
    chosen = draw.integers(len(rows), size=(RESAMPLES, len(rows)))
    found = {}
    for name, figure in MEANS.items():
        values = np.array([figure(row) for row in rows], float)
        low, high = np.quantile(values[chosen].mean(axis=1), [0.025, 0.975])
        found[name] = {"mean": float(values.mean()), "low": float(low), "high": float(high)}
    return found


def _counted(names: Any) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found
