"""`ideomotor eval` with the scripted experts."""

import copy
import json

import pytest

from ideomotor.eval.stats.measures import wilson
from ideomotor.sim.world import World


@pytest.fixture(scope="module")
def results(ideomotor):
    arguments = ["--expert", "--tasks", "reach,lift", "--episodes", 3, "--json", "-"]
    return ideomotor("eval", *arguments).json


def test_the_json_has_the_documented_keys(results):
    assert (results["suite"], results["policy"]) == ("builtin", "expert")
    assert len(results["episodes"]) == 6
    keys = {"task", "instruction", "seed", "success", "seconds", "progress", "perturbation", "delay_ms"}
    assert all(keys <= set(episode) for episode in results["episodes"])
    assert {episode["seed"] for episode in results["episodes"]} == {1_000_000, 1_000_001, 1_000_002}
    for task in ("reach", "lift"):
        solved = [episode["success"] for episode in results["episodes"] if episode["task"] == task]
        rate = results["tasks"][task]
        assert (rate["episodes"], rate["successes"]) == (3, sum(solved))
        assert (rate["low"], rate["high"]) == wilson(sum(solved), 3)
    assert results["mean"]["low"] <= results["mean"]["rate"] <= results["mean"]["high"]


def test_results_do_not_depend_on_workers_or_interruptions(results, ideomotor, in_process, tmp_path):
    arguments = ["eval", "--expert", "--tasks", "reach,lift", "--out", tmp_path, "--json", "-"]
    first = in_process(*arguments, "--episodes", 1).json
    assert first["episodes"] == [results["episodes"][0], results["episodes"][3]]
    in_process(*arguments, "--episodes", 3).assert_refused("--resume")
    with (tmp_path / "episodes.jsonl").open("a") as rows:
        rows.write('{"task": "lift", "seed": 1000')  # as a kill leaves it
    assert ideomotor(*arguments, "--episodes", 3, "--resume", "--workers", 2).json == results
    assert json.loads((tmp_path / "results.json").read_text()) == results


def test_the_table_and_the_page_show_the_same_rates(in_process, tmp_path):
    shown = in_process(
        "eval", "--expert", "--tasks", "reach", "--episodes", 2, "--seed-start", 5, "--out", tmp_path
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert [episode["seed"] for episode in results["episodes"]] == [5, 6]
    rate = results["tasks"]["reach"]
    page = (tmp_path / "report.html").read_text()
    interval = f"{100 * rate['low']:.1f}"
    assert f"{rate['successes']}/2" in shown.stdout and interval in shown.stdout
    assert f"{rate['successes']} / 2" in page and interval in page
    assert results["episodes"][0]["told"] in page


def test_two_evaluations_are_compared(results, in_process, tmp_path):
    better, worse = tmp_path / "better.json", tmp_path / "worse"
    worse.mkdir()
    better.write_text(json.dumps(results))
    failing = copy.deepcopy(results)
    for episode in failing["episodes"][3:]:
        episode["success"] = False
    (worse / "results.json").write_text(json.dumps(failing))
    compared = in_process("eval", "--compare", worse, better, "--json", "-").json
    assert compared["a"]["path"] == str(worse) and compared["b"]["policy"] == "expert"
    assert (compared["overall"]["gained"], compared["overall"]["lost"], compared["overall"]["p"]) == (
        3,
        0,
        0.25,
    )
    assert compared["overall"]["verdict"] == compared["tasks"]["lift"]["verdict"] == "cannot tell"
    assert compared["tasks"]["reach"]["needed"] > 1000 > compared["tasks"]["lift"]["needed"]
    shown = in_process("eval", "--compare", worse, better).stdout
    assert compared["sentence"] in shown and "lift" in shown
    failing["episodes"] = failing["episodes"][:5]
    better.write_text(json.dumps(failing))
    in_process("eval", "--compare", worse, better).assert_refused("compare", "1 only in A", "seed 1000002")
    in_process("eval", "--compare", worse, tmp_path / "no").assert_refused("compare", str(tmp_path / "no"))
    refused = in_process("eval", "--compare", worse, worse, "--episodes", 3)
    refused.assert_refused("episodes", "--compare")


def test_an_interrupted_evaluation_says_how_many_episodes_are_missing(in_process, monkeypatch, tmp_path):
    arguments = ["eval", "--expert", "--tasks", "reach", "--episodes", 4, "--out", tmp_path]
    with monkeypatch.context() as patch:
        step = World.step

        def interrupted(world, command):
            if world.seed == 1_000_003:
                raise KeyboardInterrupt
            step(world, command)

        patch.setattr(World, "step", interrupted)
        stopped = in_process(*arguments)
    assert stopped.returncode == 130
    assert stopped.stderr.splitlines() == ["1 of 4 episodes are missing; --resume runs them", "interrupted"]
    assert not (tmp_path / "results.json").exists()
    in_process("eval", "--compare", tmp_path, tmp_path).assert_refused("compare", "1 of the 4 episodes")
    stopping = in_process(*arguments, "--resume", "--stop-at", "0.4", "--json", "-").json
    assert len(stopping["episodes"]) == 4 and stopping["stopping"]["tasks"]["reach"]["verdict"] == "undecided"
    whole = in_process(*arguments, "--resume", "--json", "-").json
    assert whole["episodes"] == stopping["episodes"]
    assert whole["tasks"]["reach"]["low"] > stopping["tasks"]["reach"]["low"]


def test_generalization_is_builtin_and_then_each_axis(results, in_process, tmp_path):
    arguments = ["--expert", "--tasks", "reach", "--episodes", 2, "--suite", "generalization"]
    shown = in_process("eval", *arguments, "--axes", "gain,shapes", "--out", tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["episodes"][:2] == results["episodes"][:2]
    assert list(found["generalization"]) == ["gain", "shapes"]
    capsule = found["generalization"]["shapes"]["strengths"][2]
    assert capsule["value"] == "capsule" and "3: capsule" in shown.stdout
    for text in (shown.stdout, (tmp_path / "report.html").read_text()):
        assert f"{capsule['successes']}/2" in text
        assert f"{capsule['low']:.1%} to {capsule['high']:.1%}" in text


def test_a_file_is_no_folder_for_results(in_process, tmp_path):
    (tmp_path / "notes").write_text("mine")
    arguments = ["eval", "--expert", "--tasks", "reach", "--episodes", 1]
    in_process(*arguments, "--out", tmp_path / "notes").assert_refused("notes")
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--expert", "--suite", "bultin"], ["suite", "did you mean 'builtin'?"]),
        (["--expert", "--tasks", "reach,litf"], ["task", "did you mean 'lift'?"]),
        (["--expert", "--suite", "swap"], ["swap", "policy"]),
        (["--expert", "--episodes", "0"], ["episodes", "0"]),
        (["--expert", "--resume"], ["resume", "--out"]),
        (["--handover", "rct"], ["handover", "did you mean 'rtc'?"]),
        (["--delay-ms", "300"], ["delay-ms", "300"]),
        (["--expert", "--delay-ms", "100"], ["expert", "delays"]),
        (["--suite", "questions", "--tasks", "lift"], ["tasks", "questions"]),
        (["--suite", "questions", "--workers", 2], ["workers", "questions"]),
        (["--suite", "questions", "--noise", 0], ["noise", "questions"]),
        (["--suite", "questions", "--policy", "no/such/folder"], ["policy", "no/such/folder"]),
        (["--policy", "no/such/folder"], ["policy", "no/such/folder"]),
        (["--expert", "--without", "front"], ["expert", "senses"]),
        (["--without", "visoin"], ["without", "did you mean 'vision'?"]),
        (["--sampler", "ddim"], ["sampler", "'ddim'", "euler"]),
        (["--noise", "2"], ["noise", "2", "0 to 1"]),
        (["--calibrate"], ["calibrate", "--policy"]),
        (["--expert", "--stop-at", "80"], ["stop-at", "80"]),
        (["--stop-at", "0.8", "--without", "front"], ["stop-at", "pairs"]),
        (["--compare", "a.json", "b.json"], ["compare", "a.json"]),
        (["--axes", "camera"], ["axes", "generalization", "builtin"]),
        (["--suite", "generalization", "--axes", "camra"], ["axis", "did you mean 'camera'?"]),
        (["--suite", "generalization", "--tasks", "press", "--axes", "sizes"], ["axes", "sizes", "press"]),
        (["--suite", "generalization", "--expert", "--axes", "delay"], ["axes", "delay", "expert"]),
        (["--suite", "generalization", "--without", "front"], ["generalization", "--without"]),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, words, in_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    in_process("eval", *arguments, "--json", "-").assert_refused(*words)
    assert not list(tmp_path.iterdir())
