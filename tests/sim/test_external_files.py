"""Embodiment files of others' environments: how they are found, and that a wrong one says what is wrong."""

from pathlib import Path

import pytest
import yaml

from ideomotor.control.embodiment import embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.eval.rollout import rollout
from ideomotor.launch.environments import robot_of
from ideomotor.sim.environments.external import ExternalWorld, check_seeding


@pytest.mark.parametrize(("kind", "word"), [("deaf", "differently"), ("same", "the same")])
def test_environments_that_ignore_their_seed_are_refused(dot, kind, word):
    check_seeding(dot(), "ring")
    with pytest.raises(UserError, match=word):
        check_seeding(dot(options={"kind": kind}), "ring")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"make": "tests/Dot-v7"}, "environment.make"),
        ({"make": "no_such_module:Dot-v0", "needs": "try a shop"}, "no_such_module.*try a shop"),
        ({"options": {"colour": 1}}, "colour"),
        ({"options": {"actions": 2}}, "expected a box of push"),
        ({"state": "bodies"}, "key of the observation.*did you mean 'body'"),
        ({"columns": [0]}, "state: 1 values, expected those of place, speed"),
        ({"columns": [0, 7]}, "columns: got 7"),
        ({"images": {"top": "pixels"}}, "images.top.*dict"),
        ({"options": {"kind": "silent"}}, "environment.success: key of info"),
        ({"expert": "dot_env:experts"}, "environment.expert"),
        ({"expert": ""}, "expert: got ''"),
        ({"tasks": []}, "at least one task"),
        ({"max_steps": 0}, "max_steps"),
        ({"images": {"side": "pixels.top"}}, "images.*'side'"),
        ({"sucess": "x"}, "did you mean 'success'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_field(dot, changes, words):
    with pytest.raises(UserError, match=words) as refused:
        rollout(ExternalWorld("ring", 0, dot(**changes)), None, on_frame=lambda frame: None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"commands": "torques"}, "commands: got 'torques', expected one of targets, deltas, absolute"),
        ({"joints": [{"name": "push", "lower": 0.5, "upper": 1}]}, "0 in it"),
        ({"cameras": [{"name": "top", "height": 16, "width": 16, "hz": 7}]}, "divisor of control_hz"),
    ],
)
def test_a_wrong_embodiment_is_refused_with_the_field(dot, top, words):
    with pytest.raises(UserError, match=words):
        dot(top)


def test_joints_of_an_environment_with_rates_that_cannot_act_are_refused(tmp_path):
    rates = {"max_velocity": 5000, "max_acceleration": 100000, "max_jerk": 1e6, "max_effort": 1}
    joints = [{"name": name, "unit": "m", "lower": 0, "upper": 512, **rates} for name in "xy"]
    targets = {"commands": "targets", "joints": joints, "home": [256, 256]}
    targets["workspace"] = {"lower": [0, 0, 0], "upper": [1, 1, 1]}
    values = yaml.safe_load(Path(__file__).with_name("table.yaml").read_text()) | targets
    del values["state"]
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(
        UserError, match=r"joints\[0\].max_acceleration: got 100000, expected at most .* 10 Hz"
    ):
        load_embodiment(path)


def test_tasks_are_known_by_name(dot):
    with pytest.raises(UserError, match="did you mean 'ring'"):
        ExternalWorld("rings", 0, dot())


def test_environments_are_found_by_name_file_and_id(dot, tmp_path):
    dot()
    path = str(tmp_path / "dot.yaml")
    assert robot_of("", "so101") == "so101"
    assert robot_of("reacher", "so101") == robot_of("Reacher-v5", "so101") == "reacher"
    assert robot_of(path, "so101") == path == robot_of("tests/Dot-v0", path)
    for env, word in (("recher", "did you mean 'reacher'"), ("a:B-v0", "imitate"), ("koch", "unknown")):
        with pytest.raises(UserError, match=word):
            robot_of(env, "so101")


@pytest.mark.parametrize("name", [name for name in embodiment_names() if load_embodiment(name).environment])
def test_every_environment_file_says_what_is_done(name):
    where = load_embodiment(name).environment
    assert where is not None and bool(where.expert) == (name != "libero_90")
    # LIBERO-90 says the same of several scenes.
    instructions = [task.instruction for task in where.tasks if not task.name.startswith("90-")]
    assert len(set(instructions)) == len(instructions)  # words must tell tasks apart
    assert all(text == text.strip() and text[0].islower() and text.isascii() for text in instructions)
