"""How well an interpreter answers questions about scenes it never saw, asked in phrasings it never read.

Answers are written greedily and right only if they say exactly what the simulator says. Three who do not see
are asked too: whoever always says a kind's most frequent answer in this very list, whoever says for each form
of question what was most often right in training's scenes, and the interpreter itself without its pictures.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ideomotor.eval.plans import PlanScore, figures, taken_apart
from ideomotor.eval.stats.measures import rate
from ideomotor.sim.vqa.questions import KINDS, Grounding
from ideomotor.sim.vqa.synthetic_scenes import PER_LAYOUT, SyntheticScene, synthetic_scenes
from ideomotor.vla.images import to_pixels
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.text_generation import write_answers
from ideomotor.vla.resizing import resized

SUITE = "questions"
AMONG = 64  # descriptions to find a picture's own among
FITTED_ON = 240  # scenes of training, for the best answer to each form
SHORT, LONG = 24, 80  # tokens of an answer and of a description or plan, at the most


@dataclasses.dataclass(frozen=True)
class Answered:
    """A question, its answer, and what was said."""

    question: Grounding
    said: str
    blind: str  # said without pictures
    errors: tuple[float, ...]  # of the points that are in the picture [pixels]

    @property
    def right(self) -> bool:
        return agree(self.question, self.said)


def evaluate_questions(
    interpreter: Interpreter,
    scenes: int,
    seed: int,
    level: str = "light",
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The suite's results but for its name, a pure function of its arguments; keys as in the report.

    Args:
        interpreter: any; with alignment, retrieval is measured too.
        scenes: how many.
        seed: of the stream of scenes; training's are below a million.
        level: of randomisation: none, light, full or mixed.
        progress: called after each scene.
    """
    answered, pictures, descriptions, plans = list[Answered](), [], [], PlanScore()
    for index, scene in enumerate(synthetic_scenes(seed, scenes, level, split="heldout")):
        rows, vector = ask(interpreter, scene)
        answered += rows
        for row in rows:
            if row.question.kind == "instruction":
                plans.frame(row.said, row.question.text)
                plans.forget()
        if vector is not None and index % PER_LAYOUT == 0:  # the others show the same things
            pictures.append(vector)
            descriptions += [row.question.text for row in rows if row.question.kind == "description"]
        progress()
    constant = best_answers(synthetic_scenes(0, FITTED_ON, level))
    kinds = {kind: _kind([row for row in answered if row.question.kind == kind], constant) for kind in KINDS}
    questions = [row for row in answered if row.question.kind in KINDS]
    return {
        "level": level,
        "scenes": scenes,
        "kinds": {kind: found for kind, found in kinds.items() if found["questions"]},
        "mean": _kind(questions, constant),
        "facts": _facts(questions),
        "instructions": _pixels(row for row in answered if row.question.kind == "instruction"),
        "plan": figures([plans.counts()]),
        "retrieval": retrieval(interpreter, pictures, descriptions) if pictures else None,
    }


@torch.inference_mode()
def ask(interpreter: Interpreter, scene: SyntheticScene) -> tuple[list[Answered], torch.Tensor | None]:
    """All questions about a scene and its first instruction, and the picture's vector (align_dim,).

    Whoever is blind does not get the joint state either.
    """
    config = interpreter.config
    views = [resized(scene.images[camera], config.image_size) for camera in config.cameras]
    pixels, rows = to_pixels(np.stack(views)).unsqueeze(0), list[Answered]()
    asked = [scene.items[0], *(item for item in scene.items if item.kind in KINDS)]
    long = ("instruction", "description")
    vector = None
    for group, limit in (
        ([item for item in asked if item.kind in long], LONG),
        ([item for item in asked if item.kind not in long], SHORT),
    ):
        words = [item.instruction for item in group]
        seeing = interpreter.prompts(words, [True] * len(group), state=np.tile(scene.state, (len(group), 1)))
        reading = interpreter(pixels, seeing)
        said = write_answers(interpreter, pixels, seeing, limit)
        blind = write_answers(interpreter, pixels, interpreter.prompts(words, [False] * len(group)), limit)
        if interpreter.align is not None:
            vector = interpreter.embed_pictures(reading.encoded)[0]
        points = reading.pointing.points.numpy() * config.image_size
        for item, answer, guess, found in zip(group, said, blind, points, strict=True):
            spots = [
                (np.array(item.keypoints[name]) * config.image_size, found[index])
                for index, name in enumerate(config.names)
                if name in item.keypoints
            ]
            inside = [
                (true, mine) for true, mine in spots if ((true >= 0) & (true <= config.image_size)).all()
            ]
            errors = tuple(float(np.linalg.norm(true - mine)) for true, mine in inside)
            rows.append(Answered(item, answer, guess, errors))
    return rows, vector


def agree(question: Grounding, said: str) -> bool:
    """Whether an answer is right; the things of a description may be named in any order."""
    if question.kind == "description":
        return Counter(_listed(said)) == Counter(_listed(question.text))
    return said == question.text


def best_answers(scenes: Iterable[SyntheticScene]) -> dict[str, str]:
    """{form: what is most often right in these scenes}."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for scene in scenes:
        for item in scene.items:
            counts[item.form][item.text] += 1
    return {form: _most(texts) for form, texts in counts.items()}


@torch.inference_mode()
def retrieval(
    interpreter: Interpreter, pictures: Sequence[torch.Tensor], descriptions: Sequence[str]
) -> dict[str, Any]:
    """How often a picture's own description is nearest to it among `AMONG` different ones: recall@1.

    The others are those of the scenes that follow, with descriptions that differ from one another.
    """
    first = [k for k, text in enumerate(descriptions) if text not in descriptions[:k]]
    texts = interpreter.embed_texts(*interpreter.encoded([descriptions[k] for k in first]))
    near = (torch.stack([pictures[k] for k in first]) @ texts.T).numpy()
    among, count = min(AMONG, len(first)), len(first)
    candidates = (np.arange(count)[:, None] + np.arange(among)) % count  # its own comes first
    scores = np.take_along_axis(near, candidates, axis=1)
    found = rate(bool((row[0] > row[1:]).all()) for row in scores)
    return {"among": among, **_as_questions(found)}


def _kind(rows: Sequence[Answered], constant: dict[str, str]) -> dict[str, Any]:
    """How many were right, beside those who do not see; and how far off the points were."""
    forms: dict[str, list[Answered]] = defaultdict(list)
    for row in rows:
        forms[row.question.kind].append(row)
    often = {kind: _most(Counter(row.question.text for row in group)) for kind, group in forms.items()}
    count = max(1, len(rows))
    return {
        **_as_questions(rate(row.right for row in rows)),
        "majority": sum(often[row.question.kind] == row.question.text for row in rows) / count,
        "constant": sum(constant.get(row.question.form) == row.question.text for row in rows) / count,
        "blind": sum(agree(row.question, row.blind) for row in rows) / count,
        **_pixels(rows),
    }


def _pixels(rows: Iterable[Answered]) -> dict[str, Any]:
    """Distance of the points from where they should be; None where nothing is pointed at."""
    errors = [error for row in rows for error in row.errors]
    half, most = np.quantile(errors, (0.5, 0.9)).tolist() if errors else (None, None)
    return {"points": len(errors), "pixel_p50": half, "pixel_p90": most}


def _facts(rows: Iterable[Answered]) -> dict[str, float]:
    """Of the things named in descriptions, the share that is there, and the other way round."""
    named = there = right = 0
    for row in rows:
        if row.question.kind == "description":
            mine, true = Counter(_listed(row.said)), Counter(_listed(row.question.text))
            named, there, right = named + mine.total(), there + true.total(), right + (mine & true).total()
    return {"precision": right / max(1, named), "recall": right / max(1, there)}


def _listed(description: str) -> tuple[str, ...]:
    return taken_apart(f"scene: {description}").facts


def _most(counts: Counter[str]) -> str:
    """The most frequent one; of several, the first in the alphabet."""
    return min(counts, key=lambda text: (-counts[text], text))


def _as_questions(found: Any) -> dict[str, Any]:
    """A rate whose trials are questions."""
    return {
        "questions": found.episodes, "right": found.successes,
        "rate": found.rate, "low": found.low, "high": found.high,
    }  # fmt: skip
