"""Writes a checkpoint with its weights in float16: half the bytes, rounded to 11 significant bits.

Loading makes float32 of them again, so a policy computes as before, from rounded weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ideomotor.control.errors import UserError
from ideomotor.vla.checkpoint_info import CARD, CONFIG, EXPORTED, WEIGHTS, read_config

NOTE = "\nThe weights are stored in float16, rounded from float32 (`ideomotor policy halve`).\n"


def halve_checkpoint(old: Path, new: Path) -> None:
    """Writes the checkpoint in folder `old` to the folder `new`.

    Args:
        old: of a policy or an interpreter; stays as it is.
        new: must not exist.

    Raises:
        UserError: `old` is no checkpoint, has nothing in float32, or a weight beyond float16's range; or
            `new` is there already.
    """
    if read_config(old)["format"] == EXPORTED:
        raise UserError(f"{old / CONFIG}: an exported policy, expected a checkpoint (export has --int8)")
    if new.exists():
        raise UserError(f"out: {new} is there already, expected a new folder")
    tensors = _halved(old / WEIGHTS)
    partial = new.with_name(f"{new.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(old, partial, ignore=shutil.ignore_patterns(WEIGHTS))
    save_file(tensors, partial / WEIGHTS, metadata={"format": "pt"})
    if (partial / CARD).exists():
        card = (partial / CARD).read_text(encoding="utf-8")
        (partial / CARD).write_text(card.rstrip("\n") + "\n" + NOTE, encoding="utf-8")
    partial.rename(new)


def _halved(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: damaged or missing: {error}") from None
    if not any(tensor.dtype == torch.float32 for tensor in tensors.values()):
        raise UserError(f"{path}: no weights in float32, expected some to halve")
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float32:
            tensors[name] = half = tensor.half()
            if tensor.isfinite().all() and not half.isfinite().all():
                worst = float(tensor.abs().max())
                raise UserError(f"{path}: {name}: got {worst:g}, expected at most 65504 for float16")
    return tensors
