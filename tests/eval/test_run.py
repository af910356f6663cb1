"""Running a list of episodes: the rows do not depend on how, errors are no failures, and lists stay whole."""

import dataclasses
import json

import pytest

from ideomotor.control.errors import UserError
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.rows import load_results, missing_episodes
from ideomotor.eval.run import evaluate
from ideomotor.eval.stats import sequential
from ideomotor.eval.suites import suite
from ideomotor.eval.summary import summary
from ideomotor.sim.world import World

EXPERT = PolicySpec(None)


@pytest.mark.slow
def test_the_same_json_with_one_and_three_workers():
    """Also where tasks stop early: four solved episodes decide that more than 30 % are (5 · 0.3⁴ < 0.05)."""
    specs = suite("builtin", ["reach", "press"], 7, 1_000_000)
    found = set()
    for workers in (1, 3):
        rows = evaluate(specs, EXPERT, workers=workers, stop_at=0.3)
        assert [(row.spec.task, row.spec.seed - 1_000_000) for row in rows] == [
            *(("reach", n) for n in range(4)),
            *(("press", n) for n in range(4)),
        ]
        found.add(json.dumps(summary("builtin", "expert", rows, sequential.figures(specs, rows, 0.3))))
    assert len(found) == 1


@pytest.fixture
def broken_at(monkeypatch):
    """broken_at(seed, error): the world of this seed raises the error in the middle of its episode."""

    def breaks(seed: int, error: BaseException) -> None:
        step = World.step

        def broken(world, command):
            if world.seed == seed and world.tick == 20:
                raise error
            step(world, command)

        monkeypatch.setattr(World, "step", broken)

    return breaks


def test_an_environment_error_is_an_error_that_names_the_episode(broken_at, tmp_path):
    specs = suite("builtin", ["reach"], 4, 7)
    broken_at(9, RuntimeError("the solver diverged"))
    with pytest.raises(RuntimeError, match="diverged") as raised:
        evaluate(specs, EXPERT, out=tmp_path)
    assert "task='reach', seed=9" in raised.value.__notes__[0]
    listed = json.loads((tmp_path / "suite.json").read_text())
    assert listed == [dataclasses.asdict(spec) for spec in specs]
    assert missing_episodes(tmp_path) == (2, 4)
    with pytest.raises(UserError, match="compare: 2 of the 4 episodes"):
        load_results(tmp_path, "compare")


def test_an_error_in_another_process_names_its_episode_too():
    bad = dataclasses.replace(suite("builtin", ["reach"], 1, 0)[0], perturbation="ligth")
    with pytest.raises(UserError, match="did you mean 'light'") as raised:
        evaluate([bad], EXPERT, workers=2)
    assert "seed=0" in raised.value.__notes__[0]


def test_what_lies_on_the_disk_is_whole_or_said_to_be_missing(tmp_path):
    results = {"suite": "builtin", "policy": "x", "episodes": []}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert load_results(tmp_path, "compare") == load_results(tmp_path / "results.json", "compare") == results
    for text, words in (
        ("{", "something else"),
        ("[1]", "something else"),
        (json.dumps({**results, "episodes": [{"task": "lift"}]}), "lacks 'seed'"),
        (json.dumps({"suite": "questions", "policy": "x"}), "something else"),
    ):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(UserError, match=words):
            load_results(tmp_path / "other.json", "compare")
    with pytest.raises(UserError, match="compare: no file"):
        load_results(tmp_path / "nowhere", "compare")
    spec = dataclasses.asdict(suite("builtin", ["reach"], 1, 0)[0])
    (tmp_path / "suite.json").write_text(json.dumps([spec, {**spec, "seed": 1}]))
    (tmp_path / "episodes.jsonl").write_text(f'{{"fingerprint": "f"}}\n{json.dumps(spec)}\n{{"task": "re')
    with pytest.raises(UserError, match="1 of the 2 episodes"):  # results.json is of an earlier, shorter list
        load_results(tmp_path, "compare")
