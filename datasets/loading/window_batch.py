"""A batch of training windows: what is seen now, what its plan was made from, and the commands around now."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class FrameBatch:
    """B recorded frames, in arrays of their own. NaN and empty texts where a dataset does not say."""

    index: np.ndarray  # (B,) int64, rows through all datasets
    images: dict[str, np.ndarray]  # {camera: (B, H, W, 3) uint8 RGB}; empty where none were asked for
    state: np.ndarray  # (B, D) float32 [rad or m]
    plan_text: list[str]  # B, the readable plan
    referred: np.ndarray  # (B, 6) float32 [m], target xyz and place xyz
    keypoints: np.ndarray  # (B, 6) float32, (u, v, visible) of target and of place in the first camera
    progress: np.ndarray  # (B,) float32 in [0, 1]


@dataclass(frozen=True)
class WindowBatch:
    """B windows of H commands at the control rate."""

    now: FrameBatch  # the window's first frame
    at_plan: FrameBatch  # the frame that its plan is made from: the same one, or an older one
    plan_age: np.ndarray  # (B,) float32 [s]
    instruction: list[str]  # B
    subtask: list[str]  # B
    past_commands: np.ndarray  # (B, P, A) float32, before this tick; at rest, before the episode's start
    prefix_length: np.ndarray  # (B,) int64, ticks at the beginning of `actions` that may be committed already
    actions: np.ndarray  # (B, H, A) float32, from this tick on; the last one repeats after the episode's end
    action_mask: np.ndarray  # (B, H) bool, false after the episode's end

    def __len__(self) -> int:
        return len(self.actions)


def merged(size: int, parts: Sequence[tuple[np.ndarray, Any]]) -> Any:
    """One value from parts of it, in the order of the batch.

    Args:
        size: B.
        parts: (which rows these are, as (B,) bool; arrays, lists, dicts of them, or batches).
    """
    example: Any = parts[0][1]
    if len(parts) == 1:
        return example
    if isinstance(example, FrameBatch | WindowBatch):
        names = [field.name for field in dataclasses.fields(example)]
        return type(example)(**{n: merged(size, [(at, getattr(p, n)) for at, p in parts]) for n in names})
    if isinstance(example, dict):
        return {name: merged(size, [(at, part[name]) for at, part in parts]) for name in example}
    whole = np.empty((size, *np.shape(example)[1:]), object if isinstance(example, list) else example.dtype)
    for at, part in parts:
        whole[at] = part
    return whole.tolist() if isinstance(example, list) else whole
