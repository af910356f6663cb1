"""What an episode asks of its policy's networks, whatever runs them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ideomotor.control.timing import Timing
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.decoder.confidence import ConfidenceConfig
from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.processor import Processor


@dataclass(frozen=True)
class PlanDraft:
    """What the interpreter makes of one observation."""

    plan: LatentPlan  # without its text
    words: frozenset[int]  # ids of the words that the subtasks ahead are written in
    write: Callable[[], str]  # the readable plan; takes several times as long as all the rest


@dataclass(frozen=True)
class ChunkRequest:
    """What one chunk is made from."""

    observation: Observation
    plan: LatentPlan  # without tokens: there is none
    committed_prefix: np.ndarray  # (d, A) float32 [rad or m]
    past_commands: np.ndarray  # (P, A) [rad or m] up to the tick before
    known: bool  # whether they led to where the robot is
    origin: np.ndarray  # (A,) what the chunk is relative to
    noise: np.ndarray  # (1, H, A) that sampling begins with
    other_noise: np.ndarray | None = None  # (S - 1, H, A) of chunks to compare with; None: no confidence


@dataclass(frozen=True)
class SampledChunk:
    """One chunk as the decoder means it."""

    actions: np.ndarray  # (H, A) float64 [rad or m], neither smoothed nor with the prefix in its exact values
    confidence: float  # NaN where nobody asked


class Networks(Protocol):
    """Both networks of a policy, in torch (`vla.networks`) or exported (`vla.exported.networks`).

    Stateless: any number of episodes can be asked about.
    """

    @property
    def processor(self) -> Processor: ...

    @property
    def timing(self) -> Timing: ...

    @property
    def sampling(self) -> SamplingConfig: ...

    @property
    def confidence(self) -> ConfidenceConfig: ...

    @property
    def tells_confidence(self) -> bool:
        """Whether chunks are compared with others that are not executed, which takes time."""
        ...

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those that either network sees, the decoder's first."""
        ...

    @property
    def decoder_config(self) -> DecoderConfig: ...

    def generator(self, seed: int) -> Any:
        """What `noise` draws from."""
        ...

    def noise(self, count: int, generator: Any) -> np.ndarray:
        """(count, H, A) float32 that sampling begins with."""
        ...

    def plans(self, observations: Sequence[Observation], without: frozenset[str]) -> list[PlanDraft]:
        """What to do in several episodes, of which each is asked about an admitted observation."""
        ...

    def chunks(self, requests: Sequence[ChunkRequest], without: frozenset[str]) -> list[SampledChunk]:
        """The next chunks of several episodes, with prefixes of one length."""
        ...
