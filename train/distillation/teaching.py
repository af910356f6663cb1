"""A loaded teacher, as the stages of a training are given it."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.train.distillation.chunks import ChunkTeacher
from ideomotor.train.distillation.settings import DistillSettings
from ideomotor.vla.networks import PolicyNetworks


@dataclass(frozen=True, eq=False)
class Teaching:
    """Who teaches, and how much that counts."""

    networks: PolicyNetworks
    settings: DistillSettings

    def chunks(self, embodiment: str, cameras: tuple[str, ...]) -> ChunkTeacher:
        """The decoder's teacher, of a student that sees these cameras in this order."""
        both = self.networks.decoder, self.networks.interpreter.plan_head
        return ChunkTeacher(*both, embodiment, cameras, self.settings)
