"""Two evaluations of the same episodes: is one better, and if that is open, how many would tell.

Everything is in pairs: both drove in the same scenes, so only the episodes that ended differently speak.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec, spec_of
from ideomotor.eval.phrasings import PLAIN
from ideomotor.eval.stats.measures import paired

ALPHA = 0.05  # share of comparisons of equals that may be called different
POWER = 0.8  # chance of telling a difference with the number of episodes that `episodes_needed` says
LEAST_DIFFERENCE = 0.01  # nobody needs the number of episodes that would tell less
RESAMPLES = 10_000  # of the bootstrap


@dataclass(frozen=True)
class Comparison:
    """What B did with the episodes of A; shares and their difference are of all pairs, in [0, 1]."""

    episodes: int  # pairs
    rate_a: float
    rate_b: float
    lost: int  # solved by A only
    gained: int  # solved by B only
    p: float  # two-sided, see `measures.paired`
    p_holm: float  # the same, among several comparisons; equal to p for a single one
    difference: float  # rate_b - rate_a
    low: float  # 95 % interval of the difference
    high: float
    verdict: str  # "better", "worse" or "cannot tell", of B
    needed: int | None  # episodes that would tell a difference of this size; None where these do


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Compares two `eval` JSON objects of the same episodes, over all of them and for each task.

    Episodes without a sense (`--without`) are left out, as they are in the rates. The verdict over all
    episodes is at 5 %; those of the tasks are at 5 % together, their p-values being adjusted by Holm's method
    (Holm 1979, Scand. J. Stat. 6:65-70).

    Returns:
        {"a": {"suite", "policy"}, "b": …, "alpha", "power", "overall": fields of a `Comparison`,
        "tasks": {task: fields of a `Comparison`}, "sentence": the outcome in words}

    Raises:
        UserError: the lists of episodes differ, or are not comparable; the message says in what.
    """
    pairs = _pairs(_episodes(a, "A"), _episodes(b, "B"))
    by_task: dict[str, list[tuple[bool, bool]]] = {}
    for task, outcomes in pairs:
        by_task.setdefault(task, []).append(outcomes)
    tests = [paired(outcomes).p for outcomes in by_task.values()]
    tasks = {
        task: _compared(outcomes, p_holm, len(tests))
        for (task, outcomes), p_holm in zip(by_task.items(), holm(tests), strict=True)
    }
    overall = _compared([outcomes for _, outcomes in pairs])
    return {
        "a": {key: a[key] for key in ("suite", "policy")},
        "b": {key: b[key] for key in ("suite", "policy")},
        "alpha": ALPHA,
        "power": POWER,
        "overall": dataclasses.asdict(overall),
        "tasks": {task: dataclasses.asdict(found) for task, found in tasks.items()},
        "sentence": sentence(overall),
    }


def sentence(found: Comparison) -> str:
    """A comparison in words."""
    difference, low, high = (100 * share for share in (found.difference, found.low, found.high))
    figures = (
        f"{difference:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}; {found.gained} gained, "
        f"{found.lost} lost, p = {found.p:.2g} by McNemar's exact test"
    )
    if found.needed is None:
        return (
            f"B is {found.verdict} than A: it solves {100 * found.rate_b:.1f} % instead of "
            f"{100 * found.rate_a:.1f} % of {found.episodes} episodes ({figures})."
        )
    detectable = max(abs(found.difference), LEAST_DIFFERENCE)
    return (
        f"Cannot tell with {found.episodes} episodes ({figures}); you would need about {found.needed} to "
        f"tell a difference of {100 * detectable:.1f} points."
    )


def difference_interval(lost: int, gained: int, n: int, seed: int = 0) -> tuple[float, float]:
    """Bootstrap percentile interval, at 95 %, of the difference of two paired shares.

    Resampling n pairs comes to drawing (lost, gained, alike) from a multinomial distribution. Its shares
    are those found with half a pair added to each of the four outcomes (Agresti and Min 2005, Stat. Med.
    24:729-740): from few pairs that end differently the plain bootstrap draws intervals that are too short,
    and from none one of no width.
    """
    changed = np.array([lost + 0.5, gained + 0.5]) / (n + 2)
    shares = [*changed, max(0.0, 1 - changed.sum())]
    drawn = np.random.default_rng(seed).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def episodes_needed(difference: float, discordant: float, comparisons: int = 1) -> int:
    """How many pairs tell a difference, at 5 % for all comparisons together, with a chance of 80 %.

    Connor (1987), Biometrics 43:207-211, from the normal approximation of McNemar's test:
    n = (z_{1-α/2} √ψ + z_{power} √(ψ - δ²))² / δ².

    Args:
        difference: δ of the two shares, not 0.
        discordant: ψ, the share of pairs that end differently, at least |δ|.
        comparisons: how many are made, so that α is 5 % over their number.
    """
    z_error, z_power = (NormalDist().inv_cdf(share) for share in (1 - ALPHA / comparisons / 2, POWER))
    spread = z_error * math.sqrt(discordant) + z_power * math.sqrt(discordant - difference**2)
    return math.ceil((spread / difference) ** 2)


def holm(tests: Sequence[float]) -> list[float]:
    """p-values adjusted so that calling those below 5 % different is wrong at all in 5 % of the cases."""
    order = sorted(range(len(tests)), key=tests.__getitem__)
    adjusted, largest = [0.0] * len(tests), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(tests) - rank) * tests[index]))
        adjusted[index] = largest
    return adjusted


def _compared(
    outcomes: Sequence[tuple[bool, bool]], p_holm: float | None = None, comparisons: int = 1
) -> Comparison:
    n = len(outcomes)
    test = paired(outcomes)
    difference = (test.gained - test.lost) / n
    p = test.p if p_holm is None else p_holm
    verdict = "cannot tell" if p >= ALPHA else "better" if difference > 0 else "worse"
    needed = None
    if verdict == "cannot tell":
        detectable = max(abs(difference), LEAST_DIFFERENCE)
        discordant = max(detectable, (test.lost + test.gained + 1) / (n + 2))
        needed = episodes_needed(detectable, discordant, comparisons)
    low, high = difference_interval(test.lost, test.gained, n)
    rate_a, rate_b = (sum(pair[side] for pair in outcomes) / n for side in (0, 1))
    return Comparison(
        n, rate_a, rate_b, test.lost, test.gained, test.p, p, difference, low, high, verdict, needed
    )


def _episodes(results: Mapping[str, Any], name: str) -> dict[EpisodeSpec, Mapping[str, Any]]:
    """The episodes that a suite's rates are of, by what they are keyed by."""
    if "stopping" in results:
        raise UserError(
            f"compare: {name} was stopped early (--stop-at), expected all episodes of a list: which of them "
            "were run depends on how they ended"
        )
    found: dict[EpisodeSpec, Mapping[str, Any]] = {}
    for episode in results["episodes"]:
        spec = spec_of(episode)
        if spec in found:
            raise UserError(f"compare: {name} holds {_in_words(spec)} twice, expected each episode once")
        if not spec.without and not spec.axis and spec.phrasing != PLAIN:
            found[spec] = episode
    if not found:
        raise UserError(f"compare: {name} holds no episodes with all senses")
    return found


def _pairs(
    a: Mapping[EpisodeSpec, Mapping[str, Any]], b: Mapping[EpisodeSpec, Mapping[str, Any]]
) -> list[tuple[str, tuple[bool, bool]]]:
    """(task, (solved by A, solved by B)) in A's order."""
    if a.keys() != b.keys():
        raise UserError(f"compare: A and B are of different episodes, expected one list: {_difference(a, b)}")
    for spec, episode in a.items():
        for key in ("instruction", "told"):
            if episode.get(key) != b[spec].get(key):
                raise UserError(
                    f"compare: {key} of {_in_words(spec)} is {episode.get(key)!r} in A and "
                    f"{b[spec].get(key)!r} in B, expected the same scenes: these are of two versions"
                )
    return [(spec.task, (bool(episode["success"]), bool(b[spec]["success"]))) for spec, episode in a.items()]


def _difference(a: Mapping[EpisodeSpec, Any], b: Mapping[EpisodeSpec, Any]) -> str:
    """In what two lists of episodes differ: fields with other values, and how many are without a pair."""
    parts = []
    for field in dataclasses.fields(EpisodeSpec):
        of_a, of_b = ({getattr(spec, field.name) for spec in side} for side in (a, b))
        if of_a != of_b:
            parts.append(f"{field.name} {_values(of_a)} in A, {_values(of_b)} in B")
    first = next(spec for spec in (*a, *b) if spec not in a or spec not in b)
    alone = len(a.keys() - b.keys()), len(b.keys() - a.keys())
    parts.append(f"{alone[0]} only in A, {alone[1]} only in B, such as {_in_words(first)}")
    return "; ".join(parts)


def _values(values: set[Any]) -> str:
    ordered = sorted(values)
    if len(ordered) <= 8:
        return ", ".join(repr(value) for value in ordered)
    return f"{len(ordered)} from {ordered[0]!r} to {ordered[-1]!r}"


def _in_words(spec: EpisodeSpec) -> str:
    return f"{spec.task!r} of seed {spec.seed}"
