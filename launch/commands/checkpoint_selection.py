"""How checkpoints of a training drive, for `train.selection`: the suite `familiar`, in seeds of its own.

The phrasings are the demonstrations', so that the held-out ones stay unseen by what is selected, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.run import evaluate
from ideomotor.eval.suites import HELD_OUT_SEEDS, suite
from ideomotor.launch.environments import NO_LEVEL, task_names
from ideomotor.train.selection import Drive, Driven, SelectionSettings


def driver(settings: SelectionSettings, robot: str) -> Drive:
    """What has a checkpoint drive the episodes of these settings. It keeps finished ones in the folder."""
    level = NO_LEVEL if load_embodiment(robot).environment else "light"

    def drive(checkpoint: Path) -> Driven:
        specs = suite("familiar", settings.tasks, settings.episodes, settings.seed_start, level=level)
        policy_spec = PolicySpec(checkpoint, robot)
        rows = evaluate(specs, policy_spec, workers=settings.workers, out=checkpoint, resume=True)
        progress = float(np.mean([row.progress for row in rows]))
        return Driven(len(rows), sum(row.success for row in rows), progress)

    return drive


def check_selection(settings: SelectionSettings, embodiment: Embodiment) -> None:
    """Raises UserError for what cannot be driven, or must not be selected by."""
    valid = task_names(embodiment)
    for name in settings.tasks:
        if name not in valid:
            raise unknown_name("decoder.select.tasks", name, valid)
    for name, value in (("episodes", settings.episodes), ("workers", settings.workers)):
        if value < 1:
            raise UserError(f"decoder.select.{name}: got {value}, expected at least 1")
    for name, value in (("every_s", settings.every_s), ("every_steps", settings.every_steps)):
        if value < 0:
            raise UserError(f"decoder.select.{name}: got {value}, expected 0 or more")
    last = settings.seed_start + settings.episodes
    if not 0 <= settings.seed_start <= last <= HELD_OUT_SEEDS:
        raise UserError(
            f"decoder.select.seed_start: seeds {settings.seed_start} to {last - 1}, expected to end before "
            f"{HELD_OUT_SEEDS}, where the suites begin"
        )
