"""Commands that README.md and docs/ show are commands: their options exist, and so do the names they give."""

import re
import shlex
from pathlib import Path

import pytest

from ideomotor.eval.suites import SUITES
from ideomotor.launch.cli import COMMANDS
from ideomotor.launch.command_line import parse, split
from ideomotor.launch.commands.evaluate.options import GOALS, QUESTIONS
from ideomotor.train.recipe import resolve

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACEHOLDER = re.compile(
    r"…|\.\.\.|[<>|$]|\b[A-Z][A-Z_]+\b(?!/)"
)  # `--policy DIR`: nothing to be run as it stands


def shown() -> list[tuple[str, str]]:
    """(page, command) of each line of a code block that begins with `ideomotor`, continued lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for block in (*fenced, *re.findall(r"^    (ideomotor .*)$", text, re.MULTILINE)):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip().startswith("ideomotor "):
                    command = line.strip().removeprefix("ideomotor ")
                    if not PLACEHOLDER.search(command.partition("  #")[0]):
                        found.append((page.name, command))
    return found


@pytest.mark.parametrize(("page", "line"), shown())
def test_a_documented_command_can_be_given(page: str, line: str) -> None:
    name, rest = split(shlex.split(line, comments=True), COMMANDS)
    assert name is not None
    options_type, _ = COMMANDS[name].load()
    options = parse(options_type, name, rest)
    if name == "train" and not options.peer:
        resolve(options.config, options.set)
    if name == "eval":
        assert options.suite in {*SUITES, QUESTIONS, GOALS}


def test_the_pages_show_commands() -> None:
    assert len(shown()) >= 35
    assert {page for page, _ in shown()} >= {"README.md", "evaluation.md", "hardware.md"}
