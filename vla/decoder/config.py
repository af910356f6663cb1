"""The decoder's shape, as a checkpoint holds it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.timing import PAST_COMMAND_TICKS

VISIONS = ("grid", "keypoints")


@dataclass(frozen=True)
class DecoderConfig:
    """Shape of the decoder."""

    embodiments: tuple[tuple[str, int], ...] = (("so101", 6),)  # (name, joints)
    states: tuple[int, ...] = ()  # numbers of each one's state; as many as joints if empty
    cameras: tuple[str, ...] = ("front", "wrist")
    image_size: int = 96  # [pixels]
    horizon: int = 96  # H [ticks]
    commands_per_token: int = 8
    past_command_ticks: int = PAST_COMMAND_TICKS  # past commands that are context
    plan_tokens: int = 8
    plan_dim: int = 128
    width: int = 192
    heads: int = 4
    blocks: int = 6
    mlp_ratio: int = 3
    vision: str = "grid"  # a cell each 16 pixels as a token, or "keypoints": what `visual_encoder` finds
    vision_width: int = 128  # channels of its coarsest map
    queries: int = 8  # places that the plan asks for in each picture, of "keypoints"
    state_octaves: int = 0  # sines and cosines of each number of the state
    experts: int = 0  # that every token is routed to one of, in each block's MLP; 0: one MLP for all
    waypoints_every: int = 0  # commands between waypoints that are predicted first; 0: all at once

    def __post_init__(self) -> None:
        if self.vision not in VISIONS:
            raise unknown_name("decoder.vision", self.vision, VISIONS)
        if self.experts < 0 or self.experts == 1:
            raise UserError(f"decoder.experts: got {self.experts}, expected 0 or at least 2")
        every = self.waypoints_every
        if every and (every < 0 or self.horizon % every or self.blocks < 4):
            raise UserError(
                f"decoder.waypoints_every: got {every} of {self.horizon} commands and {self.blocks} blocks, "
                "expected a divisor of the commands, and at least 4 blocks"
            )
