"""What the interpreter makes of pictures and of prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ideomotor.vla.interpreter.grounding import Pointing


@dataclass(frozen=True)
class EncodedImages:
    """The pictures of B samples, encoded once for any number of prompts."""

    tokens: torch.Tensor  # (B, T, d) what the language model reads
    keys_values: torch.Tensor  # (B, cells², 2 width) what the pointing head searches
    deep: tuple[torch.Tensor, ...] = ()  # (B, T, d) each: what deeper layers read

    def of(self, row: int) -> EncodedImages:
        """One of the samples, as a batch of its own."""
        one = slice(row, row + 1)
        return EncodedImages(self.tokens[one], self.keys_values[one], tuple(part[one] for part in self.deep))


@dataclass(frozen=True)
class InterpreterOutput:
    """What the model makes of N = B G prompts."""

    hidden: torch.Tensor  # (N, K, d) plan hidden states
    words: torch.Tensor  # (N, words) logits: this word is in the subtasks ahead
    meaning: torch.Tensor  # (N, d) the sum of those words' embeddings, each as far as it is likely
    pointing: Pointing
    logits: torch.Tensor | None  # (text positions, vocabulary), aligned with `text_labels`
    text_labels: torch.Tensor | None  # (text positions,)
    encoded: EncodedImages  # of the B samples
