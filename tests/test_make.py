"""The command that makes a policy from nothing: two hours, so here only what it would run."""

import shlex
import subprocess
from pathlib import Path

import pytest

from ideomotor.sim.tasks import TASKS
from ideomotor.train.recipe import resolve

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def commands() -> list[list[str]]:
    """What `make policy` would run, as words, each from the name of our subcommand on."""
    said = subprocess.run(
        ["make", "--dry-run", "policy", "CORES=3"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = said.stdout.replace("\\\n", " ").replace("&&", "\n").splitlines()
    words = [shlex.split(line) for line in lines if "/ideomotor " in line]
    ours = [max(i for i, word in enumerate(line) if word.endswith("/ideomotor")) for line in words]
    return [line[at + 1 :] for line, at in zip(words, ours, strict=True)]


def values(command: list[str], option: str) -> list[str]:
    return [value for name, value in zip(command, command[1:], strict=False) if name == option]


def test_every_task_is_recorded_and_trained_on(commands):
    *recorded, trained = commands
    assert {command[1] for command in recorded} == set(TASKS) and len(recorded) == len(TASKS)
    assert all(command[0] == "record" and "--resume" in command for command in recorded)
    first = trained.index("--data") + 1
    assert trained[first : first + len(TASKS)] == [values(command, "--out")[0] for command in recorded]
    assert trained[first + len(TASKS)].startswith("--")


def test_the_recipe_is_one(commands):
    (config,) = values(commands[-1], "--config")
    recipe = resolve(config, values(commands[-1], "--set"))
    assert len(recipe.decoder.weights) == len(TASKS)
    assert recipe.interpreter.train.minutes > 0 and recipe.decoder.train.minutes > 0
    assert "--resume" in commands[-1]
