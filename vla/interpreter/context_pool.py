"""Any number of pictures in a fixed number of tokens, which the language model reads instead of all.

A language model's attention grows with the square of what it reads. Learned queries attend once to all
pictures' tokens, which grows with their number (the resampler of Flamingo, Alayrac et al., arXiv 2204.14198,
section 3.1.1; Perceiver, Jaegle et al., arXiv 2103.03206), and what the language model reads stays as long
as it was.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

HEADS = 4


class ContextPool(nn.Module):
    """Cross-attention of learned queries to the tokens of several pictures.

    Args:
        width: of tokens.
        pictures: that there may be; each has an embedding of its own, which tells whose it is.
        queries: tokens that come out.
    """

    def __init__(self, width: int, pictures: int, queries: int):
        super().__init__()
        self.queries = nn.Parameter(0.02 * torch.randn(queries, width))
        self.picture_at = nn.Parameter(0.02 * torch.randn(pictures, 1, width))
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Pools for N prompts about B samples.

        Args:
            tokens: (B, pictures * side², width).
            shown: (N, pictures) bool, N a multiple of B: which pictures each prompt has. Where it has none,
                what comes out says nothing.

        Returns:
            (N, queries, width)
        """
        pictures, group = shown.shape[1], len(shown) // len(tokens)
        seen = tokens.unflatten(1, (pictures, -1)) + self.picture_at
        pairs = self.key_value(self.norm(seen.flatten(1, 2))).repeat_interleave(group, 0)
        key, value = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in pairs.chunk(2, dim=-1))
        mask = (shown | ~shown.any(1, keepdim=True)).repeat_interleave(key.shape[2] // pictures, 1)
        query = self.query(self.queries).unflatten(1, (HEADS, -1)).transpose(0, 1)
        query = query.to(key.dtype).expand(len(shown), -1, -1, -1)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        pooled = self.queries + self.out(found.transpose(1, 2).flatten(2))
        return pooled + self.mlp(pooled)
