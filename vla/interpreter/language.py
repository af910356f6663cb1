"""Words in and out of the interpreter: the tokenizer we train, and prompts as token ids.

A prompt is `image tokens, instruction, <plan_0> … <plan_7>` and, when the model shall read or learn the
readable plan, that text and `</s>`. The plan queries are ordinary added tokens, so the same prompt works
for any language model whose embedding table has been extended by `ADDED_TOKENS`; a pretrained one gets it
in the `Frame` of the words it is used to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from ideomotor.vla.interpreter.vocabulary import (
    ADDED_TOKENS,
    END_TOKEN,
    IMAGE_TOKEN,
    MAX_TEXT,
    MAX_WORDS,
    NO_IMAGE_TOKEN,
    NO_INSTRUCTION_TOKEN,
    PLAN_TOKENS,
    plain,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100  # label that the cross-entropy skips
ROUND = 16  # batches are padded to a multiple: few shapes, few kernels to prepare and keep in memory


@dataclass(frozen=True)
class Frame:
    """Token ids around the parts of a prompt: what a pretrained model is used to."""

    opening: tuple[int, ...] = ()
    before: tuple[int, ...] = ()  # each picture
    after: tuple[int, ...] = ()
    asking: tuple[int, ...] = ()  # before the instruction
    closing: tuple[int, ...] = ()  # before the plan queries
    pictures: int = 1
    context: int = 0  # tokens that all pictures together are pooled into; 0: each has its own


BARE = Frame()


@dataclass(frozen=True)
class Prompts:
    """A batch of prompts, padded on the right (causal attention never sees the padding)."""

    ids: torch.Tensor  # (B, L) int64
    plan_at: torch.Tensor  # (B, K) int64, positions of the plan queries
    labels: torch.Tensor  # (B, L) int64, the text's tokens, IGNORED elsewhere
    state: torch.Tensor  # (B, D) [rad or m], NaN where unknown; D is 0 if the model has no use for it

    def to(self, device: torch.device | str) -> Prompts:
        """The same on another device."""
        moved = (part.to(device) for part in (self.ids, self.plan_at, self.labels, self.state))
        return Prompts(*moved)


def train_tokenizer(corpus: Iterable[str], vocabulary: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: frequent words become one token, unknown ones fall back to bytes."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", END_TOKEN, *ADDED_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((plain(line) for line in corpus), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token=END_TOKEN,
        additional_special_tokens=list(ADDED_TOKENS),
    )


def encode_prompts(
    tokenizer: Any,
    instructions: Sequence[str],
    image_tokens: int,
    has_image: Sequence[bool | Sequence[bool]],
    texts: Sequence[str | None] | None = None,
    max_words: int = MAX_WORDS,
    max_text: int = MAX_TEXT,
    frame: Frame = BARE,
    state: torch.Tensor | None = None,
) -> Prompts:
    """Token ids of a batch.

    Args:
        tokenizer: one that knows ADDED_TOKENS.
        instructions: (B,) may be empty strings.
        image_tokens: how many tokens the vision half gives for one sample, all pictures together.
        has_image: (B,) whether the sample's pictures are there, or (B, pictures) which of them.
        texts: (B,) readable plans to learn; None, or None for a sample, leaves the text out.
        max_words: instructions are cut after this many tokens, texts after `max_text`.
        frame: what stands around the parts.
        state: (B, D) that goes with them, see `Prompts`.
    """
    one = tokenizer.convert_tokens_to_ids
    image, no_image, silent = one(IMAGE_TOKEN), one(NO_IMAGE_TOKEN), one(NO_INSTRUCTION_TOKEN)
    plan = [one(token) for token in PLAN_TOKENS]
    words = _ids(tokenizer, instructions)
    answers = _ids(tokenizer, [text or "" for text in texts]) if texts is not None else None
    rows: list[list[int]] = []
    starts: list[int] = []
    for index, ids in enumerate(words):
        there = has_image[index]
        head = [*frame.opening]
        every = [bool(there[p] if isinstance(there, Sequence) else there) for p in range(frame.pictures)]
        for shown in every:  # where they are pooled, one token only tells whether there is a picture
            tokens = [image if shown else no_image] * (1 if frame.context else image_tokens // frame.pictures)
            head += [*frame.before, *tokens, *frame.after]
        head += [image if any(every) else no_image] * frame.context
        head += [*frame.asking, *(ids[:max_words] or [silent]), *frame.closing]
        starts.append(len(head))
        tail: list[int] = []
        if answers is not None and texts is not None and texts[index]:
            tail = [*answers[index][:max_text], tokenizer.eos_token_id]
        rows.append(head + plan + tail)
    longest = max(len(row) for row in rows)
    length = longest if len(rows) == 1 else -(-longest // ROUND) * ROUND
    padded = torch.full((len(rows), length), tokenizer.pad_token_id, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED, dtype=torch.long)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row)
        text_at = starts[index] + len(plan)
        labels[index, text_at : len(row)] = padded[index, text_at : len(row)]
    plan_at = torch.tensor(starts)[:, None] + torch.arange(len(plan))
    state = torch.zeros(len(rows), 0) if state is None else state
    return Prompts(ids=padded, plan_at=plan_at, labels=labels, state=state)


def encode_texts(tokenizer: Any, texts: Sequence[str], most: int = 80) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts by themselves: ids (B, L) int64, padded on the right, and (B,) the position of each `</s>`."""
    rows = [[*ids[:most], tokenizer.eos_token_id] for ids in _ids(tokenizer, texts)]
    length = -(-max(map(len, rows)) // ROUND) * ROUND
    padded = torch.full((len(rows), length), tokenizer.pad_token_id, dtype=torch.long)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row)
    return padded, torch.tensor([len(row) - 1 for row in rows])


def pieces(tokenizer: Any, parts: Sequence[str]) -> tuple[int, ...]:
    """Ids of special tokens and of plain text. A special token that the tokenizer lacks is left out."""
    known, ids = tokenizer.get_vocab(), []
    for part in parts:
        if part in known:
            ids.append(known[part])
        elif not (part[0] in "<[" and part[-1] in ">]"):
            ids += tokenizer(part, add_special_tokens=False)["input_ids"]
    return tuple(ids)


def decode_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The readable plan that these tokens spell."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True)).strip()


def _ids(tokenizer: Any, lines: Sequence[str]) -> list[list[int]]:
    """Token ids of each line, without special tokens."""
    found = tokenizer([plain(line) for line in lines], add_special_tokens=False)["input_ids"]
    return [list(ids) for ids in found]
