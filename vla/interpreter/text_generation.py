"""Text that the interpreter writes: answers to questions, and the readable plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ideomotor.vla.interpreter.families import say
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.language import Prompts, decode_text
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
    return _write(interpreter, interpreter.encode_images(pixels), prompts, limit)


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
    return _write(interpreter, encoded, prompts, limit)[0]


def _write(interpreter: Interpreter, encoded: EncodedImages, prompts: Prompts, limit: int) -> list[str]:
    """One text for each of N prompts about B pictures, a token a step, over a key-value cache.

    Prompts are padded on the right: what is written comes after the padding, does not see it, and counts its
    positions from the end of its own prompt.
    """
    ids, ends = prompts.ids, prompts.plan_at[:, -1]
    rows, device = torch.arange(len(ids), device=ids.device), ids.device
    embeddings, also = interpreter.embed(encoded, ids, prompts.state)
    also.setdefault("position_ids", torch.arange(ids.shape[1], device=device).expand(len(ids), -1))
    last = also["position_ids"][..., rows, ends]  # (N,), or (3, N): along each axis
    seen = torch.arange(ids.shape[1], device=device) <= ends[:, None]
    out = interpreter.hidden_states(embeddings, also, use_cache=True)
    hidden, written = out.last_hidden_state[rows, ends], list[torch.Tensor]()
    eos, done = interpreter.tokenizer.eos_token_id, torch.zeros(len(ids), dtype=torch.bool, device=device)
    while len(written) < limit:
        words = _likeliest(interpreter, hidden).masked_fill(done, eos)
        done = done | (words == eos)
        if done.all():
            break
        written.append(words)
        seen = F.pad(seen, (0, 1), value=True)
        step = {"position_ids": (last + len(written)).unsqueeze(-1)}
        if not seen.all():
            step["attention_mask"] = seen
        out = interpreter.hidden_states(
            interpreter.embed_words(words[:, None]), step, use_cache=True, past_key_values=out.past_key_values
        )
        hidden = out.last_hidden_state[:, -1]
    texts = torch.stack(written, 1).tolist() if written else [[]] * len(ids)
    return [decode_text(interpreter.tokenizer, text[: (text + [eos]).index(eos)]) for text in texts]


def _likeliest(interpreter: Interpreter, hidden: torch.Tensor) -> torch.Tensor:
    """(N, d) last hidden states -> (N,) ids of the next tokens."""
    scores = say(interpreter.vlm, hidden)
    return (scores if interpreter.added is None else interpreter.added.unsaid(scores)).argmax(-1)
