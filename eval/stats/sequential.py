"""Stopping early without fooling oneself: intervals of a success rate that hold however often one looks.

A Wilson interval covers the true rate with 95 % at one number of episodes chosen beforehand. Who looks after
every episode and stops when it suits is wrong far more often. A confidence sequence covers the true rate at
all numbers of episodes at once, with 95 %, so one may stop whenever one likes.

Here it is Robbins' mixture (Robbins 1970, Ann. Math. Stat. 41:1397-1409; as betting: Waudby-Smith and Ramdas
2024, J. R. Stat. Soc. B 86:1-27): if p is the rate, the likelihood of the outcomes averaged over all rates (a
uniform prior) over their likelihood under p is a martingale of mean 1, which ever reaches 1/α with a
probability of at most α (Ville 1939). After s successes in n episodes the sequence is therefore

    {p: (n + 1) · C(n, s) · p^s · (1 - p)^(n - s) > α}.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec

if TYPE_CHECKING:
    from ideomotor.eval.rows import EpisodeRow

ALPHA = 0.05


def bounds(successes: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The confidence sequence after n episodes: (low, high), with the share of successes between them."""
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n={n}, got {successes}")
    share = successes / n if n else 0.5
    low = 0.0 if successes == 0 else _crossing(successes, n, alpha, outside=0.0, inside=share)
    high = 1.0 if successes == n else _crossing(successes, n, alpha, outside=1.0, inside=share)
    return low, high


def verdict(successes: int, n: int, rate: float, alpha: float = ALPHA) -> str:
    """Whether the success rate is "above" or "below" `rate`, or "undecided" so far.

    Asked after every episode, an answer is ever wrong with a probability of at most `alpha`.
    """
    if _log_share(successes, n, rate) > math.log(alpha):
        return "undecided"
    return "above" if successes > rate * n else "below"


class Stopping:
    """Follows an evaluation and says which groups of its episodes are decided.

    A group is what differs in the seed only. Outcomes must be counted in the order of the list: then the
    episodes counted are the group's first ones, however many were run at the same time.
    """

    def __init__(self, rate: float | None):
        """Args:
        rate: to decide against, in (0, 1); None decides nothing.
        """
        self._rate = rate
        self._counts: dict[EpisodeSpec, tuple[int, int]] = {}

    def decided(self, spec: EpisodeSpec) -> bool:
        """Whether the group of an episode is decided already."""
        if self._rate is None:
            return False
        return verdict(*self._counts.get(_group(spec), (0, 0)), self._rate) != "undecided"

    def count(self, spec: EpisodeSpec, success: bool) -> None:
        """Adds an outcome."""
        successes, n = self._counts.get(_group(spec), (0, 0))
        self._counts[_group(spec)] = successes + success, n + 1


def check(specs: Sequence[EpisodeSpec], rate: float) -> None:
    """Raises UserError unless these episodes can be stopped early against this rate."""
    if not 0 < rate < 1:
        raise UserError(f"stop-at: got {rate:g}, expected a success rate between 0 and 1, such as 0.8")
    if len({_group(spec) for spec in specs}) > len({spec.task for spec in specs}):
        raise UserError(
            "stop-at: this suite compares the same episodes under several conditions, expected one "
            "condition: where each stops by itself there are no pairs"
        )


def figures(specs: Sequence[EpisodeSpec], rows: Sequence[EpisodeRow], rate: float) -> dict[str, Any]:
    """What was decided: the key `stopping` of the `eval` JSON object.

    Returns:
        {"rate", "alpha", "tasks": {task: {"verdict", "planned", "low", "high"}}, "mean": {"rate", "low",
        "high"}}: `planned` episodes at most; the bounds hold at 95 % wherever it stopped. The mean weighs
        every task the same, as they have unlike numbers of episodes, and its bounds are the mean of bounds
        that hold for all tasks together.
    """
    tasks: dict[str, dict[str, Any]] = {}
    together: list[tuple[float, float, float]] = []
    names = list(dict.fromkeys(spec.task for spec in specs))
    for task in names:
        outcomes = [row.success for row in rows if row.spec.task == task]
        counts = sum(outcomes), len(outcomes)
        low, high = bounds(*counts)
        planned = sum(spec.task == task for spec in specs)
        tasks[task] = {"verdict": verdict(*counts, rate), "planned": planned, "low": low, "high": high}
        together.append((counts[0] / counts[1], *bounds(*counts, ALPHA / len(names))))
    mean = [sum(values) / len(names) for values in zip(*together, strict=True)]
    return {
        "rate": rate,
        "alpha": ALPHA,
        "tasks": tasks,
        "mean": dict(zip(("rate", "low", "high"), mean, strict=True)),
    }


def sentence(results: dict[str, Any]) -> str:
    """The decisions in an `eval` JSON object, in words."""
    stopping = results["stopping"]
    words = [
        f"{task} {found['verdict']} after {results['tasks'][task]['episodes']} of {found['planned']}"
        for task, found in stopping["tasks"].items()
    ]
    return (
        f"Ended as soon as success was decided to be above or below {stopping['rate']:.1%}: "
        f"{', '.join(words)}. Each decision and interval holds at 95 %, although every episode was looked at."
    )


def _group(spec: EpisodeSpec) -> EpisodeSpec:
    return dataclasses.replace(spec, seed=0)


def _log_share(successes: int, n: int, rate: float) -> float:
    """Logarithm of (n + 1) · C(n, s) · p^s · (1 - p)^(n - s); -inf where an outcome was impossible."""
    hits, misses = successes, n - successes
    if (hits and rate <= 0) or (misses and rate >= 1):
        return -math.inf
    ways = math.lgamma(n + 2) - math.lgamma(hits + 1) - math.lgamma(misses + 1)
    return ways + (hits * math.log(rate) if hits else 0.0) + (misses * math.log1p(-rate) if misses else 0.0)


def _crossing(successes: int, n: int, alpha: float, outside: float, inside: float) -> float:
    """Where `_log_share` crosses log α, between a rate outside the sequence and one inside it."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if _log_share(successes, n, middle) > math.log(alpha):
            inside = middle
        else:
            outside = middle
    return (outside + inside) / 2
