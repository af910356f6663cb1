"""Temporal localisation: between which seconds of an episode's video something is so.

Two kinds: "held" (between which seconds is the red cube in the hand?) and "subtask" (between which seconds
is "grasp the red cube" to be done?). An interpreter sees one moment at a time, so it is asked about every
picture, in held-out phrasings, and its interval is the longest run of pictures of which it says so. Right
is an intersection over union with the true interval of at least 0.5, as in the R@1, IoU=0.5 of Charades-STA
(Gao et al. 2017). Two who do not see are asked too: the same interpreter without pictures, and whoever
always says the median interval of these very answers, as shares of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch

from ideomotor.control.types import Command, Observation
from ideomotor.eval.stats.measures import rate
from ideomotor.sim.open_world import task_world
from ideomotor.sim.task import HELD_OUT_PHRASINGS
from ideomotor.sim.tasks import TASKS
from ideomotor.sim.vqa.phrasings import PHRASINGS
from ideomotor.sim.world import World
from ideomotor.vla.images import to_pixels
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.text_generation import write_answers
from ideomotor.vla.resizing import resized

KINDS = ("held", "subtask")
EVERY = 24  # ticks between pictures: 0.2 s
SHORTEST = 3  # pictures of an interval that is asked for
ENOUGH = 0.5  # intersection over union
SHORT = 24  # tokens of an answer, at the most

Interval = tuple[int, int]  # of pictures, the end not included


@dataclass(frozen=True)
class Moments:
    """A question about an episode: when is it so?"""

    kind: str
    question: str  # asked about every picture
    answer: str  # where it is so
    interval: Interval  # when it is so
    pictures: int  # of the video


@dataclass(frozen=True)
class Video:
    """Pictures of an expert's episode, 5 a second, and what can be asked about it."""

    seen: list[Observation] = field(default_factory=list)  # what a policy would be given
    asked: list[Moments] = field(default_factory=list)


def evaluate_localisation(
    interpreter: Interpreter,
    videos: int,
    seed: int,
    level: str = "light",
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """How often the interpreter finds the interval, a pure function of the arguments.

    Args:
        interpreter: any.
        videos: how many, of the tasks in turn.
        seed: of the first.
        level: of randomisation.
        progress: called after each video.

    Returns:
        {"videos", "seconds" (between pictures), "kinds": {kind: figures}}; see `scored`.
    """
    rows: list[tuple[Moments, Interval | None, Interval | None]] = []
    for number, task in zip(range(videos), _in_turn(TASKS), strict=False):
        video = film(task, seed + number, level)
        rows += zip(
            video.asked, answered(interpreter, video), answered(interpreter, video, blind=True), strict=True
        )
        progress()
    kinds = {kind: scored([row for row in rows if row[0].kind == kind]) for kind in KINDS}
    return {
        "videos": videos,
        "seconds": EVERY / 120,
        "kinds": {kind: found for kind, found in kinds.items() if found["questions"]},
    }


def film(task: str, seed: int, level: str = "light") -> Video:
    """Films the expert at a task, and asks for every interval that is long enough and comes once."""
    world = task_world(task, seed, level, split="heldout")
    video, held, steps = Video(), list[bool](), list[str]()
    try:
        for target in world.expert():
            if world.tick % EVERY == 0:
                video.seen.append(world.observe())
                held.append(_graspable(world) and world.holding(world.goal.target))
                steps.append(world.subtask())
            world.step(Command(world.tick, target))
            if world.success or world.tick >= world.max_ticks:
                break
        name = world.scene.describe(world.goal.target)
        asked = [("held", _phrasing("held/this", seed).format(a=name), "yes", held)]
        about = _phrasing("subtask/now", seed).format(instruction=world.instruction)
        asked += [("subtask", about, step, [now == step for now in steps]) for step in dict.fromkeys(steps)]
    finally:
        world.close()
    for kind, question, answer, so in asked:
        found = list(runs(so))
        if len(found) == 1 and found[0][1] - found[0][0] >= SHORTEST:
            video.asked.append(Moments(kind, question, answer, found[0], len(so)))
    return video


@torch.inference_mode()
def answered(interpreter: Interpreter, video: Video, blind: bool = False) -> list[Interval | None]:
    """The interval that the interpreter finds for each question; None where it never says so.

    Args:
        interpreter: any.
        video: what is asked about.
        blind: without pictures and joint states; it then says the same all the time.
    """
    words = list(dict.fromkeys(moments.question for moments in video.asked))
    said: dict[str, list[str]] = {question: [] for question in words}
    for observation in video.seen[:1] if blind else video.seen:
        if not words:
            break
        config = interpreter.config
        pictures = [np.asarray(observation.images[camera]) for camera in config.cameras]
        views = np.stack([resized(picture, config.image_size) for picture in pictures])
        state = None if blind else np.tile(observation.state, (len(words), 1))
        prompts = interpreter.prompts(words, [not blind] * len(words), state=state)
        texts = write_answers(interpreter, to_pixels(views).unsqueeze(0), prompts, SHORT)
        for question, text in zip(words, texts, strict=True):
            said[question] += [text] * (len(video.seen) if blind else 1)
    return [longest(text == m.answer for text in said[m.question]) for m in video.asked]


def scored(rows: Sequence[tuple[Moments, Interval | None, Interval | None]]) -> dict[str, Any]:
    """Figures of (question, interval found, interval found without pictures).

    Returns:
        questions, right, rate, low, high (95 % Wilson), iou (mean), and the shares right of `majority`, who
        says the median interval of these questions as shares of the video, and `blind`.
    """
    found = rate(overlap(moments.interval, said) >= ENOUGH for moments, said, _ in rows)
    shares = np.array([np.divide(m.interval, m.pictures) for m, _, _ in rows]).reshape(-1, 2)
    usual = np.median(shares, axis=0) if rows else np.zeros(2)
    count = max(1, len(rows))
    return {
        "questions": found.episodes, "right": found.successes,
        "rate": found.rate, "low": found.low, "high": found.high,
        "iou": sum(overlap(m.interval, said) for m, said, _ in rows) / count,
        "majority": sum(overlap(m.interval, usual * m.pictures) >= ENOUGH for m, _, _ in rows) / count,
        "blind": sum(overlap(m.interval, guess) >= ENOUGH for m, _, guess in rows) / count,
    }  # fmt: skip


def overlap(one: Interval, other: Sequence[float] | np.ndarray | None) -> float:
    """Intersection over union of two intervals; 0 without the other."""
    if other is None:
        return 0.0
    both = min(one[1], float(other[1])) - max(one[0], float(other[0]))
    either = max(one[1], float(other[1])) - min(one[0], float(other[0]))
    return max(0.0, both) / either


def longest(so: Iterable[bool]) -> Interval | None:
    """The longest run of True, of equals the first; None without any."""
    return max(runs(so), key=lambda run: run[1] - run[0], default=None)


def runs(so: Iterable[bool]) -> Iterator[Interval]:
    """Every run of True."""
    at = 0
    for value, group in groupby(so):
        length = len(list(group))
        if value:
            yield at, at + length
        at += length


def _phrasing(form: str, seed: int) -> str:
    """One of a form's held-out phrasings."""
    return PHRASINGS[form][-HELD_OUT_PHRASINGS:][seed % HELD_OUT_PHRASINGS]


def _graspable(world: World) -> bool:
    return world.scene.thing(world.goal.target).graspable


def _in_turn(names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    while True:
        yield from names
