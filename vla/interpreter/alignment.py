"""Pictures and descriptions in one space: a picture lies near the words that describe it.

The loss is CLIP's (Radford et al. 2021, arXiv 2103.00020, section 2.3), but pictures with the same
description are no negatives of each other: several pictures here show one layout.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

WARMTH = 0.07  # temperature at the start, as CLIP's
SHARPEST = 100.0  # the temperature's inverse never goes above, as CLIP's


class Alignment(nn.Module):
    """Maps a picture's tokens and a text's last hidden state to unit vectors.

    Args:
        hidden: width of the language model.
        dim: of the common space.
    """

    def __init__(self, hidden: int, dim: int):
        super().__init__()
        self.image_head = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )
        self.text_head = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, dim))
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / WARMTH)))

    def pictures(self, tokens: torch.Tensor) -> torch.Tensor:  # (B, T, hidden) -> (B, dim)
        """Unit vectors of pictures: the mean over tokens, so that what is there adds up wherever it is."""
        return F.normalize(self.image_head(tokens).float().mean(1), dim=-1)

    def texts(self, hidden: torch.Tensor) -> torch.Tensor:  # (B, hidden) -> (B, dim)
        """Unit vectors of texts."""
        return F.normalize(self.text_head(hidden).float(), dim=-1)

    def loss(self, pictures: torch.Tensor, texts: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of finding each picture's text among all, and each text's picture.

        Args:
            pictures, texts: (B, dim) unit vectors.
            names: (B,) int64, equal where descriptions are equal.
        """
        scale = self.sharpness.exp().clamp_max(SHARPEST)
        same = (names[:, None] == names).float()
        wanted = same / same.sum(-1, keepdim=True)
        alike = scale * pictures @ texts.T
        return (F.cross_entropy(alike, wanted) + F.cross_entropy(alike.T, wanted)) / 2
