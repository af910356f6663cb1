"""Which of the weights that a training passes through become the policy: those that drive best.

Every so often the averaged weights are written as a checkpoint and drive a fixed list of episodes in
lockstep, with seeds and phrasings that are not those of the suites. How they drive is handed in
(launch/commands/checkpoint_selection.py), since training knows nothing of evaluation. The training state is
saved before, so that a judgement that was interrupted is taken up at the same step; its finished episodes are
kept in the checkpoint's folder.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.datasets.files import replace_files
from ideomotor.train.state import Position

FILE = "selection.json"
CANDIDATE = "candidate-"  # folders of checkpoints, by their step


@dataclass(frozen=True)
class SelectionSettings:
    """What is driven, and how often."""

    tasks: tuple[str, ...] = ()  # none: nothing is driven, and the last weights are the policy
    episodes: int = 10  # of each task
    seed_start: int = 900_000  # of each task: after the demonstrations', before the suites'
    every_s: float = 1800.0  # of training between two judgements; 0: not by the clock
    every_steps: int = 0  # 0: not by the steps
    workers: int = 1  # processes that drive


@dataclass(frozen=True)
class Driven:
    """What came of it."""

    episodes: int
    successes: int
    progress: float  # mean over the episodes, in [0, 1]


@dataclass(frozen=True)
class Judgement:
    """How the weights of one step drive."""

    step: int
    elapsed: float  # [s] of training when it was known
    driven: Driven

    @property
    def merit(self) -> tuple[float, float, int]:
        """Successes first, then progress; of equals the one that was trained longer."""
        return self.driven.successes / max(1, self.driven.episodes), self.driven.progress, self.step


Drive = Callable[[Path], Driven]  # a checkpoint folder, which may also keep finished episodes


class Selection:
    """The judgements of one training and the checkpoint of the best.

    Args:
        settings: what is driven, and how often.
        drive: has a checkpoint drive it.
        save: writes the present weights as a checkpoint folder.
        folder: for the checkpoints and `selection.json`, which is read when a training is resumed.
    """

    def __init__(self, settings: SelectionSettings, drive: Drive, save: Callable[[Path], None], folder: Path):
        self._settings, self._drive, self._save, self._folder = settings, drive, save, folder
        self._judgements = self._read()

    def due(self, at: Position) -> bool:
        """Whether the weights of this moment shall be judged."""
        if not at.step or self.judged(at):
            return False
        last = self._judgements[-1].elapsed if self._judgements else 0.0
        by_clock = self._settings.every_s > 0 and at.elapsed - last > self._settings.every_s
        by_steps = self._settings.every_steps > 0 and at.step % self._settings.every_steps == 0
        return by_clock or by_steps

    def judged(self, at: Position) -> bool:
        """Whether these weights have been judged."""
        return any(judgement.step == at.step for judgement in self._judgements)

    def judge(self, at: Position) -> dict[str, float]:
        """Has the present weights drive, and keeps them if none before drove better. Returns figures."""
        began, checkpoint = time.monotonic(), self._checkpoint(at.step)
        self._save(checkpoint)
        driven = self._drive(checkpoint)
        took = time.monotonic() - began
        self._judgements.append(Judgement(at.step, at.elapsed + took, driven))
        self._write()
        for folder in self._folder.glob(f"{CANDIDATE}*"):
            if folder != self.best_checkpoint:
                shutil.rmtree(folder)
        rate = driven.successes / max(1, driven.episodes)
        return {"step": at.step, "driven_rate": rate, "driven_progress": driven.progress, "driven_s": took}

    @property
    def best(self) -> Judgement:
        """Of the judgements so far."""
        return max(self._judgements, key=lambda judgement: judgement.merit)

    @property
    def best_checkpoint(self) -> Path:
        """Folder of the weights that `best` is about."""
        return self._checkpoint(self.best.step)

    def outcome(self) -> dict[str, Any]:
        """What was chosen, and from what: plain JSON values."""
        judgements = [{"step": each.step, **asdict(each.driven)} for each in self._judgements]
        best = {"step": self.best.step, **asdict(self.best.driven), "checkpoint": str(self.best_checkpoint)}
        return {**best, "judgements": judgements}

    def _checkpoint(self, step: int) -> Path:
        return self._folder / f"{CANDIDATE}{step:07d}"

    def _conditions(self) -> list[Any]:
        """What judgements must have in common to be compared, as JSON has it."""
        return [list(self._settings.tasks), self._settings.episodes, self._settings.seed_start]

    def _read(self) -> list[Judgement]:
        """What was judged before; nothing if that was under other conditions or its checkpoint is gone."""
        path = self._folder / FILE
        if not path.is_file():
            return []
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            found = [
                Judgement(**{**fields, "driven": Driven(**fields["driven"])}) for fields in kept["judgements"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not the judgements of a training ({error}); remove it") from None
        best = max(found, key=lambda judgement: judgement.merit, default=None)
        if kept["conditions"] != self._conditions() or not best or not self._checkpoint(best.step).is_dir():
            return []
        return found

    def _write(self) -> None:
        kept = {
            "conditions": self._conditions(),
            "judgements": [asdict(judgement) for judgement in self._judgements],
        }
        replace_files({self._folder / FILE: (json.dumps(kept, indent=1) + "\n").encode()})
