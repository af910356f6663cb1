"""The decoder's shape, as a checkpoint holds it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.errors import unknown_name
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

    def __post_init__(self) -> None:
        if self.vision not in VISIONS:
            raise unknown_name("decoder.vision", self.vision, VISIONS)
