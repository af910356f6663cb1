"""Pointing: where in the image is what a plan token speaks of.

Queries made from plan tokens attend over a map of keys that joins the vision encoder's patches (what it
is, and how it relates to the rest) with a small convolutional map of four times as many cells (exactly
where). The point is the soft-argmax around the strongest cell plus a learned offset, so that it is finer
than a cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

OCTAVES = 6


@dataclass(frozen=True)
class Pointing:
    """For N queries' owners and M names each."""

    logits: torch.Tensor  # (N, M, cells) attention before the softmax
    points: torch.Tensor  # (N, M, 2) u, v in [0, 1]
    presence: torch.Tensor  # (N, M) logit: the thing exists and is in the picture


class PointingHead(nn.Module):
    """Points at `names` things at once.

    Args:
        patch_dim, query_dim: widths of patch features and plan hidden states.
        names: how many things are pointed at.
        cells: side of the fine map (image side / 4).
        patches: side of the patch grid.
        width: channels of the map.
    """

    grid: torch.Tensor  # (cells * cells, 2) u, v of the cells' middles

    def __init__(self, patch_dim: int, query_dim: int, names: int, cells: int, patches: int, width: int = 64):
        super().__init__()
        self.cells, self.patches, self.names = cells, patches, names
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.lift = nn.Linear(patch_dim, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, width, cells, cells))
        self.norm = nn.GroupNorm(8, width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 1)
        )
        self.queries = nn.ModuleList([nn.Linear(query_dim, width) for _ in range(names)])
        self.sharpness = nn.Parameter(torch.tensor(0.0))
        self.offset = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 2))
        self.exists = nn.Sequential(nn.Linear(2 * width + 1, width), nn.ReLU(), nn.Linear(width, 1))
        steps = (torch.arange(cells) + 0.5) / cells
        grid_v, grid_u = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("grid", torch.stack([grid_u, grid_v], -1).reshape(-1, 2), persistent=False)

    def map(self, pixels: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) and (B, patches, patch_dim) -> keys and values (B, cells * cells, 2 width)."""
        coarse = self.lift(patches).transpose(1, 2).unflatten(2, (self.patches, self.patches))
        coarse = F.interpolate(coarse.float(), size=(self.cells, self.cells), mode="bilinear")
        fine = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        mixed = self.mix(F.relu(self.norm(fine + coarse + self.place)))
        return mixed.flatten(2).transpose(1, 2)

    def forward(self, hidden: torch.Tensor, keys_values: torch.Tensor) -> Pointing:
        """Points.

        Args:
            hidden: (B, G, K, query_dim) plan hidden states of G prompts about each of B images; name m
                is asked with token m.
            keys_values: (B, cells * cells, 2 width) from `map`.
        """
        batch, group = hidden.shape[:2]
        with torch.autocast(hidden.device.type, enabled=False):
            keys, values = keys_values.float().chunk(2, dim=-1)
            query = torch.stack([ask(hidden[:, :, m].float()) for m, ask in enumerate(self.queries)], dim=2)
            query = query.flatten(1, 2)  # (B, G M, width)
            scale = self.sharpness.exp() / math.sqrt(keys.shape[-1])
            logits = query @ keys.transpose(1, 2) * scale  # (B, G M, cells²)
            attention = self._near_the_peak(logits).softmax(-1)
            found = torch.cat([attention @ values, query], dim=-1)
            points = attention @ self.grid + self.offset(found).tanh() / self.cells
            certainty = torch.logsumexp(logits, dim=-1, keepdim=True) - math.log(logits.shape[-1])
            presence = self.exists(torch.cat([found, certainty], dim=-1)).squeeze(-1)
        split = (batch * group, self.names)
        return Pointing(
            logits=logits.reshape(*split, -1),
            points=points.reshape(*split, 2),
            presence=presence.reshape(split),
        )

    def _near_the_peak(self, logits: torch.Tensor, radius: float = 2.5) -> torch.Tensor:
        """Logits with everything farther than `radius` cells from the strongest one masked out."""
        peak = self.grid[logits.argmax(-1)]  # (..., 2)
        distance = (self.grid - peak.unsqueeze(-2)).abs().amax(-1)
        return logits.masked_fill(distance > radius / self.cells, -1e4)


def pointing_target(points: torch.Tensor, cells: int, spread: float = 0.7) -> torch.Tensor:
    """(…, 2) in [0, 1] -> (…, cells²): a Gaussian of `spread` cells around the point, summing to 1."""
    steps = torch.arange(cells, device=points.device) + 0.5
    across = torch.exp(-0.5 * ((steps - points[..., 0:1] * cells) / spread) ** 2)
    down = torch.exp(-0.5 * ((steps - points[..., 1:2] * cells) / spread) ** 2)
    heat = (down.unsqueeze(-1) * across.unsqueeze(-2)).flatten(-2)
    return heat / heat.sum(-1, keepdim=True).clamp_min(1e-6)


def fourier(points: torch.Tensor) -> torch.Tensor:
    """(…, 2) in [0, 1] -> (…, 4 OCTAVES + 2): the coordinates and their sines and cosines per octave."""
    scales = math.pi * 2.0 ** torch.arange(OCTAVES, device=points.device)
    angles = (points.unsqueeze(-1) * scales).flatten(-2)
    return torch.cat([points, angles.sin(), angles.cos()], dim=-1)
