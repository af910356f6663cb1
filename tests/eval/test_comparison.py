"""Comparisons of evaluations: equals differ as seldom, and unlike ones as often, as promised."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.eval.stats.comparison import compare, difference_interval, episodes_needed, holm
from ideomotor.eval.stats.measures import paired


def results(outcomes, tasks=("lift",), **changes) -> dict[str, Any]:
    """The `eval` JSON of episodes dealt out to the tasks in turn."""
    episodes = [
        {
            "task": tasks[number % len(tasks)],
            "seed": 1_000_000 + number,
            "phrasing": "heldout",
            "instruction": "do",
            "told": "do",
            "success": bool(success),
            **changes,
        }
        for number, success in enumerate(outcomes)
    ]
    return {"suite": "builtin", "policy": "x", "episodes": episodes}


def pool(n: int, seed: int) -> np.ndarray:
    """(n, 2) outcomes of one policy run twice with other noise, on easy and difficult scenes."""
    rng = np.random.default_rng(seed)
    return rng.random((n, 2)) < rng.beta(1.2, 0.8, n)[:, None]


def size_of_the_exact_test(changed: int) -> float:
    """Chance of p < 5 % where each of the episodes that ended differently is a coin."""
    chances = [math.comb(changed, k) / 2**changed for k in range(changed + 1)]
    pairs = lambda k: [(True, False)] * k + [(False, True)] * (changed - k)  # noqa: E731
    return sum(chance for k, chance in enumerate(chances) if paired(pairs(k)).p < 0.05)


def test_a_policy_beats_itself_in_about_five_percent_of_200_random_splits():
    """Which of the two runs of an episode is A's is a coin; so the number of rejections is binomial.

    Its chance is the exact test's size at this number of changed episodes. The test is conservative, so that
    is less than 5 %, and between 3 and 5 % for a hundred: at 103 it is 4.8 %. The band leaves out 0.5 % on
    either side.
    """
    runs = pool(300, seed=0)
    changed = int((runs[:, 0] != runs[:, 1]).sum())
    size = size_of_the_exact_test(changed)
    assert changed == 103 and 0.045 < size < 0.05
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(200):
        sides = rng.integers(0, 2, len(runs))
        a, b = (runs[np.arange(len(runs)), side] for side in (sides, 1 - sides))
        verdicts.append(compare(results(a), results(b))["overall"]["verdict"])
    rejected = 200 - verdicts.count("cannot tell")
    tail = np.cumsum([math.comb(200, k) * size**k * (1 - size) ** (200 - k) for k in range(201)])
    low, high = (int(np.searchsorted(tail, share)) for share in (0.005, 0.995))
    assert (low, high) == (3, 18)
    assert low <= rejected <= high
    assert {"better", "worse"} <= set(verdicts)


def test_the_promised_number_of_episodes_tells_the_difference():
    """With it, the exact test rejects in about 80 % of the cases, and with half of it in far fewer."""
    assert episodes_needed(0.4, 0.5) == 23  # p01 = 0.45, p10 = 0.05: Connor's formula worked out
    rng = np.random.default_rng(0)
    for difference, discordant in ((0.1, 0.2), (0.05, 0.25)):
        shares = [(discordant - difference) / 2, (discordant + difference) / 2, 1 - discordant]
        found = {}
        for n in (episodes_needed(difference, discordant), episodes_needed(difference, discordant) // 2):
            drawn = rng.multinomial(n, shares, 600)
            found[n] = np.mean(
                [
                    paired([(True, False)] * lost + [(False, True)] * gained).p < 0.05
                    for lost, gained, _ in drawn
                ]
            )
        enough, half = found.values()
        assert 0.7 < enough < 0.86
        assert half < 0.6


@pytest.mark.parametrize(("n", "lost", "gained"), [(10, 0.02, 0.12), (50, 0.02, 0.12), (50, 0.15, 0.15)])
def test_the_interval_of_the_difference_covers(n, lost, gained):
    """Also for ten pairs, where the plain bootstrap covers 70 % of the time."""
    rng = np.random.default_rng(n)
    drawn = rng.multinomial(n, [lost, gained, 1 - lost - gained], 1000)
    cases, times = np.unique(drawn[:, :2], axis=0, return_counts=True)
    intervals = np.array(
        [difference_interval(lost_in, gained_in, n) for lost_in, gained_in in cases.tolist()]
    )
    true = gained - lost
    covered = (intervals[:, 0] <= true + 1e-9) & (true - 1e-9 <= intervals[:, 1])
    assert times[covered].sum() > 930


def test_intervals_are_the_same_every_time_and_never_of_no_width():
    assert difference_interval(3, 9, 50) == difference_interval(3, 9, 50)
    low, high = difference_interval(0, 0, 20)
    assert low < 0 < high
    assert difference_interval(9, 3, 50)[0] < 0


def test_verdicts_in_words():
    a = [True] * 40 + [False] * 60
    better, same = [True] * 60 + [False] * 40, [True] * 41 + [False] * 59
    found = compare(results(a), results(better))
    assert found["overall"]["verdict"] == "better" and found["overall"]["needed"] is None
    assert found["sentence"].startswith(
        "B is better than A: it solves 60.0 % instead of 40.0 % of 100 episodes"
    )
    assert compare(results(better), results(a))["overall"]["verdict"] == "worse"
    found = compare(results(a), results(same))
    needed = found["overall"]["needed"]
    assert (found["overall"]["gained"], found["overall"]["lost"]) == (1, 0)
    assert needed == episodes_needed(0.01, 2 / 102) > 100
    assert (
        "Cannot tell with 100 episodes" in found["sentence"]
        and f"about {needed} to tell" in found["sentence"]
    )
    assert compare(results(a), results(a))["overall"]["needed"] > 100


def test_tasks_are_judged_together():
    """One task of ten that has p = 0.03 is what luck gives; over all episodes the same holds."""
    tasks = tuple("abcdefghij")
    a = np.zeros((40, 10), bool)
    b = a.copy()
    b[:6, 0] = True  # six gained: p = 2 / 2**6
    found = compare(results(a.ravel(), tasks), results(b.ravel(), tasks))
    assert list(found["tasks"]) == list(tasks)
    task = found["tasks"]["a"]
    assert (task["p"], task["p_holm"], task["verdict"]) == (2 / 2**6, 10 * 2 / 2**6, "cannot tell")
    assert task["needed"] == episodes_needed(0.15, 7 / 42, 10) > episodes_needed(0.15, 7 / 42) > 40
    assert found["overall"]["verdict"] == "better" and found["overall"]["p"] == found["overall"]["p_holm"]
    b[:30, 0] = True
    assert compare(results(a.ravel(), tasks), results(b.ravel(), tasks))["tasks"]["a"]["verdict"] == "better"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_adjusted_values_keep_their_order_and_only_grow(tests):
    adjusted = holm(tests)
    assert all(tested <= grown <= 1 for tested, grown in zip(tests, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(tests, kind="stable")] == sorted(adjusted)
    assert min(adjusted) == pytest.approx(min(1, len(tests) * min(tests)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (results([True] * 5, delay_ms=100), ["delay_ms 0 in A, 100 in B", "4 only in A", "5 only in B"]),
        (results([True] * 5), ["seed", "0 only in A, 1 only in B", "'lift' of seed 1000004"]),
        (results([True] * 4, tasks=("push",)), ["task 'lift' in A, 'push' in B"]),
        (results([True] * 4, instruction="other"), ["instruction of 'lift' of seed 1000000", "'other' in B"]),
        ({**results([True] * 4), "stopping": {}}, ["B was stopped early"]),
        (results([True] * 4, seed=7), ["B holds 'lift' of seed 7 twice"]),
        (results([True] * 4, without="front"), ["B holds no episodes with all senses"]),
    ],
)
def test_other_lists_are_refused_with_the_difference(changed, words):
    with pytest.raises(UserError) as refused:
        compare(results([True] * 4), changed)
    assert all(word in str(refused.value) for word in words), refused.value


def test_episodes_without_a_sense_are_left_out_and_the_order_does_not_matter():
    a, b = results([True, True, False]), results([True, False, False])
    whole = compare(a, b)
    blind = results([False] * 3, without="front")["episodes"]
    b["episodes"] = [*blind, *reversed(b["episodes"])]
    assert compare(a, b) == whole
