"""The person at the terminal is asked what to do about a skill that failed: again, skip or stop."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable

from ideomotor.launch.runtime.keyboard import in_foreground

ANSWER_S = 60.0  # that somebody has for an answer [s]
TRIES = 3  # at a word that is one of the answers
ANSWERS = {"y": "again", "s": "skip", "n": "stop"}
PROMPT = "y: again, s: skip it, n: stop"


def meant_by(word: str) -> str:
    """The answer that a key or a word stands for; empty for any other."""
    word = word.strip().lower()
    found = ANSWERS.get(word, word)
    return found if found in ANSWERS.values() else ""


def somebody_there() -> bool:
    """Whether standard input is a terminal that may be read."""
    try:
        keyboard = sys.stdin.fileno() if sys.stdin and not sys.stdin.closed else -1
    except OSError:  # it is no file at all
        return False
    return keyboard >= 0 and os.isatty(keyboard) and in_foreground(keyboard)


def ask_at_terminal(question: str, say: Callable[[str], None], seconds: float = ANSWER_S) -> str:
    """The answer, "again", "skip" or "stop"; empty where there is no terminal, or nobody answers in time."""
    if not somebody_there():
        return ""
    keyboard, until = sys.stdin.fileno(), time.monotonic() + seconds
    for _ in range(TRIES):
        say(f"question     {question}\n             {PROMPT} (within {seconds:.0f} s)")
        left = max(0.0, until - time.monotonic())
        if not select.select([keyboard], [], [], left)[0]:
            return ""
        typed = os.read(keyboard, 256)
        if not typed:
            return ""
        if answer := meant_by(typed.decode(errors="replace")):
            return answer
    return ""
