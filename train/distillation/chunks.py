"""A decoder's teacher: what another decoder makes of the same windows.

Two ways, and what is known of them:

- its prediction at the same point of the flow (`steps` of 0): as guided diffusion is distilled (Meng et al.,
  arXiv 2210.03142, section 3.1). Ours predict where the flow ends, from which its velocity follows: to match
  one is to match the other, weighted by flow time. What the data's loss estimates from one demonstration is
  here the teacher's mean of all of them, so that less of what is learned is noise.
- where N of its steps end that begin with the same noise (`steps` of N): what one pass then has to give is a
  function of the noise, not a mean over demonstrations (rectified flow's distillation, Liu et al., arXiv
  2209.03003, section 2.2; of robots' policies, Consistency Policy, arXiv 2405.07503, and One-Step Diffusion
  Policy, arXiv 2410.21257). Such a draw learns from the teacher alone: demonstrations would draw the same
  noise to their mean.

A teacher sees what the student sees, lost senses and blur alike (Beyer et al., arXiv 2106.05237: patient and
consistent), but its own interpreter has read the frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from ideomotor.train.distillation.settings import DistillSettings
from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderInputs
from ideomotor.vla.decoder.sampler import EulerSteps
from ideomotor.vla.decoder.sampling import NOISE_LEVELS
from ideomotor.vla.interpreter.plan_head import PlanHead


@dataclass(frozen=True)
class Taught:
    """What a teacher is asked with: its context for every draw, and its progress."""

    context: Context
    progress: torch.Tensor  # (B,) in [0, 1]


class ChunkTeacher(nn.Module):
    """A frozen decoder with its plan head.

    Args:
        decoder, plan_head: the teacher's; neither learns.
        embodiment: whose projections are used.
        cameras: of the student, in the order of its pictures.
        settings: how it is asked.
    """

    def __init__(
        self,
        decoder: Decoder,
        plan_head: PlanHead,
        embodiment: str,
        cameras: tuple[str, ...],
        settings: DistillSettings,
    ):
        super().__init__()
        self.decoder, self.plan_head = decoder, plan_head
        self.embodiment, self.settings = embodiment, settings
        self.cameras = [cameras.index(name) for name in decoder.config.cameras]
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ChunkTeacher:
        """As every module's; a teacher always only evaluates."""
        return super().train(False)

    @torch.no_grad()
    def reads(self, features: tuple[torch.Tensor, ...], inputs: DecoderInputs, draws: int) -> Taught:
        """What it makes of a batch.

        Args:
            features: what its own interpreter made of the frames, in the order of `PlanHead.forward`.
            inputs: the student's, of which everything but the plan is used.
            draws: noisy versions of each window.
        """
        plan, progress = self.plan_head(*features)
        own = replace(
            inputs,
            plan=plan,
            pixels=inputs.pixels[:, self.cameras],
            has_camera=inputs.has_camera[:, self.cameras],
        )
        context = self.decoder.context(self.embodiment, own).repeated(draws)
        return Taught(context, progress.float().sigmoid())

    @torch.no_grad()
    def answers(
        self, noisy: torch.Tensor, is_committed: torch.Tensor, time: torch.Tensor, context: Context
    ) -> torch.Tensor:
        """(B, H, A): what a student is to predict at these points of the flow, see `Decoder.forward`.

        With steps, it is where they end for what is at time 0; the answer to others is of no use.
        """
        if not self.settings.steps:
            return self.decoder(self.embodiment, noisy, is_committed, time, context).float()
        return flow_end(self.decoder, self.embodiment, noisy, is_committed, context, self.settings.steps)


def flow_end(
    decoder: Decoder,
    embodiment: str,
    noisy: torch.Tensor,
    is_committed: torch.Tensor,
    context: Context,
    steps: int,
) -> torch.Tensor:
    """Where so many Euler steps end, as `sampler.sample_in_context`, with prefixes of any lengths.

    Args:
        noisy: (B, H, A) noise, and clean commands where committed.
        is_committed: (B, H) 1 where it is.
    """
    scheduler, x, fixed = EulerSteps(steps), noisy, is_committed.unsqueeze(-1) > 0
    for timestep in scheduler.timesteps:
        left = (timestep / NOISE_LEVELS).to(x)
        x = torch.where(fixed, noisy, x)
        found = decoder(embodiment, x, is_committed, (1 - left).expand(len(x)), context).float()
        (x,) = scheduler.step((x - found) / left, timestep, x)
    return torch.where(fixed, noisy, x)
