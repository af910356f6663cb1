"""Camera frames as the networks want them: resized, channels first, in [-1, 1]; and their augmentation."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F


def resized(image: np.ndarray, size: int) -> np.ndarray:  # (H, W, 3) uint8 -> (size, size, 3) uint8
    """The image at the network's size; untouched when it already has it."""
    if image.shape[:2] == (size, size):
        return image
    shrinking = image.shape[0] > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def to_pixels(images: np.ndarray | torch.Tensor) -> torch.Tensor:  # (..., H, W, 3) uint8 -> (..., 3, H, W)
    """float32 in [-1, 1], channels first."""
    tensor = torch.as_tensor(images)
    return tensor.movedim(-1, -3).float().mul_(1 / 127.5).sub_(1.0)


def augmented(pixels: torch.Tensor, shift: int = 4, colour: float = 0.2) -> torch.Tensor:
    """Randomly shifted (up to `shift` pixels, edges repeated) and recoloured copies.

    Args:
        pixels: (B, 3, H, W) in [-1, 1]; one draw per sample.
        shift: [pixels]. Moves the scene in the image, so only for networks that must not rely on absolute
            image positions to the pixel.
        colour: strength of brightness, contrast and per-channel gain.
    """
    batch, _, height, width = pixels.shape
    if shift:
        padded = F.pad(pixels, (shift, shift, shift, shift), mode="replicate")
        tops, lefts = torch.randint(0, 2 * shift + 1, (2, batch)).tolist()
        rows = [
            padded[i, :, top : top + height, left : left + width]
            for i, (top, left) in enumerate(zip(tops, lefts, strict=True))
        ]
        pixels = torch.stack(rows)
    if colour:
        gain = 1 + colour * (2 * torch.rand(batch, 3, 1, 1) - 1) * 0.5
        contrast = 1 + colour * (2 * torch.rand(batch, 1, 1, 1) - 1)
        brightness = colour * (2 * torch.rand(batch, 1, 1, 1) - 1)
        pixels = pixels * (gain * contrast) + brightness
    return pixels
