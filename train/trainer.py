"""The training loop that every stage shares: one process or several, exact resume, averaged weights.

A stage gives a module whose forward call returns losses and a function from step number to batch. All
randomness of a step follows from (seed, step), so that training resumes exactly from its state, and is
shared out between the processes (parallel.py). While a step computes, a thread makes the next one's batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.train.batches import BatchAt, Batches, Meter
from ideomotor.train.device import to_device, tune_process
from ideomotor.train.learner import Learner, Settings, learning_rate
from ideomotor.train.parallel import (
    join_processes,
    mean_of_all,
    of_the_first,
    own_device,
    processes,
    wait_for_all,
)
from ideomotor.train.reporting.metrics import Metrics
from ideomotor.train.reporting.progress import StageProgress
from ideomotor.train.selection import Selection
from ideomotor.train.state import (
    Position,
    Training,
    averaged,
    drop_states,
    last_state,
    save_state,
    step_of,
    take_average,
)

Examine = Callable[[], dict[str, float]]


def fit(
    name: str,
    module: nn.Module,
    batch_at: BatchAt,
    samples: int,
    settings: Settings,
    out: Path,
    resume: bool = False,
    examine: Examine | None = None,
    selection: Selection | None = None,
) -> dict[str, float]:
    """Trains the module's parameters that require gradients and leaves their average in it.

    Args:
        name: of the stage; names its files in `out`.
        module: forward(batch) gives {"loss": …, parts…}.
        batch_at: this process's batch of a step, called from another thread: it must not draw from torch's
            global generator.
        samples: windows or questions in a batch of all processes together, for the figures.
        out: folder for the metrics (metrics.py) and `state/` (what resuming needs).
        resume: continue from the state if there is one.
        examine: called now and then, and at the end, with the averaged weights in the module.
        selection: judges the averaged weights now and then, and at the end.

    Returns:
        The last metrics.

    Raises:
        KeyboardInterrupt: after the state has been saved.
    """
    tune_process()
    join_processes()
    module.to(own_device())
    state_file, first = out / "state" / f"{name}.safetensors", processes()[0] == 0
    learner = Learner(module, settings, last_state(state_file) if resume else None)
    training, at = learner.training, learner.training.at
    state_file.parent.mkdir(parents=True, exist_ok=True)
    log = Metrics(out, name, at.step, settings.tensorboard, settings.trackio, silent=not first)
    progress = StageProgress(name, settings.steps, settings.minutes, at.step, shown=first)
    with log, Batches(batch_at, at.step) as batches, progress:
        meter = Meter(batches, at.step, samples)
        upkeep = _Upkeep(training, module, state_file, settings, log, batches, examine, selection)
        try:
            metrics = _learn(learner, settings, state_file, batches, meter, log, progress, upkeep)
        finally:
            if first and at.step:
                save_state(state_file, training)
        take_average(training)
        module.eval()
        if first:
            metrics |= {"step": at.step, **upkeep.finish(metrics)}
    wait_for_all()
    return metrics


def _learn(
    learner: Learner,
    settings: Settings,
    state_file: Path,
    batches: Batches,
    meter: Meter,
    log: Metrics,
    progress: StageProgress,
    upkeep: _Upkeep,
) -> dict[str, float]:
    """Steps until the stage is over; returns the figures of the last one."""
    training, at, first = learner.training, learner.training.at, processes()[0] == 0
    begun, before, rate = time.monotonic(), at.elapsed, 0.0
    metrics: dict[str, float] = {}
    losses: dict[str, torch.Tensor] = {}
    while (share := _share(at, settings)) < 1.0:
        if first and upkeep.judge():
            meter.restart(at.step)
        rate = learning_rate(settings, at.step, share)
        losses = learner.step(to_device(batches.take(), own_device()), rate)
        at.elapsed = before + time.monotonic() - begun
        progress.step(at.step, at.elapsed, losses["loss"])
        if logs(at.step, settings.log_every):
            metrics = _figures(losses, at, rate, meter)
            _check(training, settings, state_file, math.isfinite(metrics["loss"]))
            log.write(metrics)
        if first and upkeep.save_and_examine():
            meter.restart(at.step)
    _check(training, settings, state_file, training.sound())
    if losses and metrics.get("step") != at.step:  # a short training may not have come to one
        metrics = _figures(losses, at, rate, meter)
        log.write(metrics)
    return metrics


def logs(step: int, every: int) -> bool:
    """Whether the figures of a step are kept: of every `every`th, and before that of the powers of two."""
    return step % every == 0 or (step < every and step & (step - 1) == 0)


class _Upkeep:
    """What the first process does between steps now and then: saving, examining and judging the weights."""

    def __init__(
        self,
        training: Training,
        module: nn.Module,
        state_file: Path,
        settings: Settings,
        log: Metrics,
        batches: Batches,
        examine: Examine | None,
        selection: Selection | None,
    ):
        self._training, self._module, self._state_file = training, module, state_file
        self._settings, self._log, self._batches = settings, log, batches
        self._examine, self._selection = examine, selection
        self._saved = self._examined = time.monotonic()

    def judge(self) -> bool:
        """Has the averaged weights judged if it is time; returns whether."""
        if not self._selection or not self._selection.due(self._training.at):
            return False
        self._batches.settle()
        self._save()
        with averaged(self._training, self._module):
            self._log.write(self._selection.judge(self._training.at))
        self._saved = time.monotonic()
        return True

    def save_and_examine(self) -> bool:
        """Does what it is time for; returns whether the weights were examined."""
        if time.monotonic() - self._saved > self._settings.save_every_s:
            self._save()
            self._saved = time.monotonic()
        if not self._examine or time.monotonic() - self._examined <= self._settings.examine_every_s:
            return False
        self._batches.settle()
        with averaged(self._training, self._module):
            self._log.write({"step": self._training.at.step, **self._examine()})
        self._examined = time.monotonic()
        return True

    def finish(self, metrics: dict[str, float]) -> dict[str, float]:
        """The last examination's figures; the weights are the averaged ones already."""
        at, found = self._training.at, {}
        if self._examine:
            found = self._examine()
            self._log.write({"step": at.step, **metrics, **found})
        if self._selection and not self._selection.judged(at):
            self._log.write(self._selection.judge(at))
        return found

    def _save(self) -> None:
        if not save_state(self._state_file, self._training):
            _check(self._training, self._settings, self._state_file)


def _check(training: Training, settings: Settings, state_file: Path, sound: bool = True) -> None:
    """Raises UserError for a training that has diverged, in all processes where all of them ask."""
    if sound and training.finite():
        return
    drop_states(state_file, min(float(training.bad_since), training.at.step))
    name, kept = state_file.stem, last_state(state_file)
    raise UserError(
        f"{name}: training has diverged at step {training.at.step}; with a lower {name}.train.learning_rate "
        f"(it is {settings.learning_rate:g}) --resume "
        + (f"goes on from step {step_of(kept)}" if kept else "begins anew, nothing was saved")
    )


def _figures(losses: dict[str, torch.Tensor], at: Position, rate: float, meter: Meter) -> dict[str, float]:
    """The figures of a step, means over the processes: all of them have to ask."""
    figures = mean_of_all({key: float(value.detach()) for key, value in losses.items()})
    place = {"step": at.step, "seconds": at.elapsed, "learning_rate": rate}
    return {**figures, **place, **meter.rates(at.step)}


def _share(at: Position, settings: Settings) -> float:
    """How much of training is done, 0 to 1; the same in all processes."""
    if settings.minutes <= 0:
        return at.step / settings.steps if settings.steps else 1.0
    return of_the_first(at.elapsed / (60 * settings.minutes))
