"""How chunks are drawn: the choices that a checkpoint holds. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.errors import UserError, unknown_name

SAMPLERS: dict[str, tuple[str, ...]] = {  # objective: its samplers, the default first
    "flow": ("euler",),
    "epsilon": ("ddim", "dpm-solver"),
}
NOISE_LEVELS = 1000
# Stable Diffusion's levels (arXiv 2112.10752). The last one keeps 7 % of the data: sampling, which begins
# with pure noise, draws means towards 0 by as much; but where less is kept, errors in the predicted noise are
# blown up: with DDPM's own levels (0.6 %) nothing useful was learned (docs/lab_notes.md).
BETA_START, BETA_END = 0.00085, 0.012


@dataclass(frozen=True)
class SamplingConfig:
    """How chunks are drawn; part of the checkpoint. UserError for a sampler that the objective has not."""

    steps: int = 5  # each is one pass of the decoder
    noise_knots: int = 12  # 0: white source noise, otherwise a spline's; as in training
    noise: float = 1.0  # standard deviation of the source noise: 1 as in training, 0: no chance
    past_commands: bool = False  # whether past commands are given to the decoder; as in training
    smoothing: float = 5000.0  # strength of the smoothing of chunks; 0 for none
    describe_every: int = 0  # plans after which the readable plan is written anew in any case; 0: never
    objective: str = "flow"  # what the decoder predicts, a key of SAMPLERS; as in training
    sampler: str = "euler"  # one of the objective's
    without: tuple[str, ...] = ()  # senses that were never there in training, see `vla.policy.SENSES`

    def __post_init__(self) -> None:
        sampler_of(self.objective, self.sampler)
        if not 1 <= self.steps <= NOISE_LEVELS:
            raise UserError(f"sampling.steps: got {self.steps}, expected 1 to {NOISE_LEVELS}")
        if not 0 <= self.noise <= 1:
            raise UserError(f"sampling.noise: got {self.noise}, expected 0 to 1")


def sampler_of(objective: str, sampler: str = "") -> str:
    """The sampler by this name, or the objective's default. UserError if the objective has none such."""
    if objective not in SAMPLERS:
        raise unknown_name("objective", objective, SAMPLERS)
    if sampler and sampler not in SAMPLERS[objective]:
        raise UserError(
            f"sampler: got {sampler!r}, expected one of {', '.join(SAMPLERS[objective])} for a decoder "
            f"trained on the objective {objective!r}"
        )
    return sampler or SAMPLERS[objective][0]
