"""What is shown while a training goes on says how far it is, what it loses and how long it will yet take."""

import re

import pytest
import torch

from ideomotor.control.durations import in_words
from ideomotor.train.reporting import progress
from ideomotor.train.reporting.progress import Countdown, StageProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """A clock that is set by hand."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lengths_of_time_are_said_as_people_do() -> None:
    said = [in_words(seconds) for seconds in (0.4, 42, 99, 100, 754, 5940, 6000, 25_800)]
    assert said == ["0 s", "42 s", "99 s", "2 min", "13 min", "99 min", "1 h 40 min", "7 h 10 min"]


def test_the_time_left_follows_from_the_latest_steps_and_not_from_the_first(clock) -> None:
    shown = StageProgress("decoder", 1000, 0.0, 0)
    clock.now += 200  # the first step compiles
    shown.step(1, 200.0, torch.tensor(3.0))
    for step in range(2, 102):
        clock.now += 0.5
        shown.step(step, clock.now - 1000, torch.tensor(1.0))
    assert shown.left(101, 250.0) == pytest.approx(899 * 0.5, rel=0.02)
    for step in range(102, 302):  # another program ends
        clock.now += 0.25
        shown.step(step, clock.now - 1000, torch.tensor(1.0))
    assert shown.left(301, 300.0) < 699 * 0.32
    assert shown.line(301, 300.0).startswith("step 301 of 1,000, loss 1.0")


def test_a_stage_by_the_clock_ends_when_its_minutes_are_over(clock) -> None:
    shown = StageProgress("interpreter", 20000, 3.0, 40)
    assert shown.left(90, 61.0) == 119.0
    assert shown.line(90, 61.0) == "step 90, 2 min left"


def test_without_a_terminal_a_line_a_minute_says_it(clock, capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress("decoder", 600, 0.0, 0) as shown:
        for step in range(1, 301):
            clock.now += 1.0
            shown.step(step, float(step), torch.tensor(2.0))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "stage 2, decoder: 0 %, step 2 of 600, loss 2.000, 10 min left"
    assert len(lines) == 5 and re.fullmatch(r"stage 2, decoder: 40 %, step 242 .* 6 min left", lines[-1])
    with StageProgress("decoder", 600, 0.0, 0, shown=False) as silent:
        silent.step(1, 1.0, torch.tensor(2.0))
        silent.say("nothing")
    assert capsys.readouterr().err == ""


def test_a_preparation_counts_down(clock) -> None:
    said: list[str] = []
    countdown = Countdown("rendering scenes", said.append)
    for done in range(41):
        countdown.at(500 * done, 20_000)
        clock.now += 6.0
    assert said[0] == "rendering scenes: 1,000 of 20,000, 4 min left"
    assert said[-1] == "rendering scenes: 20,000 of 20,000"
    assert len(said) == 20
