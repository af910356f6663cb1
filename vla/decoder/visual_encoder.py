"""The decoder's own vision: pictures as tokens, at the decoder's full rate, by one of two encoders.

`GridEncoder` (vision="grid") is a few convolutions: the layers behind it do most of the work.

`KeypointEncoder` (vision="keypoints") has most of the decoder's parameters and operations: three scales of
plain 3x3 convolutions with few channels, conditioned on plan and state (FiLM, Perez et al., AAAI 2018). What
it gives the decoder is small, so that the layers behind it are cheap: where features are strongest (spatial
softmax, Levine et al., JMLR 2016, section 5.1), the coarsest map as it is, and what is at the places that the
plan asks for.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

WIDTH = 128  # channels at a sixteenth of the picture's size, of which the other layers' follow
KEY = 32  # width of the keys that the plan's queries are compared with


class GridEncoder(nn.Module):
    """One camera's picture as tokens: a coarse grid, and one token of where features are strongest.

    The grid tells what is where; the soft-argmax token (spatial softmax, Levine et al., JMLR 2016,
    section 5.1) tells positions finer than a cell, which is what closing a gripper on something needs.
    """

    def __init__(self, size: int, width: int, channels: int = WIDTH):
        super().__init__()
        stem, middle, points = 3 * channels // 8, 3 * channels // 4, channels // 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 8, stride=4, padding=2),  # one step to a quarter: large maps cost most
            nn.ReLU(),
            nn.Conv2d(stem, points, 3, padding=1),
        )
        self.grid = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(points, middle, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(middle, width, 3, stride=2, padding=1),
        )
        cells = size // 16
        self.grid_at = nn.Parameter(0.02 * torch.randn(cells * cells, width))
        self.strongest = nn.Linear(2 * points, width)
        self.missing = nn.Parameter(0.02 * torch.randn(cells * cells + 1, width))
        steps = torch.linspace(-1, 1, size // 4)
        self.register_buffer("steps", steps, persistent=False)

    def forward(
        self, pixels: torch.Tensor, there: torch.Tensor, condition: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, None]:
        """(B, 3, H, W) in [-1, 1], (B,) -> (B, (H / 16)² + 1, width), and no summary; asks for nothing."""
        features = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        grid = self.grid(features).flatten(2).transpose(1, 2) + self.grid_at
        attention = features.float().flatten(2).softmax(-1).view(features.shape)
        across = attention.sum(2) @ self.steps  # (B, points)
        down = attention.sum(3) @ self.steps
        strongest = self.strongest(torch.cat([across, down], dim=-1)).unsqueeze(1)
        tokens = torch.cat([grid.to(strongest.dtype), strongest], dim=1)
        return torch.where(there.view(-1, 1, 1) > 0, tokens, self.missing.to(tokens.dtype)), None

    def absent(self, batch: int) -> tuple[torch.Tensor, None]:
        """What `forward` gives where there is no picture."""
        return self.missing.expand(batch, -1, -1), None


class KeypointEncoder(nn.Module):
    """One camera's picture as `queries` + 2 tokens, and their sum in one vector.

    Args:
        size: height and width of the picture, a multiple of 16 [pixels].
        width: of tokens and of the condition.
        queries: places that the condition asks for.
        channels: at a sixteenth of the picture's size; finer maps have 3/4 and 3/8 of them.
    """

    fine_steps: torch.Tensor
    coarse_steps: torch.Tensor

    def __init__(self, size: int, width: int, queries: int, channels: int = WIDTH):
        super().__init__()
        stem, middle, flat = 3 * channels // 8, 3 * channels // 4, channels // 4
        self.queries, self.channels = queries, (middle, channels)
        self.stem = nn.Conv2d(3, stem, 8, stride=4, padding=2)  # one step to a quarter: large maps cost most
        self.middle = nn.Conv2d(stem, middle, 3, stride=2, padding=1)
        self.middle_residual = _Residual(middle)
        self.coarse = nn.Conv2d(middle, channels, 3, stride=2, padding=1)
        self.coarse_residual = _Residual(channels)
        self.film = nn.Linear(width, 2 * (middle + channels))
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        fine, cells = size // 8, size // 16
        self.flat = nn.Conv2d(channels, flat, 1)
        self.flat_out = nn.Linear(flat * cells * cells, width)
        self.strongest_out = nn.Linear(2 * (middle + channels), width)
        self.ask = nn.Linear(width, queries * KEY)
        self.key = nn.Conv2d(middle, KEY, 1)
        self.key_at = nn.Parameter(0.02 * torch.randn(fine * fine, KEY))
        self.found_out = nn.Linear(middle + 2, width)
        self.found_at = nn.Parameter(0.02 * torch.randn(queries, width))
        self.missing = nn.Parameter(0.02 * torch.randn(queries + 2, width))
        self.register_buffer("fine_steps", torch.linspace(-1, 1, fine), persistent=False)
        self.register_buffer("coarse_steps", torch.linspace(-1, 1, cells), persistent=False)

    def forward(
        self, pixels: torch.Tensor, there: torch.Tensor, condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encodes one camera.

        Args:
            pixels: (B, 3, H, W) in [-1, 1].
            there: (B,) 1 where there is a picture.
            condition: (B, width) plan and state in one vector.

        Returns:
            tokens (B, queries + 2, width) and a summary (B, width).
        """
        film = self.film(condition)[:, :, None, None]
        middle, coarse = self.channels
        scale1, shift1, scale2, shift2 = film.split([middle, middle, coarse, coarse], dim=1)
        quarter = F.relu(self.stem(pixels.contiguous(memory_format=torch.channels_last)))
        eighth = self.middle_residual(torch.addcmul(shift1, self.middle(quarter), 1 + scale1))
        sixteenth = self.coarse_residual(torch.addcmul(shift2, self.coarse(F.relu(eighth)), 1 + scale2))
        strongest = torch.cat(
            [_strongest(eighth, self.fine_steps), _strongest(sixteenth, self.coarse_steps)], dim=1
        )
        strongest = self.strongest_out(strongest)
        flat = self.flat_out(F.relu(self.flat(F.relu(sixteenth))).flatten(1))
        tokens = torch.stack([strongest, flat.to(strongest.dtype)], dim=1)
        found = self._found(F.relu(eighth), condition).to(tokens.dtype)
        tokens = torch.cat([found, tokens], dim=1)
        tokens = torch.where(there.view(-1, 1, 1) > 0, tokens, self.missing.to(tokens.dtype))
        return tokens, tokens.sum(1)

    def absent(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What `forward` gives where there is no picture."""
        tokens = self.missing.expand(batch, -1, -1)
        return tokens, tokens.sum(1)

    def _found(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """(B, queries, width): where each query is answered, and what is there."""
        query = self.ask(condition).unflatten(1, (self.queries, KEY))
        key = self.key(features).flatten(2).transpose(1, 2) + self.key_at
        share = (query @ key.transpose(1, 2).to(query.dtype)).float().mul(1 / math.sqrt(KEY)).softmax(-1)
        what = share.to(features.dtype) @ features.flatten(2).transpose(1, 2)
        grid = share.unflatten(2, features.shape[2:])
        where = torch.stack([grid.sum(2) @ self.fine_steps, grid.sum(3) @ self.fine_steps], dim=-1)
        return self.found_out(torch.cat([what.float(), where], dim=-1)) + self.found_at


class AbsentEncoder(nn.Module):
    """What is left of an encoder whose camera is never there: the tokens that stand for it."""

    def __init__(self, encoder: GridEncoder | KeypointEncoder):
        super().__init__()
        self.missing, self.summed = encoder.missing, isinstance(encoder, KeypointEncoder)

    def absent(self, batch: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As the encoder's."""
        tokens = self.missing.expand(batch, -1, -1)
        return tokens, tokens.sum(1) if self.summed else None


class _Residual(nn.Module):
    """Two convolutions beside what goes in."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> the same."""
        return x + self.second(F.relu(self.first(F.relu(x))))


def _strongest(features: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (B, 2 C): the mean place of each channel's softmax, across and down, in [-1, 1]."""
    share = features.float().flatten(2).softmax(-1).view(features.shape)
    return torch.cat([share.sum(2) @ steps, share.sum(3) @ steps], dim=-1)
