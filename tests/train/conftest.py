"""Pictures that need no simulator: coloured squares and discs, asked for by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ideomotor.train.scenes import ScenePool

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 70, 220), "white": (240, 240, 240)}


def picture(rng: np.random.Generator) -> tuple[np.ndarray, list[dict]]:
    """One (96, 96, 3) uint8 picture of all colours, and a question about each."""
    image = np.full((96, 96, 3), rng.integers(60, 140), np.uint8)
    items = []
    places = rng.permutation(16)[: len(COLOURS)]
    for (colour, rgb), place in zip(COLOURS.items(), places, strict=True):
        x, y = 24 * (place % 4) + rng.integers(4, 20), 24 * (place // 4) + rng.integers(4, 20)
        image[y - 4 : y + 4, x - 4 : x + 4] = rgb
        items.append(
            {
                "instruction": f"reach the {colour} square",
                "text": f"now: reach the {colour} square.",
                "keypoints": {"target": [x / 96, y / 96]},
            }
        )
    return image, items


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> ScenePool:
    """A pool of 300 such pictures."""
    rng = np.random.default_rng(0)
    drawn = [picture(rng) for _ in range(300)]
    shard = Path(tmp_path_factory.mktemp("pool")) / "shard-00000"
    shard.mkdir()
    np.save(shard / "images.npy", np.stack([image for image, _ in drawn]))
    (shard / "items.json").write_text(json.dumps([items for _, items in drawn]))
    return ScenePool([shard])
