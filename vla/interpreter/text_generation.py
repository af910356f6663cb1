"""Text that the interpreter writes: answers to questions, and the readable plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ideomotor.vla.interpreter.families import say
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.language import ROUND, Prompts, decode_text
from ideomotor.vla.interpreter.output import EncodedImages


@torch.inference_mode()
def write_answers(
    interpreter: Interpreter, pixels: torch.Tensor, prompts: Prompts, limit: int = 16
) -> list[str]:
    """What is written, greedily, after each of G prompts about each of B pictures, N = B G in order.

    Args:
        interpreter: who writes.
        pixels: (B, cameras, 3, H, W) in [-1, 1].
        prompts: without texts.
        limit: tokens of an answer at the most.
    """
    encoded, ids = interpreter.encode_images(pixels), prompts.ids
    rows = torch.arange(len(ids), device=ids.device)
    ends = prompts.plan_at[:, -1]  # of what has been read or written
    first, done = ends + 1, torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    eos, pad = interpreter.tokenizer.eos_token_id, interpreter.tokenizer.pad_token_id
    for _ in range(limit):
        out = interpreter.hidden_states(*interpreter.embed(encoded, ids, prompts.state))
        words = _likeliest(interpreter, out.last_hidden_state[rows, ends])
        done = done | (words == eos)
        if done.all():
            break
        ends = torch.where(done, ends, ends + 1)
        if int(ends.amax()) >= ids.shape[1]:
            ids = F.pad(ids, (0, ROUND), value=pad)
        ids = ids.scatter(1, ends[:, None], torch.where(done, ids[rows, ends], words)[:, None])
    spans = zip(ids.tolist(), first.tolist(), ends.tolist(), strict=True)
    return [decode_text(interpreter.tokenizer, row[begin : end + 1]) for row, begin, end in spans]


@torch.inference_mode()
def write_plan(
    interpreter: Interpreter,
    encoded: EncodedImages,
    instruction: str,
    has_image: bool | Sequence[bool] = True,
    limit: int = 80,
    state: np.ndarray | None = None,
) -> str:
    """The readable plan, written greedily.

    Args:
        interpreter: who writes.
        encoded: the pictures of one sample.
        instruction: what to do.
        has_image: whether the pictures are there, or which of them.
        limit: tokens at the most.
        state: (D,) joint state of the sample [rad or m]; None: unknown.
    """
    states = None if state is None else state[None]
    prompts = interpreter.prompts([instruction], [has_image], state=states).to(encoded.tokens.device)
    embeddings, also = interpreter.embed(encoded, prompts.ids, prompts.state)
    out = interpreter.hidden_states(embeddings, also, use_cache=True)
    at = also["position_ids"].amax() if interpreter.family.axes else None
    words: list[int] = []
    while len(words) < limit:
        word = int(_likeliest(interpreter, out.last_hidden_state[:, -1]))
        if word == interpreter.tokenizer.eos_token_id:
            break
        words.append(word)
        step = interpreter.embed_words(torch.tensor([[word]], device=embeddings.device))
        also = {} if at is None else {"position_ids": (at + len(words)).expand(3, 1, 1)}
        out = interpreter.hidden_states(step, also, use_cache=True, past_key_values=out.past_key_values)
    return decode_text(interpreter.tokenizer, words)


def _likeliest(interpreter: Interpreter, hidden: torch.Tensor) -> torch.Tensor:
    """(N, d) last hidden states -> (N,) ids of the next tokens."""
    scores = say(interpreter.vlm, hidden)
    return (scores if interpreter.added is None else interpreter.added.unsaid(scores)).argmax(-1)
