"""What the policy's confidence is worth: does it know of its failures, and does it mean what it says.

Every chunk has a confidence (vla/decoder/confidence.py), every episode one outcome. An episode's confidence
is the mean over its chunks; the early one is that of its first two seconds, before much has happened that
would show how it ends: a failed episode lasts longer, so what its later chunks say is not a forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError

EARLY_S = 2.0  # [s]
RESAMPLES = 2000  # of the bootstrap
BINS = 16  # of chunks of like agreement, before their shares are made not to descend
LEAST = 20  # episodes to fit on


@dataclass(frozen=True)
class Judged:
    """One episode's chunks and outcome."""

    times: np.ndarray  # (n,) [s] of the observations
    confidences: np.ndarray  # (n,) in [0, 1]
    success: bool


def figures(episodes: Sequence[Judged]) -> dict[str, Any] | None:
    """How well confidence tells failures from successes, and how far from the truth it is.

    `failure_auc`: area under the ROC curve of "this will fail", that is the chance that of a failed and a
    solved episode the failed one has the lower confidence; `early_failure_auc` by the first two seconds. Both
    with 95 % intervals (bootstrap over episodes), None where all episodes end alike. `brier`: mean squared
    distance of episodes' confidence from their outcome, 0 to 1; `brier_of_rate` is what always saying the
    share of solved episodes would get.
    """
    episodes = [episode for episode in episodes if len(episode.times)]
    if not episodes:
        return None
    success = np.array([episode.success for episode in episodes])
    whole = np.array([episode.confidences.mean() for episode in episodes])
    early = np.array([episode.confidences[episode.times < EARLY_S].mean() for episode in episodes])
    return {
        "episodes": len(episodes),
        "mean": float(whole.mean()),
        "failure_auc": _with_interval(lambda at: auc(1 - whole[at], ~success[at]), len(episodes)),
        "early_failure_auc": _with_interval(lambda at: auc(1 - early[at], ~success[at]), len(episodes)),
        "brier": float(np.mean((whole - success) ** 2)),
        "brier_of_rate": float(success.mean() * (1 - success.mean())),
    }


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive has the higher score, ties counting half (Mann and Whitney 1947).

    NaN where there are only positives or none.
    """
    scores, positive = np.asarray(scores), np.asarray(positive, bool)
    high, low = scores[positive], np.sort(scores[~positive])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def fit_chances(episodes: Sequence[Judged]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Agreements, ascending, and the share of episodes solved at each, not descending.

    Chunks of like agreement are put together, each episode weighing the same whatever its length; their
    shares (with half a success and half a failure added, so that none is certain) are made not to descend by
    pooling neighbours (isotonic regression; Ayer et al. 1955).

    Args:
        episodes: whose confidences are agreements, not calibrated ones.

    Raises:
        UserError: too few episodes, or all end alike.
    """
    solved = sum(episode.success for episode in episodes)
    if len(episodes) < LEAST or not 0 < solved < len(episodes):
        raise UserError(
            f"calibrate: {solved} of {len(episodes)} episodes solved, expected at least {LEAST} episodes, "
            "some solved and some not"
        )
    agreements = np.concatenate([episode.confidences for episode in episodes])
    weights = np.concatenate([np.full(len(e.times), 1 / max(1, len(e.times))) for e in episodes])
    success = np.concatenate([np.full(len(e.times), float(e.success)) for e in episodes])
    order = np.argsort(agreements, kind="stable")
    reached = np.cumsum(weights[order])
    bins = np.minimum((BINS * (reached - weights[order] / 2) / reached[-1]).astype(int), BINS - 1)
    groups = [order[bins == number] for number in range(BINS) if (bins == number).any()]
    weight = np.array([weights[group].sum() for group in groups])
    centre = np.array([np.average(agreements[group], weights=weights[group]) for group in groups])
    hits = np.array([(weights[group] * success[group]).sum() for group in groups])
    chances = not_descending((hits + 0.5) / (weight + 1), weight + 1)
    centre, chances = centre.round(4), chances.round(4)
    distinct = np.r_[True, np.diff(centre) > 0]
    return tuple(centre[distinct].tolist()), tuple(chances[distinct].tolist())


def not_descending(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sequence that never descends nearest to `values` (n,), by weighted squares."""
    pools: list[list[float]] = []  # value, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, wa, na), (b, wb, nb) = pools[-2:]
            pools[-2:] = [[(a * wa + b * wb) / (wa + wb), wa + wb, na + nb]]
    return np.concatenate([np.full(int(length), value) for value, _, length in pools])


def sentence(found: dict[str, Any]) -> str:
    """`figures` in words."""

    def in_words(name: str) -> str:
        area = found[name]
        if area is None:
            return "not to be told, as all episodes end alike"
        return f"{area['auc']:.2f} ({area['low']:.2f} to {area['high']:.2f})"

    return (
        f"Confidence {found['mean']:.2f} on average; area under its ROC curve against failure: "
        f"{in_words('failure_auc')}, of the first {EARLY_S:g} s {in_words('early_failure_auc')}; Brier score "
        f"{found['brier']:.3f}, {found['brier_of_rate']:.3f} when always saying the same."
    )


def _with_interval(measure: Callable[[np.ndarray], float], count: int) -> dict[str, float] | None:
    """A measure of all episodes, given their indices, and its 95 % bootstrap interval; None if undefined."""
    value = measure(np.arange(count))
    if np.isnan(value):
        return None
    rng = np.random.default_rng(0)
    drawn = np.array([measure(rng.integers(0, count, count)) for _ in range(RESAMPLES)])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"auc": value, "low": float(low), "high": float(high)}
