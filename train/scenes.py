"""A pool of rendered still scenes on disk, made once by worker processes and read as memory maps.

The pool is a folder of shards; a shard is made whole or not at all, so an interrupted run is taken up
again. Shard 0 is never trained on: it is what the interpreter is examined with, in phrasings that are
never trained on either.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ideomotor.control.errors import UserError
from ideomotor.sim.still import StillScene, still_scenes
from ideomotor.train.scene_objective import SceneBatch
from ideomotor.vla.images import augmented, to_pixels
from ideomotor.vla.interpreter import Interpreter
from ideomotor.vla.language import plain

NAMES = ("target", "place")
Told = Callable[[int, int], None]  # (shards done, shards in all)


@dataclass(frozen=True)
class PoolSettings:
    """Which scenes."""

    scenes: int = 20000
    seed: int = 0
    level: str = "light"
    camera: str = "front"
    shard: int = 500  # scenes made at a time


@dataclass(frozen=True)
class Question:
    """One instruction about a picture with its answers."""

    instruction: str
    text: str
    points: np.ndarray  # (M, 2) float32 u, v
    presence: np.ndarray  # (M,) float32


class ScenePool:
    """The pictures and questions of one or more shards.

    Raises:
        UserError: a shard is damaged.
    """

    def __init__(self, shards: list[Path]):
        try:
            self.images = [np.load(shard / "images.npy", mmap_mode="r") for shard in shards]
            listed = [json.loads((shard / "items.json").read_text(encoding="utf-8")) for shard in shards]
        except (OSError, ValueError) as error:
            raise UserError(f"scene pool: cannot read {shards[0].parent}: {error}; remove it") from None
        self.starts = np.cumsum([0, *(len(images) for images in self.images)])
        self.questions = [[_question(item) for item in scene] for shard in listed for scene in shard]
        self.usable = np.flatnonzero([len(scene) > 0 for scene in self.questions])

    def __len__(self) -> int:
        return len(self.usable)

    def texts(self) -> list[str]:
        """Every instruction and readable plan, to train a tokenizer on."""
        return [line for scene in self.questions for item in scene for line in (item.instruction, item.text)]

    def draw(self, rng: np.random.Generator, pictures: int, group: int) -> tuple[np.ndarray, list[Question]]:
        """Random pictures (B, H, W, 3) uint8 and `group` questions about each, in order."""
        chosen = self.usable[rng.integers(0, len(self.usable), pictures)]
        where = np.searchsorted(self.starts, chosen, side="right") - 1
        images = np.stack([self.images[k][i - self.starts[k]] for i, k in zip(chosen, where, strict=True)])
        questions = []
        for index in chosen:
            scene = self.questions[index]
            order = rng.permutation(len(scene))
            questions += [scene[order[k % len(scene)]] for k in range(group)]
        return images, questions


def make_pool(
    root: Path, settings: PoolSettings, workers: int = 1, told: Told | None = None
) -> tuple[ScenePool, ScenePool]:
    """Returns (scenes to train on, scenes to examine with), rendering what is not there yet.

    Args:
        root: where pools are kept.
        settings: shards are shared between pools that differ in `scenes` only.
        workers: processes that render.
        told: called with the progress.
    """
    folder = root / f"{settings.level}-{settings.camera}-{settings.seed}-{settings.shard}"
    count = 1 + max(1, -(-settings.scenes // settings.shard))
    shards = [folder / f"shard-{number:05d}" for number in range(count)]
    missing = [number for number, shard in enumerate(shards) if not shard.is_dir()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max(1, workers), mp_context=context) as executor:
            jobs = [executor.submit(render_shard, shards[number], settings, number) for number in missing]
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                if told:
                    told(done, len(missing))
    return ScenePool(shards[1:]), ScenePool(shards[:1])


def render_shard(shard: Path, settings: PoolSettings, number: int) -> None:
    """Renders one shard under a temporary name and renames it when it is whole."""
    split = "heldout" if number == 0 else "train"
    scenes = list(still_scenes(settings.seed * 100_003 + number, settings.shard, settings.level, split=split))
    whole = shard.with_name(f"{shard.name}.{os.getpid()}")
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    try:
        np.save(whole / "images.npy", np.stack([scene.images[settings.camera] for scene in scenes]))
        items = [_items(scene) for scene in scenes]
        (whole / "items.json").write_text(json.dumps(items), encoding="utf-8")
        whole.rename(shard)
    except OSError:
        if not shard.is_dir():  # another process was not faster: a real error
            raise
    finally:
        shutil.rmtree(whole, ignore_errors=True)


def scene_batch(
    interpreter: Interpreter,
    images: np.ndarray,
    questions: list[Question],
    *,
    write: bool = True,
    seeds: np.ndarray | None = None,
    drop_image: float = 0.0,
    rng: np.random.Generator | None = None,
) -> SceneBatch:
    """Puts a batch together: (B, H, W, 3) pictures with G questions each.

    Args:
        write: whether the readable plan is among what is learned from this batch.
        seeds: (B,) uint64, of random colours; None leaves the pictures as they are. Never shifts: points
            are absolute.
        drop_image: share of questions that are asked without their picture, drawn by `rng`.
    """
    pixels = to_pixels(images) if seeds is None else augmented(images, seeds, shift=0)
    seen = [rng is None or bool(rng.random() >= drop_image) for _ in questions]
    prompts = interpreter.prompts(
        [item.instruction for item in questions], seen, [item.text for item in questions] if write else None
    )
    return SceneBatch(
        pixels=pixels.unsqueeze(1),
        prompts=prompts,
        points=torch.from_numpy(np.stack([item.points for item in questions])),
        presence=torch.from_numpy(np.stack([item.presence for item in questions])),
        known=torch.tensor(seen, dtype=torch.float32),
        words=words_ahead(interpreter, [item.text for item in questions]),
    )


def words_ahead(interpreter: Interpreter, texts: list[str]) -> torch.Tensor:
    """(B, words) 1 for those of what readable plans say after the facts, of the subtasks ahead."""
    columns = {word: column for column, word in enumerate(interpreter.words)}
    bags = torch.zeros(len(texts), len(columns))
    told = interpreter.tokenizer([ahead(text) for text in texts], add_special_tokens=False)["input_ids"]
    for bag, ids in zip(bags, told, strict=True):
        bag[[columns[word] for word in ids if word in columns]] = 1.0
    return bags


def ahead(text: str) -> str:
    """What a readable plan says after the facts: the subtasks ahead. Empty for other texts."""
    return plain(text.partition("now:")[2])


def visible(u: float, v: float) -> bool:
    """Whether a point is in the picture."""
    return 0.0 <= u <= 1.0 and 0.0 <= v <= 1.0


def _items(scene: StillScene) -> list[dict[str, Any]]:
    """What of a scene is kept as JSON."""
    return [
        {
            "instruction": item.instruction,
            "text": item.text,
            "keypoints": {name: [float(u), float(v)] for name, (u, v) in item.keypoints.items()},
        }
        for item in scene.items
    ]


def _question(item: dict[str, Any]) -> Question:
    """The inverse of `_items`, as arrays."""
    points, presence = np.zeros((len(NAMES), 2), np.float32), np.zeros(len(NAMES), np.float32)
    for index, name in enumerate(NAMES):
        spot = item["keypoints"].get(name)
        if spot is not None and visible(*spot):
            points[index], presence[index] = spot, 1.0
    return Question(item["instruction"], item["text"], points, presence)
