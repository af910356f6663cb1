"""Whether cameras see what they saw when a dataset was recorded, or have been swapped."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from ideomotor.control.runtime.shared_state import SharedState, unpack_frames

SIZE = 24, 32  # (H, W) that pictures are compared at
CLEARLY = 0.1  # of correlation, that two cameras must be more like each other's pictures
LOOKED_AT = 5  # newest episodes


def swapped_cameras(folder: Path, shared: SharedState) -> list[str]:
    """Returns a warning for each two cameras that look swapped; the shared state has what they see now."""
    from ideomotor.datasets.lerobot.layout import INFO
    from ideomotor.datasets.lerobot.reader import Dataset

    films = shared.films.new()
    if not (folder / INFO).exists() or not shared.films.read(films):
        return []
    now = unpack_frames(films, shared.spec.filmed)
    dataset = Dataset(folder)
    newest = range(max(len(dataset) - LOOKED_AT, 0), len(dataset))
    both = [name for name in now if name in dataset.cameras]
    before = {name: [dataset.frames(episode, name, [0])[0] for episode in newest] for name in both}
    dataset.close()
    return [
        f"cameras: {one} looks like {other} did in {folder}, and {other} like {one}: are they swapped?"
        for one, other in swapped(before, {name: now[name] for name in both})
    ]


def swapped(before: Mapping[str, list[np.ndarray]], now: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """Returns the pairs of cameras that each look more like the other did.

    Args:
        before: {camera: pictures (H, W, 3) uint8}, any sizes.
        now: {camera: a picture}.
    """
    likeness = {
        (one, other): max((_correlation(now[one], picture) for picture in before[other]), default=0.0)
        for one in now
        for other in before
    }
    return [
        (one, other)
        for one, other in combinations(now, 2)
        if likeness[one, other] > likeness[one, one] + CLEARLY
        and likeness[other, one] > likeness[other, other] + CLEARLY
    ]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """In [-1, 1]: of the brightness of two pictures, made small."""
    first, second = _small(a), _small(b)
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / scale if scale else 0.0


def _small(picture: np.ndarray) -> np.ndarray:
    import cv2

    grey = cv2.resize(picture.mean(axis=2), (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA)
    return grey - grey.mean()
