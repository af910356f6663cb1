"""Instructions that are farther from training's than its held-out phrasings, in three steps.

1: new sentences of words that training's instructions have. 2: with words, mostly verbs, that no text of
training has. 3: such sentences, and the things themselves have other names. The sentences are the tasks'
(`Task.harder_instructions`), the other names are here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ideomotor.sim.task import Task

SYNONYMS = {
    "cube": "block", "cylinder": "tube", "ball": "sphere", "bowl": "dish", "plate": "saucer",
    "zone": "circle", "button": "switch", "drawer": "compartment", "small": "little", "large": "big",
}  # fmt: skip


def templates(task: Task, step: int) -> tuple[str, ...]:
    """Instruction templates of a task at a step, 1 to 3; 3 takes the sentences of 2."""
    return task.harder_instructions[min(step, 2) - 1]


def renamed(words: Mapping[str, str], step: int) -> dict[str, str]:
    """Words of a goal, at step 3 with the other names of the things."""
    if step < 3:
        return dict(words)
    return {
        field: re.sub(r"\w+", lambda match: SYNONYMS.get(match[0], match[0]), word)
        for field, word in words.items()
    }
