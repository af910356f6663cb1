"""Looking after every episode: what is promised at 95 % holds over the whole run, unlike Wilson's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.stats.measures import wilson
from ideomotor.eval.stats.sequential import Stopping, bounds, check, verdict
from ideomotor.eval.suites import suite

EPISODES, RUNS = 300, 1000


def ever_excluded(rate: float, interval) -> float:
    """Share of runs in which the interval leaves out the true rate after any number of episodes."""
    outcomes = np.random.default_rng(round(1000 * rate)).random((RUNS, EPISODES)) < rate
    successes = outcomes.cumsum(axis=1)
    outside = np.zeros(RUNS, bool)
    for n in range(1, EPISODES + 1):
        excludes = np.array([not low <= rate <= high for low, high in (interval(s, n) for s in range(n + 1))])
        outside |= excludes[successes[:, n - 1]]
    return float(outside.mean())


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_the_sequence_covers_the_true_rate_at_every_episode(rate):
    excluded = ever_excluded(
        rate, lambda s, n: (rate, rate) if verdict(s, n, rate) == "undecided" else (2, 2)
    )
    margin = 3 * math.sqrt(0.05 * 0.95 / RUNS)
    assert excluded < 0.05 + margin
    assert excluded > 0.002, "and it is no wider than it need be"


def test_looking_at_wilson_intervals_does_not():
    assert ever_excluded(0.5, wilson) > 0.3


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_are_where_the_verdict_turns(case):
    successes, n = case
    low, high = bounds(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert bounds(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    if low > 0:
        assert verdict(successes, n, low * (1 - 1e-6)) == "above"
        assert verdict(successes, n, low * (1 + 1e-6)) == "undecided"
    if high < 1:
        assert verdict(successes, n, high + 1e-6 * (1 - high)) == "below"
    assert low <= wilson(successes, n)[0] + 1e-9 and high >= wilson(successes, n)[1] - 1e-9


def test_worked_out_by_hand():
    """After n successes in n episodes: (n + 1) · p^n against 0.05."""
    assert [verdict(n, n, 0.5) for n in (6, 7, 8)] == ["undecided", "undecided", "above"]  # 9 / 256 < 0.05
    assert bounds(8, 8) == (pytest.approx((0.05 / 9) ** (1 / 8)), 1.0)
    assert verdict(0, 8, 0.5) == "below"
    assert bounds(0, 0) == (0.0, 1.0)


def test_it_decides_soon_where_the_rate_is_far_away():
    """For 60 % against 90 %, in some twenty episodes instead of the hundred of a fixed list."""
    rng = np.random.default_rng(0)
    needed = []
    for _ in range(200):
        successes, n, said = 0, 0, "undecided"
        while said == "undecided":
            successes, n = successes + bool(rng.random() < 0.6), n + 1
            said = verdict(successes, n, 0.9)
        assert said == "below"
        needed.append(n)
    assert np.mean(needed) < 20


def test_tasks_are_decided_one_by_one():
    stopping = Stopping(0.5)
    lift, push = EpisodeSpec("lift", 1, "heldout"), EpisodeSpec("push", 1, "heldout")
    for _ in range(8):
        assert not stopping.decided(lift)
        stopping.count(lift, True)
    assert stopping.decided(lift) and stopping.decided(EpisodeSpec("lift", 99, "heldout"))
    assert not stopping.decided(push)
    never = Stopping(None)
    for _ in range(100):
        never.count(lift, True)
    assert not never.decided(lift)


def test_pairs_and_impossible_rates_are_refused():
    specs = suite("builtin", ["reach"], 2, 0)
    check(specs, 0.8)
    for rate in (0.0, 1.0, 80):
        with pytest.raises(UserError, match=f"stop-at: got {rate:g}"):
            check(specs, rate)
    with pytest.raises(UserError, match="stop-at: this suite compares"):
        check(suite("builtin", ["reach"], 2, 0, without=["front"]), 0.8)
