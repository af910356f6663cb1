"""Data that needs no simulator: coloured squares, asked for by name, and recorded noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.lerobot.episode import Episode
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.train.scenes.pool import ScenePool

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 70, 220), "white": (240, 240, 240)}


def picture(rng: np.random.Generator) -> tuple[np.ndarray, list[dict]]:
    """One (96, 96, 3) uint8 picture of all colours, and a question about each."""
    image = np.full((96, 96, 3), rng.integers(60, 140), np.uint8)
    items = []
    cells = rng.permutation(16)[: len(COLOURS)]
    for (colour, rgb), cell in zip(COLOURS.items(), cells, strict=True):
        x, y = 24 * (cell % 4) + rng.integers(4, 20), 24 * (cell // 4) + rng.integers(4, 20)
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
    pictures = [picture(rng) for _ in range(300)]
    shard = Path(tmp_path_factory.mktemp("pool")) / "shard-00000"
    shard.mkdir()
    np.save(shard / "images.npy", np.stack([image for image, _ in pictures])[:, None])
    np.save(shard / "states.npy", np.zeros((len(pictures), 6), np.float32))
    (shard / "items.json").write_text(json.dumps([items for _, items in pictures]))
    return ScenePool([shard])


def episode(seed: int, frames: int = 12) -> Episode:
    """One of them."""
    rng = np.random.default_rng(seed)
    commands = np.cumsum(rng.normal(0, 0.004, (frames * 4, 6)), axis=0).astype(np.float32)
    images = {name: rng.integers(0, 256, (frames, 96, 96, 3), dtype=np.uint8) for name in ("front", "wrist")}
    return Episode(
        images=images,
        state=commands[::4],
        action=commands[::4],
        action_high_rate=commands.reshape(frames, 24),
        subtask=["reach"] * frames,
        referred=np.zeros((frames, 6), np.float32),
        keypoints=rng.uniform(0, 1, (frames, 6)).astype(np.float32),
        progress=np.linspace(0, 1, frames, dtype=np.float32)[:, None],
        task="reach the red cube",
        success=True,
        seed=seed,
        index=seed,
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three short episodes of noise."""
    root = tmp_path_factory.mktemp("data") / "reach"
    with DatasetWriter(root, load_embodiment("so101")) as writer:
        for seed in range(3):
            writer.add_episode(episode(seed))
    return root


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, of two."""
    root = tmp_path_factory.mktemp("data") / "more"
    with DatasetWriter(root, load_embodiment("so101")) as writer:
        for index, seed in enumerate((3, 4)):
            writer.add_episode(replace(episode(seed), index=index))
    return root
