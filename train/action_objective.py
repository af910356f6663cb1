"""What the decoder is trained for: chunks from noise, with committed prefixes and dropped-out inputs.

Either where the flow from noise to the chunk ends, or the noise itself (see vla/decoder/sampler.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.train.distillation.chunks import ChunkTeacher, Taught
from ideomotor.train.parallel import global_count, shard_of_random
from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderInputs
from ideomotor.vla.decoder.sampler import noise_levels, source_noise
from ideomotor.vla.decoder.sampling import NOISE_LEVELS
from ideomotor.vla.interpreter.plan_head import PlanHead


@dataclass(frozen=True)
class PlanFeatures:
    """What an interpreter made of the frames that plans are made from."""

    hidden: torch.Tensor  # (B, K, hidden) plan hidden states
    meaning: torch.Tensor  # (B, hidden) the words of the subtasks ahead
    points: torch.Tensor  # (B, M, 2)
    presence: torch.Tensor  # (B, M) in [0, 1]


@dataclass(frozen=True)
class ActionBatch:
    """B windows of recorded data, normalised."""

    plan_features: PlanFeatures | None  # of a frozen interpreter; None where it learns too
    pixels: torch.Tensor  # (B, cameras, 3, H, W) in [-1, 1]
    state: torch.Tensor  # (B, D)
    past_commands: torch.Tensor  # (B, P, A)
    actions: torch.Tensor  # (B, H, A)
    counted: torch.Tensor  # (B, H) 1 where a command counts
    prefix_length: torch.Tensor  # (B,) int64, ticks of the committed prefix
    progress: torch.Tensor  # (B,) in [0, 1], NaN where nobody knows
    teacher_features: PlanFeatures | None = None  # what a teacher's interpreter made of the plans' frames


@dataclass(frozen=True)
class ActionSettings:
    """Choices of the objective and of the drop-outs. A drop-out of 1 trains a policy without that sense."""

    predict: str = "flow"  # what the decoder predicts, a key of `vla.sampler.SAMPLERS`
    draws: int = 1  # noisy versions of each window, whose context is encoded once
    pure_noise: float = 0.5  # share of them at the flow's very beginning, where one step is taken from
    noise_knots: int = 12  # of the source noise's spline: as smooth as motions are; 0 for white noise
    drop_plan: float = 0.05
    # Shapes of hidden states vary with the phrasing; what points and words say as well shall be taken
    # from them.
    drop_hidden: float = 0.4
    drop_camera: float = 0.1
    drop_state: float = 0.05
    drop_past_commands: float = 0.3
    # Past commands are blurred: how fast the arm moves must be known, but from their exact course a
    # decoder would tell where the demonstrator was going and copy itself (docs/lab_notes.md).
    past_command_jitter: float = 0.5  # of each past command, normalised; about 5 mrad
    point_jitter: float = 0.004  # of the plan's points, in image widths
    state_jitter: float = 0.02  # of the normalised state
    progress: float = 0.1  # weight of the progress loss
    waypoints: float = 0.5  # weight of the waypoints' loss, of a decoder that predicts them first
    balance: float = 0.01  # weight of what keeps experts equally used, of a decoder with experts


class ActionObjective(nn.Module):
    """Wraps plan head and decoder so that data parallelism sees one forward call that gives the losses.

    Args:
        decoder, plan_head: what learns.
        embodiment: whose projections are used.
        settings: of the losses and of the drop-outs.
        teacher: what a share of the loss is learned from, instead of the data; see `ChunkTeacher`.
    """

    def __init__(
        self,
        decoder: Decoder,
        plan_head: PlanHead,
        embodiment: str,
        settings: ActionSettings,
        teacher: ChunkTeacher | None = None,
    ):
        super().__init__()
        self.decoder, self.plan_head = decoder, plan_head
        self.embodiment, self.settings = embodiment, settings
        self.teacher = teacher

    def forward(self, batch: ActionBatch, features: PlanFeatures | None = None) -> dict[str, torch.Tensor]:
        """`loss` and its parts; `features` where the batch has none."""
        knobs, size, features = self.settings, len(batch.actions), features or batch.plan_features
        assert features is not None, "nobody has read the frames that plans are made from"
        points = features.points + knobs.point_jitter * _normal_like(features.points)
        has_hidden = _kept(batch.state, (size,), knobs.drop_hidden)
        plan, progress = self.plan_head(
            features.hidden, features.meaning, points, features.presence, has_hidden
        )
        inputs = DecoderInputs(
            plan=plan,
            has_plan=_kept(batch.state, (size,), knobs.drop_plan),
            pixels=batch.pixels,
            has_camera=_kept(batch.state, batch.pixels.shape[:2], knobs.drop_camera),
            state=batch.state + knobs.state_jitter * _normal_like(batch.state),
            has_state=_kept(batch.state, (size,), knobs.drop_state),
            past_commands=batch.past_commands + knobs.past_command_jitter * _normal_like(batch.past_commands),
            has_past_commands=_kept(batch.state, (size,), knobs.drop_past_commands),
        )
        taught = None
        if self.teacher is not None:
            assert batch.teacher_features is not None, "the teacher has not read the plans' frames"
            taught = self.teacher.reads(tuple(vars(batch.teacher_features).values()), inputs, knobs.draws)
        flow = self._flow_loss(batch, self.decoder.context(self.embodiment, inputs), taught)
        progress_loss = self._progress_loss(batch, progress, taught)
        return {
            "loss": flow + knobs.progress * progress_loss,
            "flow": flow.detach(),
            "progress": progress_loss.detach(),
        }

    def _flow_loss(self, batch: ActionBatch, context: Context, taught: Taught | None) -> torch.Tensor:
        """Of `draws` noisy versions of each window."""
        knobs, teacher = self.settings, self.teacher
        context = context.repeated(knobs.draws)
        actions = batch.actions.repeat_interleave(knobs.draws, 0)
        counted = batch.counted.repeat_interleave(knobs.draws, 0)
        prefix_length = batch.prefix_length.repeat_interleave(knobs.draws, 0)
        by_steps = teacher is not None and teacher.settings.steps > 0
        if knobs.predict == "flow":
            pure_noise = teacher.settings.weight if teacher is not None and by_steps else knobs.pure_noise
            noisy, committed_prefix, time = flow_sample(actions, prefix_length, knobs.noise_knots, pure_noise)
            truth, weight = actions, 1 / (1.1 - time[:, None])
        else:
            noisy, committed_prefix, time, truth = epsilon_sample(actions, prefix_length, knobs.noise_knots)
            weight = torch.ones_like(time[:, None])
        found = self.decoder.predict(self.embodiment, noisy, committed_prefix, time, context)
        guess, target = found.chunk.float(), truth
        error = (guess - truth).square().mean(-1)
        if teacher is not None and taught is not None:
            answer = teacher.answers(noisy, committed_prefix, time, taught.context)
            from_teacher = (guess - answer).square().mean(-1)
            share = (time == 0).float()[:, None] if by_steps else teacher.settings.weight
            error = (1 - share) * error + share * from_teacher
            mixed = share.unsqueeze(-1) if isinstance(share, torch.Tensor) else share
            target = (1 - mixed) * truth + mixed * answer
        free = counted * (1 - committed_prefix)
        loss = (error * weight * free).sum() / global_count(free.sum())
        if found.waypoints is not None:
            every = slice(self.decoder.config.waypoints_every - 1, None, self.decoder.config.waypoints_every)
            coarse = (found.waypoints.float() - target[:, every]).square().mean(-1) * weight
            here = free[:, every]
            loss = loss + knobs.waypoints * (coarse * here).sum() / global_count(here.sum())
        for mixture in self.decoder.mixtures():
            if mixture.balance is not None:
                loss = loss + knobs.balance * mixture.balance
        return loss

    def _progress_loss(
        self, batch: ActionBatch, progress: torch.Tensor, taught: Taught | None
    ) -> torch.Tensor:
        """Of the logits (B,) of how much is done."""
        known = batch.progress.isfinite()
        truth = batch.progress.nan_to_num().clamp(0, 1)
        loss = F.binary_cross_entropy_with_logits(progress.float(), truth, reduction="none")
        loss = (loss * known).sum() / global_count(known.float().sum())
        if self.teacher is None or taught is None:
            return loss
        share, every = self.teacher.settings.weight, global_count(torch.ones_like(progress).sum())
        own = F.binary_cross_entropy_with_logits(progress.float(), taught.progress, reduction="none")
        return (1 - share) * loss + share * own.sum() / every


def flow_sample(
    actions: torch.Tensor, prefix_length: torch.Tensor, noise_knots: int, pure_noise: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random point of each sample's flow: (noisy actions, committed prefix (B, H), time (B,)).

    Flow time is 1 - u with u from Beta(1.5, 1), which favours noise (pi0, arXiv 2410.24164): near the
    data the answer can be read off the noisy commands, and nothing is learned about plans and pictures.
    """
    noise = shard_of_random(lambda whole: source_noise(*whole, knots=noise_knots), actions.shape).to(actions)
    time = 1 - shard_of_random(torch.distributions.Beta(1.5, 1.0).sample, (len(actions),)).to(actions)
    if pure_noise:
        time = time * _kept(actions, (len(actions),), pure_noise)
    committed_prefix = _prefix_mask(actions, prefix_length)
    blend = time[:, None, None]
    noisy = blend * actions + (1 - blend) * noise
    return torch.where(committed_prefix.unsqueeze(-1) > 0, actions, noisy), committed_prefix, time


def epsilon_sample(
    actions: torch.Tensor, prefix_length: torch.Tensor, noise_knots: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each sample at a random noise level: (noisy actions, committed prefix (B, H), time (B,), noise).

    Levels are uniform and all weigh the same: the simple objective of DDPM (arXiv 2006.11239, equation 14).
    """
    batch, device = actions.shape[0], actions.device
    noise = shard_of_random(lambda whole: source_noise(*whole, knots=noise_knots), actions.shape).to(actions)
    level = shard_of_random(lambda whole: torch.randint(NOISE_LEVELS, whole), (batch,))
    alpha, sigma = (part[level].to(actions)[:, None, None] for part in noise_levels())
    committed_prefix = _prefix_mask(actions, prefix_length)
    noisy = torch.where(committed_prefix.unsqueeze(-1) > 0, actions, alpha * actions + sigma * noise)
    return noisy, committed_prefix, (1 - (level + 1) / NOISE_LEVELS).to(device), noise


def _prefix_mask(actions: torch.Tensor, prefix_length: torch.Tensor) -> torch.Tensor:
    """(B, H) 1 for the first `prefix_length` (B,) ticks."""
    return (torch.arange(actions.shape[1], device=actions.device) < prefix_length[:, None]).to(actions)


def _kept(like: torch.Tensor, shape: Sequence[int], drop: float) -> torch.Tensor:
    """1 with probability 1 - drop, on the device of `like`."""
    return (shard_of_random(lambda whole: torch.rand(whole, device=like.device), shape) >= drop).float()


def _normal_like(values: torch.Tensor) -> torch.Tensor:
    return shard_of_random(
        lambda whole: torch.randn(whole, device=values.device, dtype=values.dtype), values.shape
    )
