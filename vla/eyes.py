"""The decoder's own light vision: a few convolutions per camera, for reflexes at the decoder's full rate."""

from __future__ import annotations

import torch
from torch import nn


class Eye(nn.Module):
    """One camera's picture as tokens: a coarse grid, and one token of where 64 features are strongest.

    The grid tells what is where; the soft-argmax token (spatial softmax, Levine et al., JMLR 2016,
    section 5.1) tells positions finer than a cell, which is what closing a gripper on something needs.
    """

    def __init__(self, size: int, width: int, points: int = 64):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 48, 8, stride=4, padding=2),  # one step to a quarter: large maps cost most
            nn.ReLU(),
            nn.Conv2d(48, points, 3, padding=1),
        )
        self.grid = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(points, 96, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(96, width, 3, stride=2, padding=1),
        )
        cells = size // 16
        self.grid_at = nn.Parameter(0.02 * torch.randn(cells * cells, width))
        self.strongest = nn.Linear(2 * points, width)
        self.missing = nn.Parameter(0.02 * torch.randn(cells * cells + 1, width))
        steps = torch.linspace(-1, 1, size // 4)
        self.register_buffer("steps", steps, persistent=False)

    def forward(self, pixels: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1], (B,) -> (B, (H / 16)² + 1, width)."""
        features = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        grid = self.grid(features).flatten(2).transpose(1, 2) + self.grid_at
        attention = features.float().flatten(2).softmax(-1).view(features.shape)
        across = attention.sum(2) @ self.steps  # (B, points)
        down = attention.sum(3) @ self.steps
        strongest = self.strongest(torch.cat([across, down], dim=-1)).unsqueeze(1)
        tokens = torch.cat([grid.to(strongest.dtype), strongest], dim=1)
        return torch.where(there.view(-1, 1, 1) > 0, tokens, self.missing.to(tokens.dtype))
