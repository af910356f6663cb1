"""What a decoder is made of: projections of each embodiment, blocks, attention."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.experts import Mixture, feed_forward


class EmbodimentProjections(nn.Module):
    """What is particular to one embodiment: its state in and its commands out."""

    def __init__(self, joints: int, state: int, config: DecoderConfig):
        super().__init__()
        width, per_token = config.width, config.commands_per_token
        state *= 1 + 2 * config.state_octaves
        past = config.past_command_ticks * joints
        self.state = nn.Sequential(nn.Linear(state, width), nn.GELU(), nn.Linear(width, width))
        self.past_commands = nn.Sequential(nn.Linear(past, width), nn.GELU(), nn.Linear(width, width))
        self.commands_in = nn.Linear(per_token * (joints + 1), width)
        self.commands_out = nn.Linear(width, per_token * joints)
        nn.init.zeros_(self.commands_out.weight)
        nn.init.zeros_(self.commands_out.bias)
        if config.waypoints_every:
            self.waypoints_in = nn.Linear(config.waypoints_every * (joints + 1), width)
            self.waypoints_out = nn.Linear(width, joints)
            self.between = nn.Linear(per_token * joints, width)
            nn.init.zeros_(self.waypoints_out.weight)
            nn.init.zeros_(self.waypoints_out.bias)


class Block(nn.Module):
    """Attention (to the other tokens, or to the context) and an MLP, both modulated by flow time.

    Args:
        experts: that the MLP is one of, see `Mixture`; 0: it is the only one.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int, cross: bool, experts: int = 0):
        super().__init__()
        self.cross = cross
        self.attend = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        hidden = mlp_ratio * width
        self.mlp: Any = Mixture(width, hidden // 2, experts) if experts else feed_forward(width, hidden)
        start = torch.zeros(6, width)
        start[2] = start[5] = 1.0 / math.sqrt(6)  # gates open: the output layer is what starts at zero
        self.own = nn.Parameter(start.flatten())

    def forward(
        self, x: torch.Tensor, shared: torch.Tensor, context: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        """(B, T, width) -> (B, T, width)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (shared + self.own).chunk(6, dim=-1)
        normed = torch.addcmul(shift1, self.norm1(x), 1 + scale1)
        x = torch.addcmul(x, gate1, self.attend(normed, context or self.attend.keys_values(normed)))
        return torch.addcmul(x, gate2, self.mlp(torch.addcmul(shift2, self.norm2(x), 1 + scale2)))


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be computed ahead."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def keys_values(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, S, width) -> keys and values, each (B, heads, S, width / heads)."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(self, x: torch.Tensor, context: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """(B, T, width) attends to the context."""
        key, value = context
        query = self._split(self.query(x))
        if self.training:  # on a CPU in bfloat16 the fused kind trains slower
            query = query / math.sqrt(key.shape[-1])
            found = (query @ key.transpose(-1, -2)).softmax(-1).to(value.dtype) @ value
        else:
            found = F.scaled_dot_product_attention(query, key, value)
        return self.out(found.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def run_blocks(
    blocks: Sequence[nn.Module],
    x: torch.Tensor,
    clean: torch.Tensor,
    modulations: tuple[torch.Tensor, torch.Tensor],
    pairs: Iterator[tuple[torch.Tensor, torch.Tensor]],
    last_norm: nn.Module,
) -> torch.Tensor:
    """Tokens through blocks, to what a last projection reads.

    Args:
        x: (B, T, width).
        clean: (B, T, 1) bool, tokens of committed commands alone.
        modulations: (B, 2, …) each, of tokens at the flow's time and of committed ones: the blocks', and the
            last layer's.
        pairs: keys and values of cross-attentions, from which these blocks take theirs.
        last_norm: before the last projection.
    """
    shared, last = (torch.where(clean, part[:, 1:], part[:, :1]) for part in modulations)
    for block in blocks:
        x = block(x, shared, next(pairs) if block.cross else None)
    scale, shift = last.chunk(2, dim=-1)
    return torch.addcmul(shift, last_norm(x), 1 + scale)
