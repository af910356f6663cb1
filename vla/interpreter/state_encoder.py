"""Proprioception in the interpreter: from one picture it is hard to see whether something is held."""

from __future__ import annotations

import torch
from torch import nn


class ProprioEncoder(nn.Module):
    """What the joint state adds to the plan queries' embeddings; nothing at first, and where it is unknown.

    The opening of a gripper tells what a picture does not.
    """

    def __init__(self, state: int, hidden: int):
        super().__init__()
        last = nn.Linear(hidden, hidden)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(state, hidden), nn.GELU(), last)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """(N, D) [rad or m], NaN where unknown -> (N, hidden)."""
        known = state.isfinite().all(-1, keepdim=True)
        return self.layers(state.nan_to_num()) * known
