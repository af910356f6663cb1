"""What an interpreter knows about scenes and phrasings that it was never trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ideomotor.train.device import to_device
from ideomotor.train.scenes.batch import scene_batch
from ideomotor.train.scenes.pool import Mixture, ScenePool
from ideomotor.vla.interpreter.interpreter import Interpreter

EXAMINED = 256  # held-out pictures in an examination


@torch.inference_mode()
def examine(interpreter: Interpreter, held_out: ScenePool, pictures: int = EXAMINED) -> dict[str, float]:
    """Figures on scenes and phrasings never trained on: distance of the points in pixels, presence, text
    loss, how often exactly the words of the subtasks ahead are named, and questions answered.

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
        **examine_answers(interpreter, held_out, pictures // 2),
    }


def examine_answers(interpreter: Interpreter, held_out: ScenePool, pictures: int) -> dict[str, float]:
    """Share of short answers whose every token is the likeliest one, which is to write them greedily.

    Empty where nothing is asked. `ideomotor eval --suite questions` says more.
    """
    rng, short = np.random.default_rng(1), replace(Mixture(), instruction=0.0, description=0.0)
    device, asked, wrong = next(interpreter.parameters()).device, 0, 0
    for _ in range(max(1, pictures // 16)):
        images, questions = held_out.draw(rng, 16, 4, short)
        batch = to_device(scene_batch(interpreter, images, questions, write=False), device)
        reading = interpreter(batch.pixels, batch.prompts)
        if reading.logits is not None and reading.text_labels is not None:
            rows = (batch.prompts.labels[:, 1:] >= 0).nonzero()[:, 0]
            asked += len(rows.unique())
            wrong += len(rows[reading.logits.argmax(-1) != reading.text_labels].unique())
    return {"held_out_answers": 1 - wrong / asked} if asked else {}
