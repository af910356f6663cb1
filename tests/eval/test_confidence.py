"""Confidence is judged by outcomes: known areas under the curve, and maps that give back known chances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.eval.stats.confidence import Judged, auc, figures, fit_chances, not_descending
from ideomotor.vla.decoder.confidence import ConfidenceConfig


def episodes(count: int, seed: int = 0, failures_last: bool = False) -> list[Judged]:
    """Episodes with an agreement of x about which the chance of success is x²."""
    rng = np.random.default_rng(seed)
    made = []
    for x in rng.uniform(0.2, 1.0, count):
        success = bool(rng.random() < x**2)
        chunks = 60 if failures_last and not success else 20
        confidences = np.clip(x + rng.normal(0, 0.01, chunks), 0, 1)
        made.append(Judged(np.arange(chunks) / 7.5, confidences, success))
    return made


def test_areas_under_the_curve_worked_out_by_hand() -> None:
    assert auc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False])) == 1.0
    assert auc(np.array([0.9, 0.2, 0.3, 0.1]), np.array([True, True, False, False])) == 0.75
    assert auc(np.array([0.5, 0.5, 0.5]), np.array([True, False, False])) == 0.5
    assert np.isnan(auc(np.array([0.5, 0.4]), np.array([True, True])))


def test_the_early_area_is_of_the_first_two_seconds_only() -> None:
    times = np.arange(0, 4, 0.5)
    late = [Judged(times, np.where(times < 2, 0.5, 0.1 if fails else 0.9), not fails) for fails in (0, 1) * 6]
    found = figures(late)
    assert found is not None
    assert found["failure_auc"]["auc"] == 1.0
    assert found["early_failure_auc"]["auc"] == 0.5
    assert figures([]) is None
    alike = figures([Judged(times, times, True)] * 3)
    assert alike is not None and alike["failure_auc"] is None


def test_the_interval_holds_the_true_area_and_shrinks() -> None:
    few, many = figures(episodes(40)), figures(episodes(400))
    assert few is not None and many is not None
    true = figures(episodes(1500, seed=9))
    assert true is not None
    for found in (few, many):
        auc = found["failure_auc"]
        assert auc["low"] < auc["auc"] < auc["high"]
        assert auc["low"] < true["failure_auc"]["auc"] < auc["high"]
    width = [found["failure_auc"]["high"] - found["failure_auc"]["low"] for found in (few, many)]
    assert width[1] < 0.6 * width[0]


@pytest.mark.parametrize("failures_last", [False, True])
def test_a_fitted_map_gives_back_the_chances(failures_last: bool) -> None:
    """Also where failed episodes have three times as many chunks."""
    config = ConfidenceConfig(4, *fit_chances(episodes(1200, failures_last=failures_last)))
    for x in (0.3, 0.5, 0.7, 0.9):
        assert config.of(x) == pytest.approx(x**2, abs=0.08)
    calibrated = [
        Judged(e.times, np.array([config.of(c) for c in e.confidences]), e.success)
        for e in episodes(1000, seed=1)
    ]
    before, after = figures(episodes(1000, seed=1)), figures(calibrated)
    assert before is not None and after is not None
    assert after["brier"] < before["brier"]
    assert after["failure_auc"]["auc"] == pytest.approx(before["failure_auc"]["auc"], abs=0.02)


def test_too_little_to_fit_on_is_refused() -> None:
    with pytest.raises(UserError, match="expected at least 20 episodes"):
        fit_chances(episodes(10))
    solved = [Judged(e.times, e.confidences, True) for e in episodes(40)]
    with pytest.raises(UserError, match="40 of 40 episodes solved"):
        fit_chances(solved)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 5)), min_size=1, max_size=12))
def test_pooling_does_not_descend_and_keeps_the_mean(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    pooled = not_descending(values, weights)
    assert (np.diff(pooled) >= -1e-12).all()
    assert np.average(pooled, weights=weights) == pytest.approx(np.average(values, weights=weights))
    rising = np.sort(values)
    np.testing.assert_array_equal(not_descending(rising, weights), rising)
