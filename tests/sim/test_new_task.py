"""A task is one file and one line: whatever lists or varies tasks finds one that only `TASKS` knows."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.eval.rollout import rollout
from ideomotor.eval.suites import suite
from ideomotor.launch.environments import task_names
from ideomotor.sim import register
from ideomotor.sim.generalization.axes import AXES, concerns
from ideomotor.sim.generalization.held_out_phrasings import templates
from ideomotor.sim.open_world import open_world, task_world
from ideomotor.sim.tasks import TASKS, lift

NAME = "hoist"


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The task in the dict, and Gymnasium's registry as a new process would have it."""
    sentences = (("up with the {target}",), ("uplift the {target}",))
    task = replace(
        lift.TASK,
        name=NAME,
        instructions=tuple(f"{text}, will you" for text in lift.TASK.instructions),
        harder_instructions=sentences,
        impossible_axes={"shapes": (2, 3)},
    )
    monkeypatch.setitem(TASKS, NAME, task)
    for name in TASKS:
        gymnasium.registry.pop(f"ideomotor/{name.capitalize()}-v0", None)
    importlib.reload(register)
    yield
    del gymnasium.registry[f"ideomotor/{NAME.capitalize()}-v0"]


def test_it_is_listed_opened_and_registered() -> None:
    robot = load_embodiment("so101")
    assert NAME in task_names(robot)
    world = open_world(robot, NAME, 3)
    assert world.instruction.endswith(", will you") and not world.success
    world.close()
    env = gymnasium.make(f"ideomotor.sim.register:ideomotor/{NAME.capitalize()}-v0")
    observation, _ = env.reset(seed=0)
    assert observation["instruction"].endswith(", will you")
    env.close()


def test_people_can_ask_for_it_in_their_own_words() -> None:
    plain = task_world(NAME, 3)
    asked = task_world(NAME, 3, instruction=f"could you get me the {plain.goal.words['target']}")
    assert asked.judging.judged and asked.goal == plain.goal


def test_it_is_varied_along_every_axis_that_it_can_have() -> None:
    assert templates(TASKS[NAME], 1) == ("up with the {target}",)
    world = task_world(NAME, 3, axis="phrasing", strength=1)
    assert world.instruction == f"up with the {world.goal.words['target']}"
    assert [k for k in AXES["shapes"].strengths if concerns("shapes", NAME, k)] == [1]
    assert not concerns("combination", NAME, 1)  # it names no new roles
    axes = [
        axis for axis in AXES if axis not in ("combination", "placement")
    ]  # our tasks place for themselves
    assert {spec.axis for spec in suite("generalization", [NAME], 1, 0, axes=[*AXES])} == {"", *axes}


def test_its_expert_solves_it() -> None:
    world = task_world(NAME, 3)
    result = rollout(world, None)
    world.close()
    assert result.success and np.isfinite(result.commands).all()
