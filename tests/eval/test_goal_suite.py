"""Suite goals: rows that go through a file, and what they come to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.goals.result import AttemptRow, GoalResult
from ideomotor.eval.goals.rows import GoalRow, row_from_json
from ideomotor.eval.goals.run import evaluate_goals, goal_specs
from ideomotor.eval.goals.setup import GoalSetup
from ideomotor.eval.goals.summary import chain, goal_summary
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.rows import ROWS_FILE, open_rows
from ideomotor.eval.stats.comparison import compare
from ideomotor.launch.commands.evaluate.evaluate import evaluate
from ideomotor.launch.commands.evaluate.options import EvalArguments
from ideomotor.launch.needed_options import NeededArguments


def attempt(true: bool, perceived: bool = True, thing: str = "red cube") -> AttemptRow:
    return AttemptRow("place", (thing, "blue bowl"), "put it", 0.0, 5.0, perceived, true, "seen")


def row(seed: int, success: bool, *attempts: AttemptRow, task: str = "tidy") -> GoalRow:
    result = GoalResult(
        success,
        success,
        "done",
        "",
        12.0,
        2 if success else 1,
        2,
        1,
        3,
        list(attempts),
        {},
        0,
        "",
        {"true": 3},
    )
    return GoalRow(EpisodeSpec(task, seed, "heldout"), "tidy up", result, ("place", "place"))


ROWS = [
    row(1, True, attempt(True), attempt(True, thing="green cube")),
    row(2, False, attempt(False, perceived=False), attempt(True), attempt(True, False, "green cube")),
]


def test_a_row_survives_its_file(tmp_path: Path) -> None:
    assert [row_from_json(json.loads(json.dumps(one.to_json()))) for one in ROWS] == ROWS
    path = tmp_path / ROWS_FILE
    assert open_rows(path, "a", False, row_from_json, "policy or setup") == {}
    with path.open("a") as file:
        file.write(json.dumps(ROWS[0].to_json()) + '\n{"task": "ti')  # died in the midst of the second
    assert open_rows(path, "a", True, row_from_json, "policy or setup") == {ROWS[0].spec: ROWS[0]}
    assert len(path.read_text().splitlines()) == 2
    with pytest.raises(UserError, match="--resume continues it"):
        open_rows(path, "a", False, row_from_json, "policy or setup")
    with pytest.raises(UserError, match="another policy or setup"):
        open_rows(path, "b", True, row_from_json, "policy or setup")


def test_what_the_rows_come_to() -> None:
    found = goal_summary("nobody", GoalSetup(), ROWS)
    tidy = found["tasks"]["tidy"]
    assert (tidy["successes"], tidy["episodes"], tidy["rate"]) == (1, 2, 0.5)
    assert tidy["subgoals"]["mean"] == 0.75 and tidy["replans"]["mean"] == 1
    # Of four first attempts three succeeded; each goal has two steps.
    assert found["skills"]["place"]["rate"] == 0.75
    assert tidy["chain"]["rate"] == pytest.approx(0.75**2)
    assert tidy["chain"]["low"] <= tidy["chain"]["rate"] <= tidy["chain"]["high"]
    assert found["detection"]["precision"]["rate"] == 1.0
    assert (found["detection"]["recall"]["successes"], found["detection"]["recall"]["episodes"]) == (3, 4)
    assert found["facts"] == {"precision": 1.0, "recall": 1.0}


def test_nothing_is_said_of_a_skill_that_nobody_tried() -> None:
    assert chain([replace(ROWS[0], steps=("place", "stack"))], ROWS) is None


def test_two_setups_are_compared_in_pairs() -> None:
    worse = [replace(one, result=replace(one.result, success=False)) for one in ROWS]
    found = compare(goal_summary("a", GoalSetup(), ROWS), goal_summary("a", GoalSetup(recovery=False), worse))
    assert (found["overall"]["lost"], found["overall"]["gained"]) == (1, 0)


def test_the_experts_on_held_out_scenes_and_what_is_there_is_not_run_again(tmp_path: Path) -> None:
    specs = goal_specs(["tower"], 1, 900_004)
    seen = []
    rows = evaluate_goals(specs, PolicySpec(None), GoalSetup(), out=tmp_path, on_row=seen.append)
    assert rows == seen and rows[0].result.success and rows[0].result.ended == "done"
    assert rows[0].steps == ("stack", "stack")
    again = evaluate_goals(specs, PolicySpec(None), GoalSetup(), out=tmp_path, resume=True)
    assert again == rows
    with pytest.raises(UserError, match="another policy or setup"):
        evaluate_goals(specs, PolicySpec(None), GoalSetup(recovery=False), out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (dict(suite="goals", tasks="lift"), "task: unknown"),
        (dict(suite="goals", planner="magic"), "planner: unknown"),
        (dict(suite="goals", axes="camera"), "axes: has no meaning in suite 'goals'"),
        (dict(suite="goals", needed=NeededArguments(cameras=("front",))), "cameras: has no meaning in"),
        (dict(suite="goals", needed=NeededArguments(text=False)), "text: has no meaning in suite 'goals'"),
        (dict(suite="goals", episodes=0), "episodes: got 0"),
        (dict(suite="goals", expert=True, batch=4), "expert: has no networks"),
        (dict(suite="goals", resume=True), "resume: needs --out"),
        (dict(suite="builtin", no_memory=True), "no-memory: belongs to suite 'goals'"),
        (dict(planner="oracle"), "planner: belongs to suite 'goals'"),
    ],
)
def test_what_cannot_be_run_is_refused(typed: dict, line: str) -> None:
    with pytest.raises(UserError) as error:
        evaluate(EvalArguments(**typed))
    assert str(error.value).startswith(line)
