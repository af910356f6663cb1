"""`ideomotor env check`: presets, files and environments that no file describes."""

import pytest
import yaml


def test_a_preset_is_tried(in_process):
    result = in_process("env", "check", "reacher", "--episodes", 1, "--json", "-")
    assert result.returncode == 0 and result.json["ok"]
    tried = {one["what"]: one["found"] for one in result.json["tasks"]["reach"]}
    assert tried["expert"].startswith("solves 1 of 1 scenes")
    assert "2 commands (deltas) at 50 Hz, 6 numbers of state" in tried["spaces"]


def test_a_new_environment_gets_a_file_that_is_then_one(in_process, tmp_path):
    path = tmp_path / "pendulum.yaml"
    shown = in_process("env", "check", "gymnasium:InvertedPendulum-v5", "--out", path)
    assert "guessed" in shown.stdout and str(path) in shown.stdout
    written = yaml.safe_load(path.read_text())
    assert written["commands"] == "deltas" and written["environment"]["images"] == {"camera": "render"}
    listed = in_process("tasks", "--env", path, "--json", "-").json["tasks"]
    assert [task["name"] for task in listed] == [written["name"]]
    in_process("env", "check", "gymnasium:Pusher-v5", "--out", path).assert_refused("out", "already")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("CartPole",), ["env", "reacher"]),
        (("gymnasium:CartPole-v1",), ["Discrete"]),
        (("reacher", "--option", "a=b"), ["option", "reacher"]),
        (("gymnasium:Pusher-v5", "--option", "a"), ["option", "KEY=VALUE"]),
        (("reacher", "--tasks", "lift"), ["task", "lift"]),
    ],
)
def test_wrong_use_is_one_line(in_process, arguments, words):
    in_process("env", "check", *arguments).assert_refused(*words)
