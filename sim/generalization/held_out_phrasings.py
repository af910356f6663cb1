"""Instructions that are farther from training's than its held-out phrasings, in three steps.

1: new sentences of words that training's instructions have. 2: with words, mostly verbs, that no text of
training has. 3: such sentences, and the things themselves have other names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

TEMPLATES: dict[str, tuple[tuple[str, ...], ...]] = {  # {task: of each step}; 3 takes the sentences of 2
    "reach": (
        (
            "please bring the hand over to the {target}",
            "the gripper should go to the {target} and stay there",
        ),
        ("stretch out towards the {target}", "aim at the {target}"),
    ),
    "push": (
        ("i need you to push the {target} {where}", "the {target} should end up {where}: push it"),
        ("drive the {target} {where}", "relocate the {target} {where} without grasping it"),
    ),
    "lift": (
        ("go and get the {target} up from the table", "i want you to hold the {target} in the air"),
        ("elevate the {target}", "hoist the {target} above the tabletop"),
    ),
    "place": (
        (
            "i need you to get the {target} and put it {where}",
            "take the {target} and leave it {where} please",
        ),
        ("deposit the {target} {where}", "transfer the {target} so that it rests {where}"),
    ),
    "stack": (
        ("i need you to put the {target} up on the {place}", "get the {target} and leave it on the {place}"),
        ("pile the {target} atop the {place}", "position the {target} so that it rests on the {place}"),
    ),
    "drawer": (
        ("go to the {target} and {verb} it please", "the {target} has to {verb} now"),
        ("kindly {verb} the {target} fully", "make sure to {verb} the {target} completely"),
    ),
    "press": (
        ("i need you to go and press down on the {target}", "bring the hand down on the {target} please"),
        ("depress the {target}", "trigger the {target} by poking it"),
    ),
    "sort": (
        (
            "i need the {target} {where} and the {other} {there}",
            "get the {target} {where} and get the {other} {there}",
        ),
        (
            "deposit the {target} {where} plus the {other} {there}",
            "arrange the {target} {where} while the {other} rests {there}",
        ),
    ),
}

SYNONYMS = {
    "cube": "block", "cylinder": "tube", "ball": "sphere", "bowl": "dish", "plate": "saucer",
    "zone": "circle", "button": "switch", "drawer": "compartment", "small": "little", "large": "big",
}  # fmt: skip


def templates(task: str, step: int) -> tuple[str, ...]:
    """Instruction templates of a task at a step, 1 to 3."""
    return TEMPLATES[task][min(step, 2) - 1]


def renamed(words: Mapping[str, str], step: int) -> dict[str, str]:
    """Words of a goal, at step 3 with the other names of the things."""
    if step < 3:
        return dict(words)
    return {
        field: re.sub(r"\w+", lambda match: SYNONYMS.get(match[0], match[0]), word)
        for field, word in words.items()
    }
