"""Coarse to fine: waypoints of the chunk first, then the commands between given those, in each pass.

The first half of the blocks sees the chunk in a token for each waypoint (noise, committed commands and all)
and predicts where the flow ends at the waypoints' ticks alone. The second half gets the straight way through
them, and predicts what is to be added to it. With fewer tokens in the first half a pass costs no more than
one that predicts all commands at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from ideomotor.vla.decoder.blocks import run_blocks
from ideomotor.vla.decoder.config import DecoderConfig

Pairs = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Waypoints(nn.Module):
    """The coarse half of a pass."""

    straight: torch.Tensor  # (H, W)

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.every = config.waypoints_every
        count = config.horizon // self.every
        self.token_at = nn.Parameter(0.02 * torch.randn(count, config.width))
        self.register_buffer("straight", straight_ways(count, self.every), persistent=False)

    def forward(
        self,
        projections: Any,
        actions: torch.Tensor,
        is_committed: torch.Tensor,
        summary: torch.Tensor,
        modulations: tuple[torch.Tensor, torch.Tensor],
        blocks: Sequence[nn.Module],
        pairs: Pairs,
        last_norm: nn.Module,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The waypoints that this point of the flow leads to, and the way through them.

        Args:
            projections: of the embodiment.
            actions: (B, H, A) noisy, clean where committed.
            is_committed: (B, H) 1 where it is.
            summary: (B, 1, width) of the context.
            modulations, pairs, last_norm: see `run_blocks`.
            blocks: that are the coarse half.

        Returns:
            waypoints (B, W, A), committed ones as they were given, and (B, H, A).
        """
        given = is_committed.unflatten(1, (-1, self.every))  # (B, W, every)
        seen = actions.unflatten(1, (-1, self.every))  # (B, W, every, A)
        x = projections.waypoints_in(torch.cat([seen.flatten(2), given.to(seen.dtype)], dim=-1))
        x = x + self.token_at + summary
        clean = given.amin(-1, keepdim=True) > 0
        found = projections.waypoints_out(run_blocks(blocks, x, clean, modulations, pairs, last_norm))
        found = torch.where(given[..., -1:] > 0, seen[:, :, -1].to(found.dtype), found)
        return found, torch.einsum("hw,bwa->bha", self.straight.to(found.dtype), found)


def straight_ways(count: int, every: int) -> torch.Tensor:
    """(count * every, count): each tick as a mean of the waypoints around it, which are the last ticks of
    `every` each; before the first one the way begins at 0, where a chunk does."""
    ticks = torch.arange(1, count * every + 1) / every  # waypoint w is at w + 1
    distance = (ticks[:, None] - torch.arange(1, count + 1)).abs()
    return (1 - distance).clamp_min(0.0)
