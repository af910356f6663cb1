"""What of the machine a training uses: threads, memory, the number format, and moving batches to a device."""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from typing import Any

import torch

from ideomotor.control.errors import UserError


def to_device(value: Any, device: torch.device) -> Any:
    """Dataclasses of tensors, moved."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_device(getattr(value, f.name), device) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value


def chosen_precision(wanted: str) -> str:
    """Either "bf16" or "no", which is float32; UserError if something else is wanted."""
    if wanted not in ("auto", "bf16", "no"):
        raise UserError(f"precision: got {wanted!r}, expected auto, bf16 or no")
    return ("bf16" if computes_in_bf16() else "no") if wanted == "auto" else wanted


def computes_in_bf16() -> bool:
    """Whether this machine has instructions for bf16. Where torch imitates them they are 40 times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tells = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch tells it nowhere else
    return any(getattr(torch.cpu, tell, bool)() for tell in tells)


def tune_process() -> None:
    """One thread, and memory that is kept instead of given back to the system after every operation.

    Returning large buffers costs page faults: keeping them trains about 15 % faster (glibc only).
    """
    torch.set_num_threads(1)
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, at its largest
            libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        except (OSError, AttributeError):
            pass  # another C library
