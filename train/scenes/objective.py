"""What the interpreter is trained for: write plans and answers, point at what they name, know what is not
there, and tell descriptions of a picture from those of others.

The readable plan is written with the instruction in sight, so it does not force the latent plan to carry
anything. That is done by the words of the subtasks ahead, which the last plan token alone must name: the
same words however the instruction was phrased.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.train.parallel import gathered, global_count
from ideomotor.vla.interpreter.grounding import pointing_target
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.language import Prompts
from ideomotor.vla.interpreter.output import InterpreterOutput


@dataclass(frozen=True)
class SceneBatch:
    """G instructions and questions about each of B pictures, N = B G."""

    pixels: torch.Tensor  # (B, cameras, 3, H, W) in [-1, 1]
    prompts: Prompts  # N rows
    points: torch.Tensor  # (N, M, 2) u, v in [0, 1]
    presence: torch.Tensor  # (N, M) 1 where the thing exists and is in the picture
    known: torch.Tensor  # (N,) 0 where the picture is missing: nothing can be pointed at
    words: torch.Tensor  # (N, words) 1 for the words of the subtasks ahead
    is_instruction: torch.Tensor  # (N,) 1 for instructions: only they have subtasks ahead
    short: torch.Tensor  # (N,) bool: the text is an answer of a few words
    described: torch.Tensor | None  # (B, L) token ids of the pictures' descriptions, to be aligned
    described_ends: torch.Tensor | None  # (B,) where they end
    described_names: torch.Tensor  # (B,) int64, equal where descriptions are equal


@dataclass(frozen=True)
class SceneWeights:
    """Shares of the losses."""

    text: float = 0.5  # long texts: plans and descriptions
    answer: float = 0.5  # short ones
    align: float = 0.1
    heat: float = 1.0
    pixel: float = 0.2
    presence: float = 0.5
    words: float = 0.2


class SceneObjective(nn.Module):
    """Wraps the interpreter so that data parallelism sees one forward call that gives the losses."""

    def __init__(self, interpreter: Interpreter, weights: SceneWeights):
        super().__init__()
        self.interpreter = interpreter
        self.weights = weights

    def forward(self, batch: SceneBatch) -> dict[str, torch.Tensor]:
        """`loss` and its parts; `pixel_error` is the median distance in pixels over what is present."""
        return self.losses(batch, self.interpreter(batch.pixels, batch.prompts))

    def losses(self, batch: SceneBatch, reading: InterpreterOutput) -> dict[str, torch.Tensor]:
        """As `forward`, of what the interpreter has made of the batch."""
        pointing, size = reading.pointing, self.interpreter.config.image_size
        known = batch.known.unsqueeze(-1)
        there = batch.presence * known  # (N, M)
        count = global_count(there.sum())
        target = pointing_target(batch.points, self.interpreter.point.cells)
        heat = -(target * pointing.logits.log_softmax(-1)).sum(-1)
        off = (pointing.points - batch.points) * size  # [pixels]
        near = F.smooth_l1_loss(pointing.points * size, batch.points * size, reduction="none").sum(-1)
        words = F.binary_cross_entropy_with_logits(reading.words, batch.words, reduction="none").sum(-1)
        presence = F.binary_cross_entropy_with_logits(pointing.presence, batch.presence, reduction="none")
        parts = {
            "heat": (heat * there).sum() / count,
            "pixel": (near.clamp_max(20.0) * there).sum() / count,
            "presence": (presence * known).sum() / global_count(known.expand_as(presence).sum()),
            "words": (words * batch.is_instruction).sum() / global_count(batch.is_instruction.sum()),
            "text": heat.sum() * 0.0,
            "answer": heat.sum() * 0.0,
            "align": self._alignment(batch, reading),
        }
        if reading.logits is not None and reading.text_labels is not None:
            spelled = F.cross_entropy(reading.logits.float(), reading.text_labels, reduction="none")
            rows = (batch.prompts.labels[:, 1:] >= 0).nonzero()[:, 0]  # whose each token is
            short = batch.short[rows].float()
            parts["text"] = (spelled * (1 - short)).sum() / global_count((1 - short).sum())
            parts["answer"] = (spelled * short).sum() / global_count(short.sum())
        loss = sum((getattr(self.weights, name) * part for name, part in parts.items()), heat.sum() * 0.0)
        one = self.interpreter
        if one.config.pretrained or one.layer != one.depth:  # parallelism wants gradients of all that learns
            learned = (parameter for parameter in one.parameters() if parameter.requires_grad)
            loss = loss + 0.0 * sum(parameter.flatten()[0] for parameter in learned)
        error = off.detach().norm(dim=-1)[there > 0]
        if error.numel():
            parts["pixel_error"] = error.median()
            parts["far"] = (error > 3.0).float().mean()
        return {"loss": torch.as_tensor(loss), **{name: part.detach() for name, part in parts.items()}}

    def _alignment(self, batch: SceneBatch, reading: InterpreterOutput) -> torch.Tensor:
        """The contrastive loss of the pictures and their descriptions; 0 where there are none."""
        align = self.interpreter.align
        if align is None:
            return reading.hidden.sum() * 0.0
        if batch.described is None or batch.described_ends is None:  # every weight wants its gradient
            return torch.stack([parameter.sum() for parameter in align.parameters()]).sum() * 0.0
        pictures = self.interpreter.embed_pictures(reading.encoded)
        texts = self.interpreter.embed_texts(batch.described, batch.described_ends)
        return align.loss(gathered(pictures), gathered(texts), gathered(batch.described_names))
