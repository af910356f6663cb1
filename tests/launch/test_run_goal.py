"""`ideomotor run --goal`, as it is given."""

import json

import pytest

from ideomotor.launch.cli import main

GOAL = "if the blue drawer is open, close it first, then open the red drawer"


def test_a_goal_is_planned_checked_remembered_and_judged(tmp_path, capsys):
    file = tmp_path / "goal.json"
    words = ["fetch", "--seed", "2", "--goal", GOAL, "--expert", "--perception", "truth", "--json", str(file)]
    assert main(["run", *words, "--question", "when did you open the red drawer?"]) == 0
    shown, found = capsys.readouterr().out, json.loads(file.read_text())
    assert "├─ if open(blue drawer)" in shown and "result       reached" in shown
    assert (found["success"], found["ended"], found["planner"]) == (True, "done", "symbolic")
    assert [one["skill"] for one in found["attempts"]] == ["close", "open"]
    assert all(one["perceived"] and one["true"] for one in found["attempts"])
    assert found["memory"]["asked"] == found["memory"]["right"] > 0
    start, end = found["answers"]["when did you open the red drawer?"]["interval"]
    assert 0 < start < end <= found["seconds"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--goal", "juggle", "--expert", "--perception", "truth"], "goal: 'juggle' is not understood"),
        (["--goal", " "], "goal: got ' '"),
        ([], "TASK"),
        (["lift", "--planner", "openai:gpt-5"], "planner: belongs to --goal"),
        (["--goal", "open it", "--planner", "gpt"], "planner: got 'gpt'"),
        (["--goal", "open it", "--base-url", "http://x"], "base-url: belongs to"),
        (["--goal", "open it", "--instruction", "x"], "instruction: a run with --goal"),
        (["--goal", "open it", "--question", "who are you"], "question: 'who are you'"),
        (["--goal", "open it", "--policy", "a", "--policy", "fly=b"], "fly"),
        (["--goal", "open it", "--candidates", "0"], "candidates: got 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(words, said, capsys):
    assert main(["run", *words]) == 2
    assert said in (error := capsys.readouterr().err) and error.count("\n") == 1


def test_a_launch_says_what_it_does_not_have(capsys):
    for words, said in (
        (["--goal", "open it", "--perception", "truth"], "perception"),
        (["--goal", "open it", "--instruction", "x"], "instruction"),
        (["--goal", "open it", "--policy", "a", "--policy", "fly=b"], "fly"),
        (["--goal", "open it", "--policy", "stack=/no/such"], "/no/such"),
        (["--planner", "local:x"], "planner: belongs to --goal"),
    ):
        assert main(["launch", "so101", "--twin", *words]) == 2
        assert said in (error := capsys.readouterr().err) and error.count("\n") == 1
