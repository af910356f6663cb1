"""What there is to a training in progress, and its file: written whole or not at all, read back exactly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.datasets.files import put_in_place


@dataclass
class Position:
    """Where training is."""

    step: int = 0
    elapsed: float = 0.0  # [s]


@dataclass
class Training:
    """The parameters that learn, their running averages, the optimiser with its moments, and the position."""

    learned: dict[str, nn.Parameter]
    mean: dict[str, torch.Tensor]
    optimizer: torch.optim.Optimizer
    at: Position = field(default_factory=Position)


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


def save_state(path: Path, training: Training) -> None:
    """Writes weights, averages, moments and position, whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}
    for key, parameter in training.learned.items():
        tensors[f"weight.{key}"] = parameter.detach()
        tensors[f"mean.{key}"] = training.mean[key]
        for moment, value in training.optimizer.state[parameter].items():
            tensors[f"{moment}.{key}"] = torch.as_tensor(value)
    partial = path.with_suffix(".partial")
    place = json.dumps(dataclasses.asdict(training.at))
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, partial, metadata={"position": place}
    )
    put_in_place(partial, path)


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
    training.at = Position(int(place["step"]), float(place["elapsed"]))
