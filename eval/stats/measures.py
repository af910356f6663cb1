"""Success rates with intervals: what a table of results is allowed to say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal


@dataclass(frozen=True)
class Rate:
    """A share of successes with its 95 % interval; all three in [0, 1]."""

    episodes: int
    successes: int
    rate: float
    low: float
    high: float


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927), at 95 % by default.

    It keeps its coverage at small `n` and at shares near 0 and 1, where the textbook p ± z·s collapses.

    Args:
        successes: how many of the `n` trials succeeded.
        n: number of trials; 0 gives the interval that says nothing, (0, 1).
        z: normal quantile of the confidence level.

    Returns:
        (low, high), both in [0, 1] and with successes / n between them.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n={n}, got {successes}")
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    centre = share + z * z / (2 * n)
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high


def rate(outcomes: Iterable[bool]) -> Rate:
    """Summarises successes and failures of one kind of episode."""
    successes = [bool(outcome) for outcome in outcomes]
    n, hits = len(successes), sum(successes)
    low, high = wilson(hits, n)
    return Rate(n, hits, hits / n if n else 0.0, low, high)


def mean_of(rates: Sequence[Rate]) -> tuple[float, float, float]:
    """The mean of independent rates, all of the same weight, and its 95 % interval: (mean, low, high).

    The interval is recovered from those of the rates (Zou and Donner, Statistics in Medicine 27, 2008), so
    that it keeps its coverage where some of them are near 0 or 1.
    """
    mean, count = sum(rate.rate for rate in rates) / len(rates), len(rates)
    low = mean - math.hypot(*(rate.rate - rate.low for rate in rates)) / count
    high = mean + math.hypot(*(rate.high - rate.rate for rate in rates)) / count
    return mean, low, high


def aggregate(outcomes: Iterable[tuple[str, bool]]) -> tuple[dict[str, Rate], Rate]:
    """Groups (task, success) pairs into one rate per task and one over all episodes.

    Returns:
        ({task: rate} in order of first appearance, rate over all episodes together).
    """
    by_task: dict[str, list[bool]] = {}
    for task, success in outcomes:
        by_task.setdefault(task, []).append(success)
    everything = [success for group in by_task.values() for success in group]
    return {task: rate(group) for task, group in by_task.items()}, rate(everything)


@dataclass(frozen=True)
class Paired:
    """Successes under two conditions in the same episodes."""

    lost: int  # solved under the first condition only
    gained: int  # solved under the second only
    p: float  # two-sided p-value of "it makes no difference"


def paired(outcomes: Iterable[tuple[bool, bool]]) -> Paired:
    """Compares pairs (solved under the first condition, solved under the second).

    The exact test of McNemar (1947): of the episodes that end differently, each would be a loss or a gain
    with probability 1/2.
    """
    pairs = list(outcomes)
    lost = sum(first and not second for first, second in pairs)
    gained = sum(second and not first for first, second in pairs)
    changed = lost + gained
    tail = sum(math.comb(changed, k) for k in range(min(lost, gained) + 1)) / 2**changed
    return Paired(lost, gained, min(1.0, 2 * tail))


@dataclass(frozen=True)
class Smoothness:
    """How smooth executed commands are, and how much of it is lost where chunks take over."""

    boundary_jerk: float  # root mean square in the third differences that straddle a boundary [rad/s³]
    interior_jerk: float  # and in all others
    largest_step: float  # of any joint from one command to the next, at a boundary [rad]

    @property
    def jerk_ratio(self) -> float:
        """1 means that hand-overs cannot be seen; NaN without boundaries, or for an arm at rest."""
        return self.boundary_jerk / self.interior_jerk if self.interior_jerk > 0 else float("nan")


def smoothness(
    commands: np.ndarray, boundaries: list[int], hz: float, counted: np.ndarray | None = None
) -> Smoothness:
    """Measures executed commands.

    Args:
        commands: (T, A) executed commands, one row a tick [rad or m].
        boundaries: ticks at which a new chunk's first command was executed.
        hz: commands a second.
        counted: (T,) bool, which ticks executed a chunk; others, on the way home say, would dilute the jerk
            inside chunks. All by default.

    Returns:
        Values are NaN where there is nothing to take them from.
    """
    jerk = np.diff(commands, n=3, axis=0) * hz**3  # (T - 3, A), row i uses ticks i .. i + 3
    inside = np.ones(len(jerk), dtype=bool)
    if counted is not None:
        for i in range(4):
            inside &= counted[i : len(jerk) + i]
    straddles = np.zeros(len(jerk), dtype=bool)
    for tick in boundaries:
        straddles[max(tick - 3, 0) : max(tick, 0)] = True
    steps = [float(np.abs(commands[t] - commands[t - 1]).max()) for t in boundaries if 0 < t < len(commands)]
    return Smoothness(
        _rms(jerk[straddles & inside]), _rms(jerk[~straddles & inside]), max(steps, default=float("nan"))
    )


def jerk_ratio(commands: np.ndarray, boundaries: list[int]) -> float:
    """How much rougher executed commands are where chunks take over: `Smoothness.jerk_ratio`."""
    return smoothness(commands, boundaries, hz=1.0).jerk_ratio


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")
