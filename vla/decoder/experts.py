"""Experts in the place of a block's MLP: one that every token passes and one of several that it is routed to.

Top-1 routing as of the Switch Transformer (Fedus et al., arXiv 2101.03961), with a shared expert beside it
(DeepSeekMoE, arXiv 2401.06066, section 3.2). Each has half of the hidden units of the MLP that they replace:
what a token passes is as large as before, and with E experts there is (1 + E) / 2 times as much to learn.
Nothing is dropped for want of room: what a sample gets does not depend on those beside it in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.control.errors import UserError


def feed_forward(width: int, hidden: int) -> nn.Sequential:
    """Two layers."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Mixture(nn.Module):
    """A shared expert and routed ones.

    Args:
        width: of tokens.
        hidden: units of each expert.
        experts: that are routed to.

    Attributes:
        balance: of the last batch in training, 1 where all experts get as much, up to their number where one
            gets everything (Switch Transformer, equation 4); None before.
        kept: which of the experts it was trained with are still there.
    """

    def __init__(self, width: int, hidden: int, experts: int):
        super().__init__()
        self.shared = feed_forward(width, hidden)
        self.router = nn.Linear(width, experts, bias=False)
        self.experts: Any = nn.ModuleList(feed_forward(width, hidden) for _ in range(experts))
        self.kept = tuple(range(experts))
        self.balance: torch.Tensor | None = None
        self.log: list[torch.Tensor] | None = None  # of `observed`

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, width) -> (B, T, width)."""
        tokens = x.flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):  # near ties are decided in float32
            share = F.linear(tokens.float(), self.router.weight.float()).softmax(-1)
        if len(self.kept) < share.shape[-1]:
            share = share[:, list(self.kept)]
        weight, chosen = share.max(-1)
        if self.training:
            routed = F.one_hot(chosen, len(self.experts)).to(share).mean(0)
            self.balance = len(self.experts) * (routed * share.mean(0)).sum()
        if self.log is not None:
            self.log.append(torch.tensor(self.kept)[chosen.cpu()].view(x.shape[:2]))
        passed = self._gathered if torch.onnx.is_in_onnx_export() else self._grouped
        return self.shared(x) + (weight.unsqueeze(-1) * passed(tokens, chosen)).view_as(x)

    def _grouped(self, tokens: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Each expert with all of its tokens at once; one that has none is not computed, but in training,
        where every weight wants a gradient."""
        rows = [(chosen == number).nonzero().squeeze(-1) for number in range(len(self.experts))]
        taken = [number for number, mine in enumerate(rows) if self.training or len(mine)]
        parts = torch.cat([self.experts[number](tokens[rows[number]]) for number in taken])
        return parts[torch.cat([rows[number] for number in taken]).argsort()]

    def _gathered(self, tokens: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Each token with the weights of its expert, in a form that a graph of fixed shapes can have."""
        (into, into_bias), (out, out_bias) = (
            [
                torch.stack([getattr(expert[layer], part) for expert in self.experts])
                for part in ("weight", "bias")
            ]
            for layer in (0, 2)
        )
        hidden = (into[chosen] @ tokens.unsqueeze(-1)).squeeze(-1) + into_bias[chosen]
        return (out[chosen] @ F.gelu(hidden).unsqueeze(-1)).squeeze(-1) + out_bias[chosen]

    def keep(self, kept: Sequence[int]) -> None:
        """Leaves out all experts but these, by the numbers that they were trained with. Nothing changes for
        tokens of these; others go to the next best."""
        self.experts = nn.ModuleList(self.experts[self.kept.index(number)] for number in kept)
        self.kept = tuple(kept)


@contextmanager
def observed(mixtures: Sequence[Mixture]) -> Iterator[list[list[torch.Tensor]]]:
    """Which expert each token goes to, for the time of a with-block: a list for each mixture of (B, T) int64
    of every pass."""
    logs: list[list[torch.Tensor]] = [[] for _ in mixtures]
    try:
        for mixture, log in zip(mixtures, logs, strict=True):
            mixture.log = log
        yield logs
    finally:
        for mixture in mixtures:
            mixture.log = None


def drop_experts(mixtures: Sequence[Mixture], dropped: Sequence[str]) -> None:
    """Leaves out experts called BLOCK.EXPERT, both counted from 0.

    Raises:
        UserError: there is none such, or a block would have none left.
    """
    known = [f"{block}.{number}" for block, mixture in enumerate(mixtures) for number in mixture.kept]
    for name in dropped:
        if name not in known:
            expected = f"BLOCK.EXPERT from {known[0]} to {known[-1]}" if known else "none: it has no experts"
            raise UserError(f"drop-experts: got {name!r}, expected {expected}")
    for block, mixture in enumerate(mixtures):
        left = [number for number in mixture.kept if f"{block}.{number}" not in dropped]
        if not left:
            raise UserError(f"drop-experts: got all of block {block}, expected to keep at least one")
        if len(left) < len(mixture.kept):
            mixture.keep(left)
