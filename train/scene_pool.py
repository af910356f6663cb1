"""A pool of rendered still scenes on disk, read as memory maps, and batches of questions about them."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ideomotor.control.errors import UserError
from ideomotor.sim.vqa.questions import KINDS
from ideomotor.sim.vqa.synthetic_scenes import CAMERAS
from ideomotor.train.scene_objective import SceneBatch
from ideomotor.train.scene_shards import PoolSettings, Progress, render_shards
from ideomotor.vla.images import augmented, to_pixels
from ideomotor.vla.interpreter import Interpreter
from ideomotor.vla.language import plain

NAMES = ("target", "place")
LONG = ("instruction", "description")  # kinds whose texts are long


@dataclass(frozen=True)
class Mixture:
    """How often questions of each kind are drawn, relative to each other.

    A scene that has no question of the kind drawn is asked one of another kind.
    """

    instruction: float = 0.5  # what a policy needs; the others are `sim.questions.KINDS`
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
        cameras: whose pictures are drawn, of `sim.still.CAMERAS`.

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


def scene_batch(
    interpreter: Interpreter,
    images: np.ndarray,
    questions: list[Question],
    *,
    write: bool = True,
    seeds: np.ndarray | None = None,
    seen: np.ndarray | None = None,
    proprio: np.ndarray | None = None,
) -> SceneBatch:
    """Puts a batch together: (B, cameras, H, W, 3) pictures with G questions each.

    Args:
        write: whether long texts are learned from this batch; if not, descriptions are aligned with their
            pictures by an interpreter that can.
        seeds: (B, cameras) uint64, of random colours; None leaves the pictures as they are. Never shifts:
            points are absolute.
        seen: (N, cameras) bool, which cameras' pictures each question is asked with, see `camera_mask`;
            None: all.
        proprio: (N, D) the joint states that questions are asked with, see `proprio_of`; None: as they are.
    """
    count, cameras = images.shape[:2]
    proprio = proprio_of(questions, interpreter.config.state) if proprio is None else proprio
    flat = images.reshape(count * cameras, *images.shape[2:])
    pixels = to_pixels(flat) if seeds is None else augmented(flat, seeds.reshape(-1), shift=0)
    seen = np.ones((len(questions), cameras), bool) if seen is None else seen
    texts = [item.text or None if write or item.kind not in LONG else None for item in questions]
    prompts = interpreter.prompts([item.instruction for item in questions], seen.tolist(), texts, proprio)
    described = [item.scene for item in questions[:: len(questions) // count]]
    aligned = interpreter.align is not None and not write and all(described)
    ids, ends = interpreter.encoded(described) if aligned else (None, None)
    names = torch.tensor([zlib.crc32(text.encode()) for text in described])
    return SceneBatch(
        pixels=pixels.unflatten(0, (count, cameras)),
        prompts=prompts,
        points=torch.from_numpy(np.stack([item.points for item in questions])),
        presence=torch.from_numpy(np.stack([item.presence for item in questions])),
        known=torch.tensor(seen[:, 0], dtype=torch.float32),
        words=words_ahead(interpreter, [item.text for item in questions]),
        is_instruction=torch.tensor([float(item.kind == "instruction") for item in questions]),
        short=torch.tensor([item.kind not in LONG for item in questions]),
        described=ids,
        described_ends=ends,
        described_names=names,
    )


def camera_mask(
    rng: np.random.Generator,
    count: int,
    cameras: int,
    there: Sequence[bool] | None = None,
    drop_image: float = 0.0,
    drop_camera: float = 0.0,
) -> np.ndarray:
    """(count, cameras) bool: which cameras' pictures each of `count` questions is asked with.

    Args:
        there: (cameras,) which cameras' pictures there are; None: all.
        drop_image: share of questions that are asked without any picture.
        drop_camera: share of questions from which each camera is missing, where there are several.
    """
    seen = np.tile(np.array(there or [True] * cameras), (count, 1))
    seen &= rng.random((count, 1)) >= drop_image
    return seen & ((rng.random((count, cameras)) >= drop_camera) | (cameras == 1))


def proprio_of(
    questions: Sequence[Question],
    size: int,
    rng: np.random.Generator | None = None,
    drop: float = 0.0,
    jitter: float = 0.0,
) -> np.ndarray:
    """(N, size) float32 joint states of questions, NaN where they are not given.

    Args:
        size: numbers of a state; of another robot's it is not given.
        rng: of what follows; None: none of it happens.
        drop: share of the questions that are asked without it.
        jitter: standard deviation of what is added [rad or m].
    """
    states = np.full((len(questions), size), np.nan, np.float32)
    for row, question in zip(states, questions, strict=True):
        if question.state is not None and len(question.state) == size:
            row[:] = question.state
    if rng is not None:
        states += proprio_noise(rng, *states.shape, drop, jitter)
    return states


def proprio_noise(rng: np.random.Generator, count: int, size: int, drop: float, jitter: float) -> np.ndarray:
    """(count, size) float32, to be added to joint states: noise, and NaN to leave out; see `proprio_of`."""
    noise = rng.normal(0.0, jitter, (count, size)).astype(np.float32)
    noise[rng.random(count) < drop] = np.nan
    return noise


def words_ahead(interpreter: Interpreter, texts: list[str]) -> torch.Tensor:
    """(B, words) 1 for those of what readable plans say after the facts, of the subtasks ahead."""
    columns = {word: column for column, word in enumerate(interpreter.words)}
    bags = torch.zeros(len(texts), len(columns))
    tokens = interpreter.tokenizer([ahead(text) for text in texts], add_special_tokens=False)["input_ids"]
    for bag, ids in zip(bags, tokens, strict=True):
        bag[[columns[word] for word in ids if word in columns]] = 1.0
    return bags


def ahead(text: str) -> str:
    """What a readable plan says after the facts: the subtasks ahead. Empty for other texts."""
    return plain(text.partition("now:")[2])


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
