"""Suite `phrasings`: its list, its instructions, and how free words compare with templates."""

import dataclasses

import pytest

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec, Phrasing
from ideomotor.eval.phrasings import figures, instruction_in, phrasings, sentence
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.reporting.report import render_html
from ideomotor.eval.rows import EpisodeRow
from ideomotor.eval.run import evaluate
from ideomotor.eval.stats.comparison import compare
from ideomotor.eval.suites import suite
from ideomotor.eval.summary import summary
from ideomotor.sim.open_world import task_world
from ideomotor.sim.tasks import TASKS


def test_it_is_one_episode_for_each_sentence_and_one_in_a_template() -> None:
    specs = suite("phrasings", list(TASKS), None, 1_000_000)
    free, plain = specs[:100], specs[100:]
    assert [(spec.task, spec.seed) for spec in free] == list(phrasings())
    assert plain == [dataclasses.replace(spec, phrasing="plain") for spec in free]
    assert {spec.phrasing for spec in free} == {"free"} and len(set(specs)) == 200
    few = suite("phrasings", ["press"], 2, 1_000_000)
    assert [(spec.seed, spec.phrasing) for spec in few] == [
        (1_000_000, "free"),
        (1_000_001, "free"),
        (1_000_000, "plain"),
        (1_000_001, "plain"),
    ]
    lacking = suite("phrasings", ["press"], 1, 1_000_000, without=["language"])
    assert [(spec.phrasing, spec.without) for spec in lacking] == [
        ("free", ""),
        ("free", "language"),
        ("plain", ""),
    ]


@pytest.mark.parametrize(
    ("episodes", "level", "words"),
    [
        (0, "light", "got 0, expected 1 to 12"),
        (13, "light", "got 13"),
        (None, "full", "randomize: got 'full'"),
    ],
)
def test_what_it_has_not_is_refused(episodes: int | None, level: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        suite("phrasings", ["press"], episodes, 1_000_000, level=level)


@pytest.mark.parametrize("name", TASKS)
def test_both_of_a_pair_ask_for_one_goal_in_a_scene(name: str) -> None:
    spec = suite("phrasings", [name], 1, 1_000_000)[0]
    free, plain = spec, dataclasses.replace(spec, phrasing="plain")
    worlds = [
        task_world(name, one.seed, instruction=instruction_in(one), split="heldout") for one in (free, plain)
    ]
    assert worlds[0].goal == worlds[1].goal and worlds[0].scene == worlds[1].scene
    assert worlds[0].instruction == phrasings()[name, spec.seed].said
    templates = TASKS[name].phrasings("heldout")
    assert worlds[1].instruction in [template.format(**worlds[1].goal.words) for template in templates]
    assert instruction_in(dataclasses.replace(spec, phrasing="heldout")) is None


def row(seed: int, phrasing: Phrasing, success: bool) -> EpisodeRow:
    spec = EpisodeSpec("press", seed, phrasing)
    return EpisodeRow(spec, "said", "said", success, 2.0, 1.0, "", 0, 0, None, None, None, None)


def test_rates_are_of_the_free_words_and_templates_are_compared_with_them() -> None:
    outcomes = [(True, True), (False, True), (False, True), (True, False), (False, False)]  # free, plain
    rows = [row(i, "free", free) for i, (free, _) in enumerate(outcomes)]
    rows += [row(i, "plain", plain) for i, (_, plain) in enumerate(outcomes)]
    results = summary("phrasings", "x", rows)
    assert results["tasks"]["press"]["successes"] == 2 and results["mean"]["rate"] == 0.4
    assert len(results["episodes"]) == 10
    found = results["phrasings"]
    assert (found["successes"], found["episodes"], found["rate"]) == (3, 5, 0.6)
    assert (found["lost"], found["gained"], found["p"]) == (2, 1, 1.0)
    assert found["tasks"]["press"]["successes"] == 3
    assert "3 of 5 (60.0%" in sentence(found) and sentence(found) in render_html(results).replace(
        "&#x27;", "'"
    )
    assert figures(rows[:5]) == {} == figures([])
    assert compare(results, results)["overall"]["episodes"] == 5  # pairs of A and B, without the templates


def test_the_expert_does_what_is_said() -> None:
    specs = suite("phrasings", ["press"], 1, 1_000_000)
    free, plain = evaluate(specs, PolicySpec(None))
    assert free.success and plain.success and free.seconds == plain.seconds
    assert free.policy_instruction == free.instruction == "give the green switch a quick tap"
