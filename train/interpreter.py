"""Stage 1: the interpreter, on rendered still scenes mixed with frames of recorded data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from ideomotor.datasets import layout, store
from ideomotor.datasets.loader import WindowLoader
from ideomotor.train.parallel import own_rows
from ideomotor.train.recipe import InterpreterRecipe, Recipe
from ideomotor.train.scene_objective import SceneBatch, SceneObjective
from ideomotor.train.scenes import Question, ScenePool, ahead, make_pool, scene_batch, visible
from ideomotor.train.trainer import fit
from ideomotor.train.wording import with_unknown_words
from ideomotor.vla.checkpoint import load_interpreter
from ideomotor.vla.interpreter import Interpreter, InterpreterConfig, nano_vlm
from ideomotor.vla.language import train_tokenizer
from ideomotor.vla.pretrained import adopt

EXAMINED = 256  # held-out pictures in an examination


def train_interpreter(
    recipe: Recipe,
    out: Path,
    recorded: WindowLoader | None,
    resume: bool = False,
    told: Callable[[str], None] = lambda line: None,
) -> tuple[Interpreter, dict[str, float]]:
    """A trained interpreter and its figures on held-out scenes.

    Args:
        recipe: `recipe.scenes` is this stage.
        out: where state and metrics go.
        recorded: frames to mix in; None for scenes only.
        resume: continue from the state in `out`.
        told: called with lines about what is going on.
    """
    stage, state = recipe.scenes, PartialState()
    with state.main_process_first():
        pool, held_out = make_pool(
            store.default_root().parent / "scenes",
            stage.pool,
            recipe.workers,
            lambda done, total: told(f"rendering scenes: shard {done} of {total}"),
        )
    torch.manual_seed(stage.train.seed)
    if stage.start:
        interpreter = load_interpreter(Path(stage.start))
    else:
        interpreter = new_interpreter(stage, pool, recorded)
    interpreter.plan_head.requires_grad_(False)  # is trained with the decoder
    if recipe.compile:
        interpreter.family.language(interpreter.vlm).compile(dynamic=True)
        interpreter.family.vision(interpreter.vlm).compile()

    rows = annotated(recorded)

    def batch_at(step: int) -> SceneBatch:
        chance = np.random.default_rng([stage.train.seed, step])
        rng = np.random.default_rng([stage.train.seed, step, 0])
        write = bool(chance.random() < stage.write_share)
        pictures = max(state.num_processes, stage.pictures)
        if recorded is not None and rows and chance.random() < stage.recorded_share:
            images, questions = recorded_questions(recorded, rows, rng, 2 * pictures)
        else:
            images, questions = pool.draw(rng, pictures, stage.group)
        seeds = rng.integers(0, 2**64, len(images), dtype=np.uint64)
        questions = [rephrased(question, rng, stage.unknown_words) for question in questions]
        mine, group = own_rows(len(images)), len(questions) // len(images)
        rng.random(mine.start * group)  # what the processes before this one draw in `scene_batch`
        return scene_batch(
            interpreter,
            images[mine],
            questions[mine.start * group : mine.stop * group],
            write=write,
            seeds=seeds[mine],
            drop_image=stage.drop_image,
            rng=rng,
        )

    metrics = fit(
        "interpreter",
        SceneObjective(interpreter, stage.weights),
        batch_at,
        stage.pictures * stage.group,
        stage.train,
        out,
        resume,
        lambda: examine(interpreter, held_out),
    )
    interpreter.plan_head.requires_grad_(True)
    return interpreter, metrics


def new_interpreter(stage: InterpreterRecipe, pool: ScenePool, recorded: WindowLoader | None) -> Interpreter:
    """An untrained interpreter: nano with a tokenizer of the words that occur, or one around a base."""
    corpus = pool.texts()[:40000]
    if recorded is not None:
        for cache in recorded.caches:
            corpus += [str(line) for texts in cache.vocabulary.values() for line in texts] * 4
    if stage.base:
        spoken = sorted({ahead(line) for line in corpus})
        vlm, tokenizer, base = adopt(
            stage.base, stage.tuning, spoken, stage.image_tokens, stage.lora_rank, stage.copy_base
        )
        config = InterpreterConfig(cameras=(stage.pool.camera,), layer=stage.layer, pretrained=base)
        return Interpreter(vlm, tokenizer, config)
    tokenizer = train_tokenizer(corpus, stage.vocabulary)
    vlm = nano_vlm(tokenizer, stage.vision_width, stage.text_width, stage.layers)
    return Interpreter(vlm, tokenizer, InterpreterConfig(cameras=(stage.pool.camera,)))


def annotated(loader: WindowLoader | None) -> list[range]:
    """Rows of the datasets that say what a frame shows. Other people's rarely do: nothing to learn here."""
    if loader is None:
        return []
    starts = np.cumsum([0, *loader.sizes]).tolist()
    known = [{layout.KEYPOINTS, "plan_text"} <= set(cache.columns) for cache in loader.caches]
    return [range(*span) for span, knows in zip(pairwise(starts), known, strict=True) if knows]


def recorded_questions(
    loader: WindowLoader, rows_of: list[range], rng: np.random.Generator, count: int
) -> tuple[np.ndarray, list[Question]]:
    """Random recorded frames of these rows, each with its own instruction."""
    ends = np.cumsum([len(rows) for rows in rows_of])
    drawn = rng.integers(0, ends[-1], count)
    which = np.searchsorted(ends, drawn, side="right")
    rows = np.array([rows_of[k][d - ends[k]] for k, d in zip(which, drawn, strict=True)])
    zeros = np.zeros(count, np.int64)
    batch = loader.windows(rows, zeros, zeros)
    points = batch["keypoints"].reshape(count, 2, 3)
    questions = []
    for instruction, text, spots in zip(batch["instruction"], batch["text"], points, strict=True):
        presence = np.array([s[2] > 0.5 and visible(s[0], s[1]) for s in spots], np.float32)
        spots_uv = (spots[:, :2] * presence[:, None]).astype(np.float32)
        questions.append(Question(instruction, text, spots_uv, presence))
    camera = sorted(batch["images"])[0]
    return batch["images"]["front" if "front" in batch["images"] else camera], questions


def rephrased(question: Question, rng: np.random.Generator, share: float) -> Question:
    """The same question, in this share of cases with unknown words thrown into its instruction."""
    return replace(question, instruction=with_unknown_words(question.instruction, rng, share))


@torch.inference_mode()
def examine(interpreter: Interpreter, held_out: ScenePool, pictures: int = EXAMINED) -> dict[str, float]:
    """Figures on scenes and phrasings never trained on: distance of the points in pixels, presence, text
    loss, and how often exactly the words of the subtasks ahead are named.

    `swap_error` is the distance to the same points when the questions about a picture change places:
    what a model that ignores the instruction would get on both.
    """
    rng = np.random.default_rng(0)
    errors, swapped, right, worded, losses = [], [], [], [], []
    device = next(interpreter.parameters()).device
    for _ in range(max(1, pictures // 16)):
        images, questions = held_out.draw(rng, 16, 3)
        batch = scene_batch(interpreter, images, questions)
        prompts = type(batch.prompts)(*(t.to(device) for t in vars(batch.prompts).values()))
        reading = interpreter(batch.pixels.to(device), prompts)
        points, presence = reading.pointing.points.cpu(), reading.pointing.presence.cpu()
        there = batch.presence > 0
        size = interpreter.config.image_size
        errors.append(((points - batch.points).norm(dim=-1) * size)[there])
        rolled = points.unflatten(0, (16, 3)).roll(1, dims=1).flatten(0, 1)
        swapped.append(((rolled - batch.points).norm(dim=-1) * size)[there])
        worded.append(((reading.words.cpu() > 0) == (batch.words > 0)).all(-1).float())
        right.append(((presence > 0) == there).float().flatten())
        if reading.logits is not None and reading.text_labels is not None:
            losses.append(
                torch.nn.functional.cross_entropy(reading.logits.float(), reading.text_labels).cpu()
            )
    error = torch.cat(errors)
    return {
        "held_out_pixel_p50": float(error.median()),
        "held_out_pixel_p90": float(error.quantile(0.9)),
        "held_out_within_3px": float((error < 3).float().mean()),
        "held_out_swap_pixel_p50": float(torch.cat(swapped).median()),
        "held_out_words": float(torch.cat(worded).mean()),
        "held_out_presence": float(torch.cat(right).mean()),
        "held_out_text_loss": float(torch.stack(losses).mean()) if losses else 0.0,
    }
