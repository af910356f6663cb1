"""What `import ideomotor` gives, as docs/api.md shows it: each of its blocks runs, in order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ideomotor
from ideomotor.control.errors import UserError
from ideomotor.launch.api import Episode

BLOCKS = re.findall(
    r"^```python\n(.*?)^```",
    (Path(__file__).parents[2] / "docs" / "api.md").read_text(),
    re.DOTALL | re.MULTILINE,
)


@pytest.fixture(scope="module")
def page(ideomotor, tmp_path_factory):
    """The folder that the blocks run in, and the names that they share."""
    folder = tmp_path_factory.mktemp("notebook")
    done = ideomotor("record", "press", "--episodes", 2, "--out", folder / "data" / "press")
    assert done.returncode == 0, done.stderr
    return folder, {}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_page_runs(number: int, page: tuple[Path, dict[str, Any]], monkeypatch) -> None:
    folder, names = page
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IDEOMOTOR_CACHE", str(folder / "cache"))
    exec(compile(BLOCKS[number], f"docs/api.md, block {number}", "exec"), names)


def test_the_blocks_did_what_the_page_says(page: tuple[Path, dict[str, Any]]) -> None:
    _, names = page
    assert names["actions"].shape == (96, 6) and names["actions"].dtype == np.float32
    assert len(np.unique(names["actions"], axis=0)) > 1 and names["plan"].text
    episode: Episode = names["episode"]
    assert len(episode.frames["front"]) == len(episode.states) and episode.actions.shape[1] == 6
    assert len(episode.actions) == round(120 * episode.seconds) and names["shown"].success
    assert 0 <= names["result"]["mean"]["low"] <= names["result"]["mean"]["rate"]
    assert not names["still"].success and names["still"].progress < 1
    assert names["mine"].folder == Path("runs/mine")


def test_importing_loads_nothing_heavy_and_names_six_functions() -> None:
    heavy = "{'torch', 'numpy', 'mujoco', 'gymnasium'}"
    code = f"import sys, ideomotor; print(sorted({heavy} & set(sys.modules)), dir(ideomotor))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    names = ["evaluate", "load_policy", "make_env", "open_dataset", "run_episode", "train"]
    assert done.stdout == f"[] {names}\n"
    code = (
        "import ideomotor.train.instruction_augmentation\n"  # of that room the one that is imported soonest
        "from ideomotor.train import instruction_augmentation; print(ideomotor.train.__module__)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ideomotor.launch.api\n", "the function, not the room of that name"
    with pytest.raises(AttributeError, match="load_policy"):
        _ = ideomotor.load_polic


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("frnt", np.zeros((96, 96, 3), np.uint8), "did you mean 'front'"),
        ("state", np.full(6, 90.0), r"observation.state: shoulder_lift is 90.*np.radians"),
        ("state", None, "observation: has no 'state'"),
        ("instruction", None, "observation: has no 'instruction'"),
    ],
)
def test_a_wrong_observation_is_named(key: str, value: Any, said: str) -> None:
    policy = ideomotor.load_policy()
    right = {
        "front": np.zeros((96, 96, 3), np.uint8),
        "state": np.zeros(6),
        "instruction": "lift the red cube",
    }
    with pytest.raises(UserError, match=said):
        policy({name: part for name, part in {**right, key: value}.items() if part is not None})


def test_unknown_names_are_refused_with_a_near_match() -> None:
    with pytest.raises(UserError, match="did you mean 'place'"):
        ideomotor.make_env("plase")
    with pytest.raises(UserError, match="did you mean 'lift'"):
        ideomotor.run_episode("lft")
    with pytest.raises(UserError, match="'nowhere'"):
        ideomotor.load_policy("nowhere")
