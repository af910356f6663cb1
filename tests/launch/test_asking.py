"""The person at a real terminal (a pty) is asked what to do about a skill that failed."""

from __future__ import annotations

import json
import os
import pty
import sys
from dataclasses import replace

import pytest

from ideomotor.launch.cli import main
from ideomotor.launch.runtime.asking import ask_at_terminal, meant_by
from ideomotor.vla.planner.skills import SKILLS


@pytest.fixture
def terminal(monkeypatch):
    """A terminal as standard input; its other end, to type at."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        yield ours
    os.close(ours)


@pytest.mark.parametrize(
    ("typed", "answer", "times"),
    [("y\n", "again", 1), (" Skip \n", "skip", 1), ("what?\nn\n", "stop", 2), ("a\nb\nc\nd\n", "", 3)],
)
def test_keys_and_words_are_answers_and_others_are_asked_about_again(terminal, typed, answer, times):
    said = []

    def say(line):  # one line is typed for each question
        said.append(line)
        os.write(terminal, typed.splitlines(keepends=True)[len(said) - 1].encode())

    assert ask_at_terminal("lift(red cube) failed", say) == answer
    assert len(said) == times and all("lift(red cube) failed" in line for line in said)


def test_nobody_is_waited_for_for_ever(terminal, monkeypatch):
    said = []
    assert ask_at_terminal("well?", said.append, seconds=0.0) == "" and len(said) == 1
    monkeypatch.setattr(sys, "stdin", None)
    assert ask_at_terminal("well?", said.append) == "" and len(said) == 1  # no terminal: not even asked
    assert meant_by("AGAIN") == "again" and meant_by("yes, please") == ""


def test_a_run_asks_before_it_gives_up(terminal, tmp_path, capsys, monkeypatch):
    """A drawer whose tray holds nothing: the experts cannot put anything into it."""
    file, goal = tmp_path / "goal.json", "put the small green cube into the blue drawer"
    words = ["run", "tidy", "--goal", goal, "--expert", "--perception", "truth", "--ask", "--json", str(file)]
    for name in ("open", "stow"):  # they need not take their time to fail
        monkeypatch.setitem(SKILLS, name, replace(SKILLS[name], max_seconds=1.0))
    os.write(terminal, b"n\n")  # typed ahead
    assert main(words) == 0
    shown, found = capsys.readouterr().out, json.loads(file.read_text())
    assert "again, skip or stop?" in shown and "y: again, s: skip it, n: stop" in shown
    events = [(event["kind"], event["text"]) for event in found["events"]]
    assert ("answer", "stop") in events and found["ended"] == "give_up" and "'stop'" in found["reason"]
