"""One episode of a suite, as plain data: what its result is keyed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ideomotor.control.chunk_handover import DEFAULT

Phrasing = Literal["train", "heldout", "swapped", "named", "free", "plain"]


@dataclass(frozen=True)
class EpisodeSpec:
    """One episode of a suite; everything that happens in it follows from these."""

    task: str
    seed: int
    phrasing: Phrasing
    perturbation: str = "light"  # randomisation level of the world
    delay_ms: int = 0  # simulated inference time [ms]
    handover: str = DEFAULT  # a key of `control.chunk_handover.HANDOVERS`
    without: str = ""  # senses that the policy is run without, joined by "+", see `vla.policy.SENSES`
    axis: str = ""  # along which the episode differs from training, a key of `sim.generalization.axes.AXES`
    strength: int = 0  # by how much; 0 without an axis


def spec_of(episode: Mapping[str, Any]) -> EpisodeSpec:
    """What an episode of an `eval` JSON object is keyed by; fields that came later have their defaults."""
    return EpisodeSpec(
        **{field.name: episode[field.name] for field in fields(EpisodeSpec) if field.name in episode}
    )
