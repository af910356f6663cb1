"""Environments that nobody has described: what is found, what is guessed, and a first file that works."""

import dot_env
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.sim.environments.first_yaml import first_yaml
from ideomotor.sim.environments.probing import probe
from ideomotor.sim.environments.trying import trials


def test_a_first_file_drives_the_environment_it_was_made_from(tmp_path):
    for make, commands, joints, state in (
        ("tests/Dot-v0", "deltas", 1, 3),
        ("tests/Table-v0", "absolute", 2, 4),
    ):
        found = probe(make, {})
        assert (found.commands, found.state_size) == (commands, state)
        assert found.success in ("task.done", "done")
        assert "nothing tells it" in found.guesses["control_hz"]
        path = tmp_path / f"{joints}.yaml"
        path.write_text(first_yaml(found))
        embodiment = load_embodiment(path)
        assert len(embodiment.joints) == joints and len(embodiment.state_names) == state
        assert embodiment.environment is not None
        (task,) = embodiment.environment.tasks
        tried = {trial.what: trial for trial in trials(embodiment, task.name, 2)}
        assert not tried["seeds"].problem and not tried["spaces"].problem
        assert tried["expert"].found.startswith("none")


@pytest.mark.parametrize(
    ("changes", "what", "words"),
    [
        ({"options": {"kind": "deaf"}}, "seeds", "ignores it"),
        ({"options": {"kind": "silent"}}, "success", "task"),
        ({"images": {"top": "pixels.side"}}, "pictures", "side"),
        ({"state": "bodies"}, "spaces", "bodies"),
        ({"at_least": -1.0}, "success", "random commands"),
    ],
)
def test_what_is_wrong_is_said_of_the_thing_that_is(dot, changes, what, words):
    wrong = {trial.what: trial.problem for trial in trials(dot(**changes), "ring", 0) if trial.problem}
    assert words in wrong[what]


def test_an_expert_is_tried_in_scenes_that_no_demonstration_had(dot, monkeypatch):
    (expert,) = (trial for trial in trials(dot(), "ring", 3) if trial.what == "expert")
    assert expert.found.startswith("solves 3 of 3 scenes")
    monkeypatch.setattr(dot_env, "expert", lambda env: lambda seen: [0.0])
    (idle,) = (trial for trial in trials(dot(), "ring", 2) if trial.what == "expert")
    assert "none of 2" in idle.problem


def test_what_cannot_be_an_environment_of_ours_is_refused():
    for make, words in (
        ("CartPole-v1", "Discrete"),
        ("no_such_module:X-v0", "no_such_module"),
        ("Nothing-v0", "Nothing"),
    ):
        with pytest.raises(UserError, match=words):
            probe(make, {})
