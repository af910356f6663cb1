import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.eval.stats.measures import aggregate, jerk_ratio, mean_of, paired, rate, smoothness, wilson


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    [  # Newcombe 1998, table I, method 3 (score without continuity correction)
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_agrees_with_published_values(successes, n, expected):
    assert wilson(successes, n) == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_symmetric_and_contains_the_share(case):
    successes, n = case
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    mirrored = wilson(n - successes, n)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_wilson_covers_95_percent():
    share, n = 0.9, 50
    probability = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    covered = sum(p for k, p in enumerate(probability) if wilson(k, n)[0] <= share <= wilson(k, n)[1])
    assert 0.93 < covered < 0.98


def test_the_mean_of_levels_is_covered_95_percent_of_the_time():
    rng, sizes = np.random.default_rng(0), (280, 110, 60, 50)  # Meta-World's, of ten episodes a task
    for shares in ((0.9, 0.6, 0.4, 0.5), (1.0, 0.98, 0.95, 1.0)):
        held = 0
        for _ in range(1000):
            levels = [rate(rng.random(n) < share) for n, share in zip(sizes, shares, strict=True)]
            mean, low, high = mean_of(levels)
            assert 0 <= low < mean <= high <= 1 and mean == pytest.approx(np.mean([x.rate for x in levels]))
            held += low <= np.mean(shares) <= high
        assert 930 <= held <= 985, (shares, held)


def test_nothing_is_known_from_no_episode():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and n=3"):
        wilson(4, 3)


def test_aggregate_groups_by_task_in_order_of_appearance():
    by_task, overall = aggregate([("push", True), ("lift", False), ("push", False), ("lift", False)])
    assert list(by_task) == ["push", "lift"]
    assert by_task["push"] == rate([True, False])
    assert (overall.episodes, overall.successes, overall.rate) == (4, 1, 0.25)


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(0, 0, 1.0), (3, 3, 1.0), (5, 0, 2 / 2**5), (1, 9, 2 * 11 / 2**10), (9, 1, 2 * 11 / 2**10)],
)
def test_pairs_are_compared_by_the_exact_test_of_mcnemar(lost, gained, p):
    alike = [(True, True)] * 7 + [(False, False)] * 4
    found = paired([(True, False)] * lost + [(False, True)] * gained + alike)
    assert (found.lost, found.gained) == (lost, gained)
    assert found.p == pytest.approx(p)


def test_jerk_ratio_sees_a_kink_at_a_boundary_only():
    ticks = np.arange(200) / 120
    smooth = np.sin(2 * np.pi * ticks)[:, None]
    assert jerk_ratio(smooth, list(range(10, 190, 16))) == pytest.approx(1, abs=0.1)
    kinked = smooth + np.where(np.arange(200) >= 120, 0.01, 0.0)[:, None]
    assert jerk_ratio(kinked, [120]) > 5
    assert jerk_ratio(kinked, [50]) < 0.5
    assert math.isnan(jerk_ratio(smooth, []))
    assert math.isnan(jerk_ratio(np.zeros((50, 2)), [20]))


def test_ticks_that_no_chunk_commanded_do_not_count():
    rng = np.random.default_rng(0)
    moving, still = rng.normal(0, 1e-3, (80, 2)).cumsum(0), np.zeros((200, 2))
    alone = smoothness(moving, [40], 120.0)
    ran = np.arange(280) < 80
    commands = np.concatenate([moving, still + moving[-1]])
    both = smoothness(commands, [40], 120.0, ran)
    assert both.interior_jerk == pytest.approx(alone.interior_jerk)
    assert both.boundary_jerk == pytest.approx(alone.boundary_jerk)
    assert smoothness(commands, [40], 120.0).interior_jerk < both.interior_jerk


def test_smoothness_is_in_units_of_the_joints():
    """x = t³: a jerk of 6 everywhere. One command moved by 0.01 at a boundary adds 0.01 hz³ (1, -2, 1)."""
    hz = 100.0
    cubic = (np.arange(60) / hz)[:, None] ** 3
    even = smoothness(cubic, [20, 40], hz)
    assert (even.boundary_jerk, even.interior_jerk) == pytest.approx((6, 6), rel=1e-3)
    kinked = cubic + 0.01 * (np.arange(60) >= 20)[:, None]
    rough = smoothness(kinked, [20], hz)
    assert rough.interior_jerk == pytest.approx(6, rel=1e-3)
    added = np.array([1, -2, 1]) * 0.01 * hz**3
    assert rough.boundary_jerk == pytest.approx(np.sqrt(np.mean((6 + added) ** 2)), rel=1e-6)
    assert rough.largest_step == pytest.approx(0.01 + cubic[20, 0] - cubic[19, 0])
    assert math.isnan(smoothness(cubic, [], hz).largest_step)
