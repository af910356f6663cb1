"""Episodes without a sense are compared with the same ones with all, and change none of the other figures."""

import dataclasses
import json

import pytest

from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.reporting.report import render_html
from ideomotor.eval.run import EpisodeRow
from ideomotor.eval.stats.measures import rate
from ideomotor.eval.suites import suite
from ideomotor.eval.summary import summary


def row(spec: EpisodeSpec, success: bool, confidences: tuple = ()) -> EpisodeRow:
    numbers = dict(seconds=1.0, progress=1.0, failed_at="", interventions=0, holds=0)
    none = dict(jerk_ratio=None, boundary_jerk=None, interior_jerk=None, largest_step=None)
    return EpisodeRow(spec, "do", "do", success, **numbers, **none, confidences=list(confidences))


def test_a_suite_is_run_again_without_each() -> None:
    specs = suite("builtin", ["reach", "lift"], 2, 7, without=["front", "plan+vision", "front"])
    assert [spec.without for spec in specs] == [""] * 4 + ["front"] * 4 + ["plan+vision"] * 4
    assert [(spec.task, spec.seed) for spec in specs[:4]] == [(s.task, s.seed) for s in specs[4:8]]
    assert specs[:4] == suite("builtin", ["reach", "lift"], 2, 7)


def test_missing_senses_are_compared_in_pairs() -> None:
    specs = suite("builtin", ["reach", "lift"], 4, 0, without=["front"])
    whole = [True, True, True, True, True, True, False, False]
    blind = [True, False, False, False, False, False, True, False]
    rows = [row(spec, success) for spec, success in zip(specs, whole + blind, strict=True)]
    results = summary("builtin", "x", rows)
    found = results["without"]["front"]
    assert (found["successes"], found["episodes"], found["lost"], found["gained"]) == (2, 8, 5, 1)
    assert found["p"] == 2 * (1 + 6) / 2**6
    assert found["tasks"]["lift"]["successes"] == 1
    assert len(results["episodes"]) == 16
    alone = summary("builtin", "x", rows[:8])
    assert "without" not in alone
    assert results["mean"] == alone["mean"] and results["tasks"] == alone["tasks"]
    assert results["mean"]["rate"] == rate(whole).rate


def test_confidence_is_there_only_where_it_was_asked_for() -> None:
    specs = suite("builtin", ["reach"], 2, 0)
    rows = [row(specs[0], True, ((0.0, 0.9), (2.5, 0.8))), row(specs[1], False, ((0.0, 0.2),))]
    results = summary("builtin", "x", rows)
    assert results["confidence"]["failure_auc"]["auc"] == 1.0
    assert json.loads(json.dumps(results))["episodes"][0]["confidences"] == [[0.0, 0.9], [2.5, 0.8]]
    silent = summary("builtin", "x", [row(specs[0], True)])
    assert "confidence" not in silent and "confidences" not in silent["episodes"][0]


def test_the_page_shows_what_is_missing_and_what_confidence_is_worth() -> None:
    specs = suite("builtin", ["reach"], 2, 0, without=["front+<wrist>"])
    confidences = [[(0.0, 0.9)], [(0.0, 0.2)], [], []]
    rows = [row(spec, not number, tuple(confidences[number])) for number, spec in enumerate(specs)]
    page = render_html(summary("builtin", "x", rows))
    assert "front+&lt;wrist&gt;" in page and "<wrist>" not in page
    assert "ROC curve against failure: 1.00" in page
    plain = render_html(summary("builtin", "x", rows[:2]))
    assert "without" not in plain


def test_figures_of_tasks_worked_out_by_hand() -> None:
    specs = suite("builtin", ["reach", "lift"], 3, 0)
    seconds = [1.0, 2.0, 4.0, 6.0, 6.0, 6.0]
    rows = [
        dataclasses.replace(
            row(spec, number < 3),
            seconds=seconds[number],
            progress=1.0 if number < 3 else 0.25 * (number - 3),
            interventions=number,
            holds=number % 2,
            jerk_ratio=None if number == 0 else 1.0 + number / 10,
        )
        for number, spec in enumerate(specs)
    ]
    results = summary("builtin", "x", rows)
    reach, lift, mean = results["tasks"]["reach"], results["tasks"]["lift"], results["mean"]
    assert reach["success_seconds"] == {"median": 2.0, "q25": 1.5, "q75": 3.0} == mean["success_seconds"]
    assert lift["success_seconds"] is None
    assert (reach["progress"], lift["progress"], mean["progress"]) == (1.0, 0.25, 0.625)
    assert (reach["interventions"], lift["interventions"], mean["interventions"]) == (1.0, 4.0, 2.5)
    assert (reach["holds"], lift["holds"], results["holds"]) == (1 / 3, 2 / 3, 3)
    assert reach["jerk_ratio"] == pytest.approx(1.15) and mean["jerk_ratio"] == pytest.approx(1.3)
    json.dumps(results, allow_nan=False)


def test_levels_weigh_the_same_however_many_tasks_they_have() -> None:
    specs = suite("mt50", ["a", "b", "c"], 2, 0)
    rows = [row(spec, spec.task != "c") for spec in specs]
    results = summary("mt50", "x", rows, levels={"a": "easy", "b": "easy", "c": "hard"})
    assert results["levels"]["easy"]["successes"] == 4 and results["levels"]["hard"]["successes"] == 0
    assert results["level_average"]["rate"] == 0.5 and results["mean"]["rate"] == 4 / 6
    assert 0.2 < results["level_average"]["low"] < 0.4 < 0.6 < results["level_average"]["high"] < 0.9
    assert "level_average" not in summary("mt50", "x", rows)
