"""The tokens that a prompt is made of beside words, and its limits. Imports no torch."""

from __future__ import annotations

PLAN_QUERIES = 8
PLAN_TOKENS = tuple(f"<plan_{i}>" for i in range(PLAN_QUERIES))
IMAGE_TOKEN = "<image>"
NO_IMAGE_TOKEN = "<no_image>"  # stands for each image token of a missing camera
NO_INSTRUCTION_TOKEN = "<no_instruction>"
ADDED_TOKENS = (IMAGE_TOKEN, NO_IMAGE_TOKEN, NO_INSTRUCTION_TOKEN, *PLAN_TOKENS)
END_TOKEN = "</s>"  # of nano's tokenizer
MAX_WORDS, MAX_TEXT = 48, 80  # tokens of an instruction and of a readable plan; what is longer is cut


def plain(text: str) -> str:
    """Lower case, single spaces: what the tokenizer is trained on and what it reads."""
    return " ".join(text.lower().split())
