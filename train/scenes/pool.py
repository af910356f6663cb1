"""A pool of synthetic scenes on disk, read as memory maps, and questions about them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.sim.vqa.questions import KINDS
from ideomotor.sim.vqa.synthetic_scenes import CAMERAS
from ideomotor.train.scenes.shards import PoolSettings, Progress, render_shards

NAMES = ("target", "place")


@dataclass(frozen=True)
class Mixture:
    """How often questions of each kind are drawn, relative to each other.

    A scene that has no question of the kind drawn is asked one of another kind.
    """

    instruction: float = 0.5  # what a policy needs; the others are `sim.vqa.questions.KINDS`
    description: float = 0.04
    reference: float = 0.10
    relation: float = 0.06
    neighbour: float = 0.04
    counting: float = 0.04
    colour: float = 0.03
    shape: float = 0.04
    size: float = 0.04
    held: float = 0.04
    subtask: float = 0.04
    done: float = 0.03


@dataclass(frozen=True)
class Question:
    """One instruction or question about a picture with its answers."""

    instruction: str
    text: str
    points: np.ndarray  # (M, 2) float32 u, v
    presence: np.ndarray  # (M,) float32
    kind: str = "instruction"
    scene: str = ""  # description of the picture, for alignment
    state: np.ndarray | None = None  # (D,) float32 joint state [rad or m]; None: nobody knows


INSTRUCTIONS = Mixture(1.0, **dict.fromkeys(KINDS, 0.0))


class ScenePool:
    """The pictures and questions of one or more shards.

    Args:
        shards: folders.
        cameras: whose pictures are drawn, of `sim.vqa.synthetic_scenes.CAMERAS`.

    Raises:
        UserError: a shard is damaged.
    """

    def __init__(self, shards: list[Path], cameras: Sequence[str] = ("front",)):
        self.views = [CAMERAS.index(camera) for camera in cameras]
        try:
            self.images = [np.load(shard / "images.npy", mmap_mode="r") for shard in shards]
            listed = [json.loads((shard / "items.json").read_text(encoding="utf-8")) for shard in shards]
            states = [np.load(shard / "states.npy") for shard in shards]
        except (OSError, ValueError) as error:
            raise UserError(f"scene pool: cannot read {shards[0].parent}: {error}; remove it") from None
        self.starts = np.cumsum([0, *(len(images) for images in self.images)])
        scenes = zip(chain(*listed), chain(*states), strict=True)
        self.questions = [_questions(scene, state) for scene, state in scenes]
        self.usable = np.flatnonzero([len(scene) > 0 for scene in self.questions])

    def __len__(self) -> int:
        return len(self.usable)

    def texts(self) -> list[str]:
        """Every instruction, question and answer, to train a tokenizer on."""
        return [line for scene in self.questions for item in scene for line in (item.instruction, item.text)]

    def draw(
        self, rng: np.random.Generator, pictures: int, group: int, mixture: Mixture = INSTRUCTIONS
    ) -> tuple[np.ndarray, list[Question]]:
        """Random pictures (B, cameras, H, W, 3) uint8 and `group` questions about each, in order."""
        chosen = self.usable[rng.integers(0, len(self.usable), pictures)]
        where = np.searchsorted(self.starts, chosen, side="right") - 1
        images = np.stack(
            [self.images[k][i - self.starts[k], self.views] for i, k in zip(chosen, where, strict=True)]
        )
        shares, questions = asdict(mixture), []
        for index in chosen:
            scene = self.questions[index]
            counts = Counter(item.kind for item in scene)
            keys = [shares[item.kind] / counts[item.kind] for item in scene]
            questions += [scene[k] for k in _weighted(rng, np.array(keys), group)]
        return images, questions


def make_pool(
    root: Path,
    settings: PoolSettings,
    workers: int = 1,
    progress: Progress | None = None,
    cameras: Sequence[str] = ("front",),
) -> tuple[ScenePool, ScenePool]:
    """Returns (scenes to train on, scenes to examine with), rendering what is not there yet.

    Args:
        root: where pools are kept.
        settings: shards are shared between pools that differ in `scenes` only.
        workers: processes that render.
        progress: called with the progress.
        cameras: whose pictures are wanted; shards have those of all.
    """
    shards = render_shards(root, settings, workers, progress)
    return ScenePool(shards[1:], cameras), ScenePool(shards[:1], cameras)


def visible(u: float, v: float) -> bool:
    """Whether a point is in the picture."""
    return 0.0 <= u <= 1.0 and 0.0 <= v <= 1.0


def _questions(items: list[dict[str, Any]], state: np.ndarray) -> list[Question]:
    """The inverse of `_items`, as arrays."""
    scene = next((item["text"] for item in items if item.get("kind") == "description"), "")
    return [_question(item, scene, state) for item in items]


def _weighted(rng: np.random.Generator, shares: np.ndarray, count: int) -> np.ndarray:
    """(count,) indices, drawn in proportion to their shares, again and again without putting back."""
    order = np.argsort(-rng.gumbel(size=len(shares)) - np.log(shares + 1e-12))
    return order[np.arange(count) % max(1, np.count_nonzero(shares))]


def _question(item: dict[str, Any], scene: str, state: np.ndarray) -> Question:
    points, presence = np.zeros((len(NAMES), 2), np.float32), np.zeros(len(NAMES), np.float32)
    for index, name in enumerate(NAMES):
        spot = item["keypoints"].get(name)
        if spot is not None and visible(*spot):
            points[index], presence[index] = spot, 1.0
    kind = item.get("kind", "instruction")
    return Question(item["instruction"], item["text"], points, presence, kind, scene, state)
