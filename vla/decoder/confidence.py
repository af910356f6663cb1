"""How sure the policy is of a chunk: how far samples at the same observation agree, as a probability.

A decoder that knows what to do comes to nearly the same chunk from any noise; where it does not, its samples
scatter. Their agreement orders chunks by how sure they are. What an agreement is worth is a map, not
descending, from agreement to the share of episodes solved, fitted on episodes of their own
(eval/stats/confidence.py) and kept in the checkpoint; without it, a confidence is the agreement itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.errors import UserError


@dataclass(frozen=True)
class ConfidenceConfig:
    """How confidence is found; part of the checkpoint. UserError for a map that is none."""

    samples: int = 4  # chunks that are compared, the executed one among them
    agreements: tuple[float, ...] = ()  # ascending, in [0, 1]; empty: not calibrated
    chances: tuple[float, ...] = ()  # of solving the task at each of them, not descending

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise UserError(f"confidence.samples: got {self.samples}, expected at least 2")
        agreements, chances = np.array(self.agreements), np.array(self.chances)
        if (
            len(agreements) != len(chances)
            or (np.diff(agreements) <= 0).any()
            or (np.diff(chances) < 0).any()
        ):
            raise UserError(
                "confidence: expected as many chances, not descending, as agreements, ascending; got "
                f"{list(self.chances)} for {list(self.agreements)}"
            )

    def of(self, agreement: float) -> float:
        """The confidence that goes with an agreement, linear between what is known."""
        return float(np.interp(agreement, self.agreements, self.chances)) if self.agreements else agreement


def agreement(samples: np.ndarray) -> float:
    """1 / (1 + spread) of chunks at one observation, in (0, 1]; 1 where they are the same.

    Args:
        samples: (S, n, A) of the ticks that are not committed, normalised. The spread is the root mean square
            over ticks and joints of their standard deviation.
    """
    return 1.0 / (1.0 + float(np.sqrt(samples.var(0, ddof=1).mean())))
