"""Batches of questions about pictures, rendered or recorded, as the interpreter learns them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.instruction_augmentation import augmented_instruction
from ideomotor.train.recipe import InterpreterRecipe
from ideomotor.train.scenes.objective import SceneBatch
from ideomotor.train.scenes.pool import Question, visible
from ideomotor.vla.images import augmented, to_pixels
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.language import plain

LONG = ("instruction", "description")  # kinds whose texts are long


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
    proprio = proprio_of(questions, interpreter.config.proprio) if proprio is None else proprio
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


def recorded_questions(
    loader: WindowLoader,
    rows_of: list[range],
    rng: np.random.Generator,
    count: int,
    cameras: tuple[str, ...] = ("front",),
) -> tuple[np.ndarray, list[bool], list[Question]]:
    """Random recorded frames of these rows, each with its own instruction.

    Returns:
        Pictures (count, cameras, H, W, 3) uint8, black where the data lacks a camera; which cameras it has
        (another one stands in for a front camera that it lacks); and a question each.
    """
    ends = np.cumsum([len(rows) for rows in rows_of])
    picks = rng.integers(0, ends[-1], count)
    which = np.searchsorted(ends, picks, side="right")
    rows = np.array([rows_of[k][d - ends[k]] for k, d in zip(which, picks, strict=True)])
    zeros = np.zeros(count, np.int64)
    batch = loader.windows(rows, zeros, zeros)
    frames = batch.now
    points = frames.keypoints.reshape(count, 2, 3)
    columns = zip(batch.instruction, frames.plan_text, points, frames.state, strict=True)
    questions = [question_of(*one) for one in columns]
    images = frames.images
    first = images[cameras[0]] if cameras[0] in images else images[sorted(images)[0]]
    views = [first, *(images.get(camera, np.zeros_like(first)) for camera in cameras[1:])]
    return np.stack(views, axis=1), [True, *(camera in images for camera in cameras[1:])], questions


def question_of(instruction: str, text: str, spots: np.ndarray, state: np.ndarray) -> Question:
    """A recorded frame as a question, with spots (M, 3) u, v and whether it is known; NaN is not."""
    presence = np.array([s[2] > 0.5 and visible(s[0], s[1]) for s in spots], np.float32)
    points = np.where(presence[:, None] > 0, spots[:, :2], 0.0).astype(np.float32)
    return Question(instruction, text, points, presence, state=state)


def rephrased(question: Question, rng: np.random.Generator, stage: InterpreterRecipe) -> Question:
    """The same question with its instruction varied; an instruction may be left out, a question is not."""
    dropped = stage.drop_instruction if question.kind == "instruction" else 0.0
    return replace(
        question, instruction=augmented_instruction(question.instruction, rng, stage.unknown_words, dropped)
    )
