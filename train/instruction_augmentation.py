"""Instructions with words that nobody trained on thrown in, so that a model learns to read past them, or left
out."""

from __future__ import annotations

import string

import numpy as np

LETTERS = np.array(list(string.ascii_lowercase))
MOST = 3  # words thrown into one instruction
LONGEST = 7  # letters of a word


def augmented_instruction(
    instruction: str, rng: np.random.Generator, unknown_words: float, dropped: float
) -> str:
    """The instruction, in share `dropped` of cases none, and of the others see `with_unknown_words`."""
    if dropped and rng.random() < dropped:
        return ""
    return with_unknown_words(instruction, rng, unknown_words)


def with_unknown_words(instruction: str, rng: np.random.Generator, share: float) -> str:
    """The instruction, in `share` of cases with one to three words of random letters in random places.

    A tokenizer breaks words it does not know into pieces, much as it breaks these.
    """
    if not instruction or rng.random() >= share:
        return instruction
    words = instruction.split(" ")
    for _ in range(rng.integers(1, MOST + 1)):
        word = "".join(rng.choice(LETTERS, rng.integers(2, LONGEST + 1)))
        words.insert(int(rng.integers(len(words) + 1)), word)
    return " ".join(words)
