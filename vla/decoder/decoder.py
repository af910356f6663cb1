"""The decoder (System 1): a flow-matching transformer from plan, pictures and joint state to commands.

One token carries several consecutive commands at the control rate. Tokens attend to each other and, in
every other block, to the context: plan tokens, the decoder's own light visual tokens and proprioception.
Each token has its own flow time (0 noise, 1 data), so that commands already committed are given clean:
training-time real-time chunking (arXiv 2512.05964). One adaLN projection is shared by all blocks.

The network predicts the chunk itself and not the velocity of the flow, which follows from it: motions are
smooth and few-dimensional, noise is not, and a small network had better not carry it through (Li and He,
"Back to Basics: Let Denoising Generative Models Denoise", arXiv 2511.13720).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ideomotor.vla.decoder.blocks import Block, EmbodimentProjections, run_blocks
from ideomotor.vla.decoder.config import DecoderConfig
from ideomotor.vla.decoder.experts import Mixture
from ideomotor.vla.decoder.visual_encoder import GridEncoder, KeypointEncoder
from ideomotor.vla.decoder.waypoints import Waypoints


@dataclass(frozen=True)
class DecoderInputs:
    """What a chunk is made from, normalised. `has_*` are 1 where the modality is there, 0 where missing."""

    plan: torch.Tensor  # (B, K, plan_dim)
    has_plan: torch.Tensor  # (B,)
    pixels: torch.Tensor  # (B, cameras, 3, H, W) in [-1, 1]
    has_camera: torch.Tensor  # (B, cameras)
    state: torch.Tensor  # (B, D)
    has_state: torch.Tensor  # (B,)
    past_commands: torch.Tensor  # (B, P, A) relative to where the chunk begins
    has_past_commands: torch.Tensor  # (B,)


@dataclass(frozen=True)
class Context:
    """What all steps of a chunk share."""

    keys_values: list[tuple[torch.Tensor, torch.Tensor]]  # of every cross-attention
    summary: torch.Tensor  # (B, width) plan and state in one vector

    def of(self, row: int) -> Context:
        """One of the samples, as a batch of its own."""
        one = slice(row, row + 1)
        return Context([(k[one], v[one]) for k, v in self.keys_values], self.summary[one])

    def repeated(self, times: int) -> Context:
        """Each sample `times` times in a row."""
        pairs = [(k.repeat_interleave(times, 0), v.repeat_interleave(times, 0)) for k, v in self.keys_values]
        return Context(pairs, self.summary.repeat_interleave(times, 0))


@dataclass(frozen=True)
class Prediction:
    """What a point of the flow leads to."""

    chunk: torch.Tensor  # (B, H, A)
    waypoints: torch.Tensor | None  # (B, W, A) of the coarse half; None of a decoder without


class Decoder(nn.Module):
    """What the chunk will be, seen from any point of the action flow."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.tokens = config.horizon // config.commands_per_token
        self.visual_encoders: Any = nn.ModuleDict({camera: _encoder(config) for camera in config.cameras})
        self.plan_in = nn.Linear(config.plan_dim, width)
        self.plan_at = nn.Parameter(0.02 * torch.randn(config.plan_tokens, width))
        self.no_plan = nn.Parameter(0.02 * torch.randn(config.plan_tokens, width))
        self.no_state = nn.Parameter(0.02 * torch.randn(width))
        self.no_past_commands = nn.Parameter(0.02 * torch.randn(width))
        states = config.states or tuple(joints for _, joints in config.embodiments)
        self.projections: Any = nn.ModuleDict(
            {
                name: EmbodimentProjections(joints, state, config)
                for (name, joints), state in zip(config.embodiments, states, strict=True)
            }
        )
        self.token_at = nn.Parameter(0.02 * torch.randn(self.tokens, width))
        self.context_norm = nn.LayerNorm(width)
        # Plan and state also reach every token directly: finding the one plan token that says where among
        # eighty of pictures is slow to learn through attention alone (docs/lab_notes.md).
        self.summary_mlp: Any = nn.Sequential(
            nn.Linear((config.plan_tokens + 1) * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.modulation = nn.Linear(width, 6 * width)
        shape = width, config.heads, config.mlp_ratio
        blocks = [Block(*shape, bool(i % 2), config.experts) for i in range(config.blocks)]
        self.blocks: Any = nn.ModuleList(blocks)
        self.last_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last = nn.Linear(width, 2 * width)
        for layer in (self.modulation, self.last, self.summary_mlp[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.waypoints = Waypoints(config) if config.waypoints_every else None

    def context(
        self, embodiment: str, inputs: DecoderInputs, cameras: tuple[str, ...] | None = None
    ) -> Context:
        """What cross-attentions read and what is added to every token, computed once for a chunk.

        Args:
            embodiment: whose projections to use.
            inputs: what the chunk is made from.
            cameras: whose pictures `inputs` has; the others are missing and nothing of them is computed.
                None: all of them.
        """
        projections = self.projections[embodiment]
        plan = _or_missing(self.plan_in(inputs.plan) + self.plan_at, self.no_plan, inputs.has_plan)
        state = projections.state(_octaves(inputs.state, self.config.state_octaves)).unsqueeze(1)
        state = _or_missing(state, self.no_state, inputs.has_state)
        summary = self.summary_mlp(torch.cat([plan, state], dim=1).flatten(1))
        visual, summary = self._visual_tokens(inputs, summary, cameras)
        past = projections.past_commands(inputs.past_commands.flatten(1)).unsqueeze(1)
        past = _or_missing(past, self.no_past_commands, inputs.has_past_commands)
        context = self.context_norm(torch.cat([plan, *visual, state, past], dim=1))
        pairs = [block.attend.keys_values(context) for block in self.blocks if block.cross]
        return Context(pairs, summary)

    def _visual_tokens(
        self, inputs: DecoderInputs, summary: torch.Tensor, cameras: tuple[str, ...] | None
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Each camera's tokens, and the summary with those of the encoders that make one added to it."""
        tokens, summaries, given = [], [], self.config.cameras if cameras is None else cameras
        for camera in self.config.cameras:
            encoder = self.visual_encoders[camera]
            if camera not in given:
                found, own_summary = encoder.absent(len(summary))
            else:
                index = given.index(camera)
                pixels, there = inputs.pixels[:, index], inputs.has_camera[:, index]
                found, own_summary = encoder(pixels, there, summary)
            tokens.append(found)
            if own_summary is not None:
                summaries.append(own_summary)
        return tokens, sum(summaries, summary)

    def forward(
        self,
        embodiment: str,
        actions: torch.Tensor,
        is_committed: torch.Tensor,
        time: torch.Tensor,
        context: Context,
    ) -> torch.Tensor:
        """The chunk that this point of the flow leads to: (1 - time) away along the flow's velocity.

        Args:
            embodiment: whose projections to use.
            actions: (B, H, A) noisy, clean where committed.
            is_committed: (B, H) 1 where it is.
            time: (B,) flow time of what is not committed, 0 noise, 1 data.
            context: from `context`.

        Returns:
            (B, H, A)
        """
        return self.predict(embodiment, actions, is_committed, time, context).chunk

    def predict(
        self,
        embodiment: str,
        actions: torch.Tensor,
        is_committed: torch.Tensor,
        time: torch.Tensor,
        context: Context,
    ) -> Prediction:
        """As `forward`, with the waypoints that the chunk was filled in between, where there are any."""
        projections, per = self.projections[embodiment], self.config.commands_per_token
        by_token = is_committed.unflatten(1, (self.tokens, per))
        chunk = actions.unflatten(1, (self.tokens, per)).flatten(2)
        summary = context.summary.unsqueeze(1)
        x = projections.commands_in(torch.cat([chunk, by_token.to(chunk.dtype)], dim=-1))
        x = x + self.token_at + summary
        # A token's flow time is `time`, or 1 if it is committed: what follows from either is computed once.
        times = torch.stack([time, torch.ones_like(time)], dim=1)  # (B, 2)
        flow = self.time(_waves(times, self.config.width)) + summary
        modulations = self.modulation(flow), self.last(flow)
        blocks, pairs = list(self.blocks), iter(context.keys_values)
        waypoints = straight = None
        if self.waypoints is not None:
            half = len(blocks) // 2
            seen = actions, is_committed, summary, modulations
            waypoints, straight = self.waypoints(projections, *seen, blocks[:half], pairs, self.last_norm)
            between = straight.unflatten(1, (self.tokens, per)).flatten(2)
            x, blocks = x + projections.between(between), blocks[half:]
        clean = by_token.amin(-1, keepdim=True) > 0  # (B, tokens, 1)
        x = run_blocks(blocks, x, clean, modulations, pairs, self.last_norm)
        found = projections.commands_out(x).unflatten(2, (per, -1)).flatten(1, 2)
        return Prediction(found if straight is None else found + straight, waypoints)

    def mixtures(self) -> list[Mixture]:
        """Of its blocks, in their order; none where it has no experts."""
        return [block.mlp for block in self.blocks if isinstance(block.mlp, Mixture)]


def _encoder(config: DecoderConfig) -> nn.Module:
    """The vision of one camera."""
    if config.vision == "grid":
        return GridEncoder(config.image_size, config.width, config.vision_width)
    size, width = config.image_size, config.width
    return KeypointEncoder(size, width, config.queries, config.vision_width)


def _octaves(values: torch.Tensor, octaves: int) -> torch.Tensor:
    """(B, D) -> (B, (1 + 2 octaves) D): the values and their sines and cosines at 1, 2, 4 … radians each."""
    angles = [values * 2.0**octave for octave in range(octaves)]
    return torch.cat([values, *(angle.sin() for angle in angles), *(angle.cos() for angle in angles)], dim=-1)


def _or_missing(tokens: torch.Tensor, missing: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """(B, T, width) tokens where `there` (B,), the learned missing token elsewhere."""
    return torch.where(there.view(-1, 1, 1) > 0, tokens, missing.to(tokens.dtype))


def _waves(time: torch.Tensor, width: int) -> torch.Tensor:
    """Sinusoidal features (…, width) of flow time in [0, 1]."""
    rates = torch.exp(torch.linspace(0.0, math.log(200.0), width // 2, device=time.device))
    angles = time.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
