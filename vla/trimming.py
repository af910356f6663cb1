"""Taking out of networks what a run does not need, before their weights are read."""

from __future__ import annotations

from typing import Any

from torch import nn

from ideomotor.vla.decoder.decoder import Decoder
from ideomotor.vla.decoder.visual_encoder import AbsentEncoder
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.needed import Needed


def trim(model: nn.Module, needed: Needed, embodiment: str) -> None:
    """Leaves of a decoder or an interpreter what is needed, in place. Answers stay what they are where
    a camera is missing and no text is asked for.

    Args:
        embodiment: whose projections are kept.
    """
    if isinstance(model, Decoder):
        _trim_decoder(model, needed, embodiment)
    elif isinstance(model, Interpreter) and not needed.text and model.layer < model.depth:
        language: Any = model.family.language(model.vlm)  # the plan is taken from below the upper layers
        language.layers = language.layers[: model.layer]


def _trim_decoder(decoder: Decoder, needed: Needed, embodiment: str) -> None:
    shown = needed.of(decoder.config.cameras)
    for name in decoder.config.cameras:
        if name not in shown:
            decoder.visual_encoders[name] = AbsentEncoder(decoder.visual_encoders[name])
    for name in list(decoder.projections):
        if name != embodiment:
            del decoder.projections[name]
