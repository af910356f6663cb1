"""What there is to a training in progress, and its files: written whole or not at all, read back exactly.

The last two states are kept, and neither is of a training that has diverged: what is not finite, or loses ten
times what it lost at first, is not saved, and goes as soon as it is known to be so.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import uninterrupted
from ideomotor.datasets.files import put_in_place

WORSE = 10.0  # times the first loss: a training that loses this much is not worth keeping
NEVER = float("inf")
PREVIOUS = ".previous.safetensors"  # suffix of the state before the last


@dataclass
class Position:
    """Where training is."""

    step: int = 0
    elapsed: float = 0.0  # [s]
    first_loss: float | None = None  # of the first step; None before it, and in files of an older version


@dataclass
class Training:
    """The parameters that learn, their running averages, the optimiser with its moments, and the position."""

    learned: dict[str, nn.Parameter]
    mean: dict[str, torch.Tensor]
    optimizer: torch.optim.Optimizer
    at: Position = field(default_factory=Position)
    bad_since: torch.Tensor = field(default_factory=lambda: torch.tensor(NEVER))  # () step of the weights

    def lost(self, loss: torch.Tensor) -> None:
        """Notes the loss of the weights that the latest step began with; to be called after that step."""
        loss = loss.detach().float()
        if self.at.first_loss is None:
            self.at.first_loss = float(loss)
        first, began_with = self.at.first_loss, float(self.at.step - 1)
        fine = loss - first <= (WORSE - 1) * abs(first)  # false for NaN; on the device, so that nothing waits
        since = self.bad_since.to(loss.device)
        self.bad_since = torch.where(fine, torch.full_like(since, NEVER), since.clamp(max=began_with))

    def finite(self) -> bool:
        """Whether all weights and averages are numbers."""
        tensors = [*(parameter.detach() for parameter in self.learned.values()), *self.mean.values()]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

    def sound(self) -> bool:
        """Whether the latest loss was not far above the first."""
        return float(self.bad_since) == NEVER


@contextmanager
def averaged(training: Training, module: nn.Module) -> Iterator[None]:
    """The module with its averaged weights, evaluating, for the time of a with-block."""
    kept = {key: parameter.detach().clone() for key, parameter in training.learned.items()}
    take_average(training)
    module.eval()
    try:
        yield
    finally:  # also when interrupted: what is saved then are the weights, not their averages
        with torch.no_grad():
            for key, parameter in training.learned.items():
                parameter.copy_(kept[key])
        module.train()


@torch.no_grad()
def take_average(training: Training) -> None:
    """Puts the averaged weights in the place of the weights."""
    for key, parameter in training.learned.items():
        parameter.copy_(training.mean[key])


def save_state(path: Path, training: Training) -> bool:
    """Writes weights, averages, moments and position, whole or not at all; the state before stays beside it.

    Returns:
        False, and nothing was written, if this is of a training that has diverged.
    """
    tensors: dict[str, torch.Tensor] = {}
    for key, parameter in training.learned.items():
        tensors[f"weight.{key}"] = parameter.detach()
        tensors[f"mean.{key}"] = training.mean[key]
        for moment, value in training.optimizer.state[parameter].items():
            tensors[f"{moment}.{key}"] = torch.as_tensor(value)
    numbers = all(bool(torch.isfinite(value).all()) for value in tensors.values())
    if not numbers or not training.sound():
        drop_states(path, min(float(training.bad_since), training.at.step))
        return False
    partial = path.with_suffix(".partial")
    place = json.dumps(dataclasses.asdict(training.at))
    try:
        save_file(
            {key: value.contiguous() for key, value in tensors.items()}, partial, metadata={"position": place}
        )
        with uninterrupted():
            if path.exists() and step_of(path) != training.at.step:
                os.replace(path, path.with_suffix(PREVIOUS))
            put_in_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return True


def last_state(path: Path) -> Path | None:
    """The newest state that `save_state` has written there; None if there is none."""
    both = (path, path.with_suffix(PREVIOUS))  # only the older one, if it was killed between two renames
    return next((state for state in both if state.is_file()), None)


def drop_states(path: Path, since: float) -> None:
    """Removes the states that were saved at this step or later, before it was known that they are bad."""
    for state in (path, path.with_suffix(PREVIOUS)):
        if step_of(state) >= since:
            state.unlink(missing_ok=True)


def step_of(path: Path) -> int:
    """The step that a state is of, -1 if it cannot be read."""
    try:
        with safe_open(path, "pt") as opened:
            return int(json.loads(opened.metadata()["position"])["step"])
    except (SafetensorError, KeyError, TypeError, ValueError, OSError):
        return -1


def load_state(path: Path, training: Training) -> None:
    """The inverse of `save_state`, in place. UserError when the state is not of this model."""
    try:
        with safe_open(path, "pt") as opened:
            place = json.loads(opened.metadata()["position"])
        tensors = load_file(path)
        with torch.no_grad():
            for key, parameter in training.learned.items():
                if tensors[f"weight.{key}"].shape != parameter.shape:
                    raise KeyError(f"shape of {key}")
                parameter.copy_(tensors[f"weight.{key}"])
                training.mean[key].copy_(tensors[f"mean.{key}"])
                if f"step.{key}" in tensors:  # it has had a gradient
                    moments = ("step", "exp_avg", "exp_avg_sq")
                    training.optimizer.state[parameter] = {
                        moment: tensors[f"{moment}.{key}"] for moment in moments
                    }
    except (SafetensorError, KeyError, RuntimeError, OSError) as error:
        raise UserError(
            f"{path}: not a training state of this model ({error}); train without --resume"
        ) from None
    training.at = Position(int(place["step"]), float(place["elapsed"]), place.get("first_loss"))
    if not training.finite():
        raise UserError(f"{path}: its weights are not finite; remove it, then --resume takes an earlier one")
