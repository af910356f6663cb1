"""One step of training: the loss of a batch, the optimiser, averaged weights, the learning rate's course."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ideomotor.control.interrupts import uninterrupted
from ideomotor.train.device import chosen_precision
from ideomotor.train.parallel import data_parallel, own_device
from ideomotor.train.state import Training, load_state


@dataclass(frozen=True)
class Settings:
    """How a stage is optimised. Without steps and minutes it is left out."""

    steps: int = 20000
    minutes: float = 0.0  # if above 0, the schedule follows the clock and ends here instead of at `steps`
    learning_rate: float = 1e-3
    warmup: int = 200  # [steps]
    floor: float = 0.03  # last learning rate, as a share of the first
    weight_decay: float = 0.02
    clip: float = 1.0  # norm of the gradient
    average: float = 0.998  # decay of the averaged weights
    precision: str = "auto"  # "bf16", "no" (float32), or "auto": bf16 where the processor has it
    seed: int = 0
    log_every: int = 50  # [steps]
    tensorboard: bool = False  # whether metrics are also written as TensorBoard's event files
    trackio: bool = False  # whether they are also kept in Trackio's local database
    save_every_s: float = 300.0
    examine_every_s: float = 600.0

    @property
    def left_out(self) -> bool:
        """Whether there is nothing to do."""
        return self.steps <= 0 and self.minutes <= 0


class Learner:
    """The module under training, its optimiser and its averaged weights, step by step."""

    def __init__(self, module: nn.Module, settings: Settings, state: Path | None):
        learned = {key: p for key, p in module.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(_groups(learned, settings), lr=0.0, betas=(0.9, 0.95), fused=True)
        mean = {key: p.detach().clone() for key, p in learned.items()}
        self.training = Training(learned, mean, optimizer)
        if state:
            load_state(state, self.training)
        self._settings, self._wrapped = settings, data_parallel(module)
        self._bf16 = chosen_precision(settings.precision) == "bf16"
        module.train()

    def step(self, batch: Any, rate: float) -> dict[str, torch.Tensor]:
        """Learns from a batch at a learning rate; returns the losses before it."""
        training, settings, at = self.training, self._settings, self.training.at
        for group in training.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed((settings.seed * 1_000_003 + at.step) * 64)
        with torch.autocast(own_device().type, torch.bfloat16, enabled=self._bf16):
            losses = {key: loss.float() for key, loss in self._wrapped(batch).items()}
        losses["loss"].backward()
        if settings.clip:
            nn.utils.clip_grad_norm_(list(training.learned.values()), settings.clip)
        with uninterrupted():  # what is saved is the state between two steps
            training.optimizer.step()
            training.optimizer.zero_grad(set_to_none=True)
            decay = min(settings.average, (1 + at.step) / (10 + at.step))
            with torch.no_grad():
                for key, parameter in training.learned.items():
                    training.mean[key].lerp_(parameter, 1 - decay)
            at.step += 1
        training.lost(losses["loss"])
        return losses


def learning_rate(settings: Settings, step: int, share: float) -> float:
    """Linear warm-up, then half a cosine down to the floor over the whole of training (share 0 to 1)."""
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return (
        settings.learning_rate
        * min(1.0, (step + 1) / settings.warmup)
        * (settings.floor + (1 - settings.floor) * wave)
    )


def _groups(learned: dict[str, nn.Parameter], settings: Settings) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not."""
    matrices = [p for p in learned.values() if p.ndim >= 2]
    vectors = [p for p in learned.values() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
