"""The lines that docs/environments.md shows for a preset are run, at the smallest scale that goes through."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from ideomotor.control.embodiment import load_embodiment

PAGE = Path(__file__).parents[2] / "docs" / "environments.md"
PACKAGES = {"pusht": "gym_pusht", "aloha": "gym_aloha"}
TINY = (
    *("interpreter.train.steps=2", "interpreter.vision_width=32", "interpreter.text_width=32"),
    *("interpreter.layers=1", "interpreter.pictures=4", "decoder.train.steps=2", "decoder.width=32"),
    *("decoder.heads=2", "decoder.blocks=2", "decoder.batch=4"),
)
SMALL = {
    "record": ("--episodes", "1", "--workers", "1"),
    "eval": ("--episodes", "1", "--tasks", "{first}"),
    "train": tuple(part for change in TINY for part in ("--set", change)),
}


def lines_of(preset: str) -> list[str]:
    """Commands of the preset's code block, continued lines joined."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if block.startswith(f"make {preset}\n"))
    lines = block.replace("\\\n", " ").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("ideomotor ")]


@pytest.mark.slow
@pytest.mark.parametrize("preset", PACKAGES)
def test_what_the_page_shows_goes_through(preset, in_process, tmp_path, monkeypatch):
    if importlib.util.find_spec(PACKAGES[preset]) is None:
        pytest.skip(f"{PACKAGES[preset]} is not installed: make {preset}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDEOMOTOR_CACHE", str(tmp_path / "cache"))
    where, kinds = load_embodiment(preset).environment, []
    assert where is not None
    for line in lines_of(preset):
        words = shlex.split(line)[1:]
        kinds.append(words[0])
        small = [part.format(first=where.tasks[0].name) for part in SMALL.get(words[0], ())]
        done = in_process(*words, *small)
        assert done.returncode == 0, (line, done.stderr)
    assert kinds == ["run", "eval", "record", "train", "eval"]
    assert (tmp_path / f"runs/{preset}-eval/report.html").exists()
