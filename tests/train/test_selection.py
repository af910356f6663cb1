"""The weights that drive best become the policy, also when training is killed while they drive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.train.learner import Settings
from ideomotor.train.selection import Driven, Selection, SelectionSettings
from ideomotor.train.state import Position
from ideomotor.train.trainer import fit

SETTINGS = Settings(steps=40, learning_rate=0.3, warmup=5, precision="no", log_every=4, average=0.5)
SELECT = SelectionSettings(tasks=("reach",), episodes=10, every_s=0.0, every_steps=10)


class Line(nn.Module):
    """Learns y = 3 x + 1 with some noise of its own."""

    def __init__(self):
        super().__init__()
        self.fit = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = 3 * x + 1 + 0.01 * torch.randn(len(x), 1)
        return {"loss": (self.fit(x) - y).square().mean()}


def batch_at(step: int) -> torch.Tensor:
    return torch.randn(32, 1, generator=torch.Generator().manual_seed(step))


def selected(
    out: Path, scores: dict[int, int], die_judging: int = -1, die_loading: int = -1
) -> tuple[Line, Selection]:
    """Trains in `out`, from where it stopped there; the weights of a step solve `scores` of 10 episodes.

    Kills its process when it judges, or loads the batch of, these steps.
    """
    torch.manual_seed(0)
    line = Line()

    def save(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weight").write_text(repr(line.fit.weight.item()))

    def drive(folder: Path) -> Driven:
        step = int(folder.name.rpartition("-")[2])
        if step == die_judging:
            os.kill(os.getpid(), signal.SIGKILL)
        return Driven(10, scores[step], scores[step] / 20)

    def loaded(step: int) -> torch.Tensor:
        if step == die_loading:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch_at(step)

    selection = Selection(SELECT, drive, save, out / "state")
    fit("line", line, loaded, 32, SETTINGS, out, resume=True, selection=selection)
    return line, selection


SCORES = {10: 3, 20: 7, 30: 7, 40: 5}


def test_the_best_is_kept_and_of_equals_the_later(tmp_path: Path) -> None:
    _, selection = selected(tmp_path, SCORES)
    assert selection.best.step == 30
    assert [path.name for path in (tmp_path / "state").glob("candidate-*")] == ["candidate-0000030"]
    outcome = selection.outcome()
    assert json.loads(json.dumps(outcome)) == outcome
    assert outcome["checkpoint"] == str(tmp_path / "state" / "candidate-0000030")
    assert [judged["successes"] for judged in outcome["judgements"]] == [3, 7, 7, 5]
    lines = [json.loads(text) for text in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert {line["step"]: line["driven_rate"] for line in lines if "driven_rate" in line} == {
        step: solved / 10 for step, solved in SCORES.items()
    }


def test_a_training_killed_while_it_is_judged_and_later_goes_on_to_the_same(tmp_path: Path) -> None:
    """The second time lines have been written about steps after the last state."""
    whole, chosen = selected(tmp_path / "whole", SCORES)
    code = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('selecting', {str(Path(__file__))!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['selecting'] = module\n"
        "spec.loader.exec_module(module)\n"
        f"module.selected(pathlib.Path({str(tmp_path / 'killed')!r}), module.SCORES, DEATH)\n"
    )
    for death in ("die_judging=20", "die_loading=38"):
        run = [sys.executable, "-P", "-c", code.replace("DEATH", death)]
        done = subprocess.run(run, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
    last = (tmp_path / "killed" / "line.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["step"] > 30
    killed, resumed = selected(tmp_path / "killed", SCORES)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(killed.state_dict()[name], weight, rtol=0, atol=0)

    def judgements(folder: str) -> list[dict]:
        kept = [json.loads(text) for text in (tmp_path / folder / "line.jsonl").read_text().splitlines()]
        measured = {"seconds", "samples_per_s", "loader_share", "driven_s"}
        return [{key: value for key, value in line.items() if key not in measured} for line in kept]

    assert judgements("killed") == judgements("whole")
    assert resumed.best.step == chosen.best.step == 30
    assert (resumed.best_checkpoint / "weight").read_text() == (chosen.best_checkpoint / "weight").read_text()


def test_weights_and_not_their_averages_are_saved_when_interrupted_while_judging(tmp_path: Path) -> None:
    whole, _ = selected(tmp_path / "whole", SCORES)
    with pytest.raises(KeyError):  # there is no score for step 20
        selected(tmp_path / "parts", {10: 3})
    parts, _ = selected(tmp_path / "parts", SCORES)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_when_it_is_due(tmp_path: Path) -> None:
    def settings_due(settings: SelectionSettings, at: Position) -> bool:
        return Selection(settings, lambda folder: Driven(1, 1, 1.0), Path.mkdir, tmp_path).due(at)

    by_clock = replace(SELECT, every_s=60.0, every_steps=0)
    assert settings_due(SELECT, Position(20, 1.0)) and not settings_due(SELECT, Position(21, 1.0))
    assert settings_due(by_clock, Position(5, 61.0)) and not settings_due(by_clock, Position(5, 59.0))
    assert not settings_due(SELECT, Position(0, 0.0))


def test_judgements_of_other_episodes_are_not_compared_with(tmp_path: Path) -> None:
    def save(folder: Path) -> None:
        folder.mkdir()

    first = Selection(SELECT, lambda folder: Driven(10, 9, 1.0), save, tmp_path)
    first.judge(Position(10, 1.0))
    assert Selection(SELECT, lambda folder: Driven(10, 0, 0.0), save, tmp_path).judged(Position(10))
    other = replace(SELECT, seed_start=5000)
    assert not Selection(other, lambda folder: Driven(10, 0, 0.0), save, tmp_path).judged(Position(10))
    (tmp_path / "selection.json").write_text("{")
    with pytest.raises(UserError, match="remove it"):
        Selection(SELECT, lambda folder: Driven(10, 0, 0.0), save, tmp_path)
