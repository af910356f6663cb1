"""Embodiment files that are part of another, and steps of a task's own."""

from pathlib import Path

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.launch.environments import parts_of, robot_of

SUITES = ("spatial", "object", "goal", "10")


def test_liberos_suites_are_parts_of_one_robot():
    whole = load_embodiment("libero")
    assert whole.environment is not None and len(whole.environment.tasks) == 40
    parts = [load_embodiment(f"libero_{suite}") for suite in SUITES]
    found = [task for part in parts if part.environment for task in part.environment.tasks]
    assert found == sorted(whole.environment.tasks, key=found.index)
    assert {part.fingerprint for part in parts} == {whole.fingerprint}
    assert parts_of("libero") == [
        "libero_10",
        "libero_90",
        *(f"libero_{name}" for name in ("goal", "object", "spatial")),
    ]
    assert robot_of("libero_goal", "so101") == "libero_goal"


def test_tasks_have_the_steps_of_their_suite():
    where = load_embodiment("libero").environment
    assert where is not None
    assert [where.steps_of(f"{suite}-3") for suite in SUITES] == [280, 280, 300, 520]
    ninety = load_embodiment("libero_90").environment
    assert ninety is not None and len(ninety.tasks) == 90 and not ninety.expert
    assert ninety.steps_of("90-89") == 400
    reacher = load_embodiment("reacher").environment
    assert reacher is not None and reacher.steps_of("reach") == 150


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("like: so101\nlevels: [easy]", "an embodiment with an environment"),
        ("like: libero", "either levels or tasks"),
        ("like: libero\nlevels: [easy]", "some of goal, long, object, spatial"),
        ("like: libero\nlevels: [goal]\nhome: 3", "home"),
        ("like: libro\nlevels: [goal]", "libero"),
        ("like: mine\nlevels: [goal]", "another embodiment"),
        ("like: libero\ntasks: []", "at least one task"),
        ("like: libero\nlevels: [goal]\nexpert: mine", "MODULE:FUNCTION"),
    ],
)
def test_a_mistake_in_a_part_is_named(tmp_path: Path, text: str, named: str):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=named):
        load_embodiment(file)
