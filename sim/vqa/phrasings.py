"""How questions about a scene are asked: data that `questions.py` fills in."""

from __future__ import annotations

# {form: phrasings}, the last HELD_OUT_PHRASINGS never trained on; a form's kind is before its slash.
PHRASINGS: dict[str, tuple[str, ...]] = {
    "description/all": (
        "describe the scene", "what is on the table", "list the things on the table", "what do you see",
        "tell me what is here", "what do you see on the table", "describe what is here",
    ),
    "reference/thing": (
        "locate {it}", "look at {it}", "which thing is {it}", "search for {it}", "identify {it}",
        "look for {it}", "which one is {it}",
    ),
    "relation/holds": (
        "is the {a} {how} the {b}", "does the {a} stand {how} the {b}", "the {a}: is it {how} the {b}",
        "do you see the {a} {how} the {b}", "is it true that the {a} is {how} the {b}",
        "tell me: is the {a} {how} the {b}", "do you see that the {a} is {how} the {b}",
    ),
    "neighbour/what": (
        "what is {how} the {b}", "which thing is {how} the {b}", "what do you see {how} the {b}",
        "what stands {how} the {b}", "name what is {how} the {b}",
        "tell me what is {how} the {b}", "which thing stands {how} the {b}",
    ),
    "counting/things": (
        "how many {what} are there", "how many {what} do you see", "count the {what}",
        "how many {what} are on the table", "what is the number of {what}",
        "count the {what} on the table", "tell me how many {what} are there",
    ),
    "colour/of": (
        "what colour is {it}", "which colour is {it}", "name the colour of {it}",
        "what is the colour of {it}", "which colour has {it}",
        "tell me the colour of {it}", "{it}: what colour is it",
    ),
    "shape/of": (
        "what shape is {it}", "which shape is {it}", "name the shape of {it}", "what is the shape of {it}",
        "which shape has {it}", "tell me the shape of {it}", "{it}: what shape is it",
    ),
    "size/of": (
        "what size is {it}", "is {it} small or large", "which size has {it}", "what is the size of {it}",
        "name the size of {it}", "tell me the size of {it}", "{it}: is it small or large",
    ),
    "held/what": (
        "what is in the hand", "what do you hold", "what does the hand hold", "name what is in the hand",
        "which thing is in the hand", "tell me what is in the hand", "which thing do you hold",
    ),
    "held/this": (
        "is the {a} in the hand", "do you hold the {a}", "does the hand hold the {a}",
        "the {a}: do you hold it", "is it true that the {a} is in the hand",
        "tell me: do you hold the {a}", "the {a}: is it in the hand",
    ),
    "subtask/now": (
        "{instruction}: what is to be done now", "{instruction}: which step is it now",
        "{instruction}: what do you do now", "{instruction}: name the step now",
        "which step is it now: {instruction}",
        "{instruction}: tell me what is to be done now", "what do you do now: {instruction}",
    ),
    "done/all": (
        "{instruction}: is it done", "{instruction}: are you done", "{instruction}: is that all done",
        "is it done: {instruction}", "are you done now: {instruction}",
        "{instruction}: tell me, is it done", "is that all done: {instruction}",
    ),
    "done/step": (
        "{instruction}: is this done: {step}", "{instruction}: are you done with this step: {step}",
        "{instruction}: is the step to {step} done", "is the step to {step} done: {instruction}",
        "{instruction}: is it done: {step}",
        "{instruction}: is that step done: {step}", "is this done: {step}: {instruction}",
    ),
}  # fmt: skip
