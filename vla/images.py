"""Camera frames as the networks want them: channels first, in [-1, 1]; their augmentation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # step of splitmix64 (Steele, Lea and Flood, 2014)


def to_pixels(images: np.ndarray | torch.Tensor) -> torch.Tensor:  # (..., H, W, 3) uint8 -> (..., 3, H, W)
    """float32 in [-1, 1], channels first."""
    tensor = torch.as_tensor(images)
    return tensor.movedim(-1, -3).float().mul_(1 / 127.5).sub_(1.0)


def sample_seeds(seed: int, step: int, rows: np.ndarray, stream: int = 0) -> np.ndarray:
    """Seeds for `augmented`, (B,) uint64: of a row in a step the same, whatever else is in the batch.

    Args:
        rows: (B,) what each sample is, its row in the data.
        stream: tells apart pictures of one sample, such as its cameras.
    """
    seeds = np.zeros(len(rows), np.uint64)
    for part in (np.uint64(seed % 2**64), np.uint64(step), np.uint64(stream), rows.astype(np.uint64)):
        seeds = _mixed((seeds ^ part) + GOLDEN)
    return seeds


def augmented(
    images: np.ndarray,
    seeds: np.ndarray,
    shift: int = 4,
    colour: float = 0.2,
    blur: float = 0.0,
    drop: float = 0.0,
) -> torch.Tensor:
    """Randomly shifted, recoloured, blurred and lost copies, as `to_pixels` gives them: (B, 3, H, W).

    Args:
        images: (B, H, W, 3) uint8.
        seeds: (B,) uint64; a picture's augmentation follows from its seed alone.
        shift: up to so far in each direction, edges repeated [pixels]. Moves the scene in the image, so
            only for networks that must not rely on absolute image positions to the pixel.
        colour: strength of brightness, contrast and per-channel gain.
        blur: share of pictures that are out of focus.
        drop: share of pictures that are lost: mid-grey.
    """
    draws = _uniform(seeds, 10)  # (B, 10) in [0, 1)
    if shift:
        images = _shifted(images, (draws[:, :2] * (2 * shift + 1)).astype(np.int64), shift)
    pixels = torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1).contiguous().float()
    gain = 1 + colour * 0.5 * (2 * draws[:, 2:5] - 1)
    contrast = 1 + colour * (2 * draws[:, 6:7] - 1)
    brightness = colour * (2 * draws[:, 7:8] - 1)
    kept = draws[:, 5:6] >= drop
    scale, level = kept * gain * contrast, kept * brightness  # (B, 3), (B, 1), of pixels in [-1, 1]
    pixels.mul_(_planes(scale / 127.5)).add_(_planes(level - scale))
    soft = np.flatnonzero(draws[:, 8] < blur)
    if len(soft):
        pixels[soft] = _blurred(pixels[soft], _planes(draws[soft, 9:10] / 3))
    return pixels


def _shifted(images: np.ndarray, corners: np.ndarray, shift: int) -> np.ndarray:
    """Copies whose top left corners are at (B, 2) (row, column) of the images padded by `shift`."""
    count, height, width, channels = images.shape
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    sample, row, column, item = padded.strides
    views = np.lib.stride_tricks.as_strided(  # every place a corner can be at; rows are contiguous bytes
        padded,
        (count, 2 * shift + 1, 2 * shift + 1, height, width * channels),
        (sample, row, column, row, item),
        writeable=False,
    )
    return views[np.arange(count), corners[:, 0], corners[:, 1]].reshape(images.shape)


def _blurred(pixels: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Each pixel gives (B, 1, 1, 1) shares to its two neighbours, along rows and then along columns."""
    padded = F.pad(pixels, (1, 1, 0, 0), mode="replicate")
    pixels = torch.lerp(pixels, (padded[..., :-2] + padded[..., 2:]) / 2, 2 * share)
    padded = F.pad(pixels, (0, 0, 1, 1), mode="replicate")
    return torch.lerp(pixels, (padded[..., :-2, :] + padded[..., 2:, :]) / 2, 2 * share)


def _planes(values: np.ndarray) -> torch.Tensor:  # (B, n) -> (B, n, 1, 1)
    return torch.from_numpy(values.astype(np.float32))[:, :, None, None]


def _uniform(seeds: np.ndarray, count: int) -> np.ndarray:
    """(B, count) float64 in [0, 1): splitmix64 from each seed."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
    return (_mixed(seeds[:, None] + steps) >> np.uint64(11)) / 2.0**53


def _mixed(values: np.ndarray) -> np.ndarray:
    """Every bit depends on every bit: the finaliser of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
