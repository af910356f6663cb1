"""What the decoder is given: plan tokens made from an interpreter's hidden states, points and words."""

from __future__ import annotations

import torch
from torch import nn

from ideomotor.vla.interpreter.grounding import OCTAVES, fourier


class PlanHead(nn.Module):
    """Latent plan tokens and progress from plan hidden states and points.

    Small and apart, because it is trained with the decoder while the interpreter behind it is frozen.
    """

    def __init__(self, hidden: int, plan_dim: int, names: int):
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, plan_dim))
        self.mean = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, plan_dim))
        features = 4 * OCTAVES + 3
        self.write = nn.ModuleList(
            nn.Sequential(nn.Linear(features, plan_dim), nn.GELU(), nn.Linear(plan_dim, plan_dim))
            for _ in range(names)
        )
        self.progress = nn.Sequential(nn.Linear(hidden, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(
        self,
        hidden: torch.Tensor,
        meaning: torch.Tensor,
        points: torch.Tensor,
        presence: torch.Tensor,
        has_hidden: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is given: points in the first tokens, words in the next.

        Args:
            hidden, meaning: (N, K, hidden) and (N, hidden), of an `InterpreterOutput`.
            points, presence: (N, M, 2) and (N, M) in [0, 1].
            has_hidden: (N,) 0 where hidden states are withheld, and points and words must do; None: nowhere.

        Returns:
            tokens (N, K, plan_dim) and the progress' logit (N,).
        """
        tokens = self.project(hidden)
        if has_hidden is not None:
            tokens = tokens * has_hidden[:, None, None]
        features = torch.cat([fourier(points), torch.ones_like(presence).unsqueeze(-1)], dim=-1)
        features = features * presence.unsqueeze(-1)
        parts = [write(features[:, m]) for m, write in enumerate(self.write)]
        written = torch.stack([*parts, self.mean(meaning)], dim=1)
        rest = torch.zeros_like(tokens[:, written.shape[1] :])
        tokens = tokens + torch.cat([written.to(tokens.dtype), rest], dim=1)
        return tokens, self.progress(hidden[:, -1]).squeeze(-1)
