"""Encoding the pictures of some of an interpreter's cameras, where it is never shown the others."""

from __future__ import annotations

import torch

from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.output import EncodedImages


def encode_shown(interpreter: Interpreter, pixels: torch.Tensor, cameras: tuple[str, ...]) -> EncodedImages:
    """As `Interpreter.encode_images`; what belongs to other cameras is zero, and not computed.

    Prompts must say that these are missing: then no plan depends on it.

    Args:
        pixels: (B, len(cameras), 3, H, W) in [-1, 1].
        cameras: some of the interpreter's, in its order.
    """
    config = interpreter.config
    if cameras == config.cameras:
        return interpreter.encode_images(pixels)
    every, per, first = len(config.cameras), interpreter.side**2, config.cameras[0]
    places = [config.cameras.index(name) for name in cameras]
    some = interpreter.encode_images(pixels) if cameras else None

    def spread(part: torch.Tensor) -> torch.Tensor:
        whole = part.new_zeros(len(pixels), every, per, part.shape[-1])
        whole[:, places] = part.unflatten(1, (len(places), per))
        return whole.flatten(1, 2)

    keys_values = pixels.new_zeros(len(pixels), interpreter.point.cells**2, 2 * config.map_width)
    if some is None:
        return EncodedImages(pixels.new_zeros(len(pixels), every * per, interpreter.hidden_dim), keys_values)
    shown = some.keys_values if first in cameras else keys_values
    return EncodedImages(spread(some.tokens), shown, tuple(map(spread, some.deep)))
