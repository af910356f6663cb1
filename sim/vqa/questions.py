"""Questions about what a camera sees, with the simulator's own answers.

Every kind has a few forms, and every form its phrasings, of which the last two are held out. Left and behind
are the robot's: left is +y, behind is farther along x, "nearer" is to the robot's shoulder. What is too close
to call is not asked. Answers are words, for the language head; what a question speaks of is pointed at too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ideomotor.sim.motion import PAN_AXIS
from ideomotor.sim.scene import COLOURS, GRASPABLE, Scene, Thing
from ideomotor.sim.task import HELD_OUT_PHRASINGS
from ideomotor.sim.vqa.phrasings import PHRASINGS

CLEARLY = 0.02  # difference that counts [m]; the smallest objects are 0.026 wide
EMPTY_HAND = 0.5  # share of scenes with nothing in the hand that are not asked what is there
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight")
NOTHING = "nothing"
KINDS = (
    "description", "reference", "relation", "neighbour", "counting", "colour", "shape", "size", "held",
    "subtask", "done",
)  # fmt: skip

# Of two spots (2,) [m]: by how much the first is so, more than the second.
RELATIONS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "left of": lambda a, b: float(a[1] - b[1]),
    "right of": lambda a, b: float(b[1] - a[1]),
    "behind": lambda a, b: float(a[0] - b[0]),
    "nearer than": lambda a, b: float(np.linalg.norm(b - PAN_AXIS) - np.linalg.norm(a - PAN_AXIS)),
}
MOST_OF = {"leftmost": "left of", "rightmost": "right of", "nearest": "nearer than"}


@dataclass(frozen=True)
class Grounding:
    """Something said about a scene, an instruction or a question, and its answers."""

    instruction: str
    text: str  # readable plan, or the answer in words
    keypoints: Mapping[str, tuple[float, float]]  # {"target" and maybe "place": (u, v)} in the front camera
    form: str = "instruction/"  # kind/form

    @property
    def kind(self) -> str:
        return self.form.partition("/")[0]


@dataclass(frozen=True)
class Truth:
    """What the simulator knows about a moment."""

    scene: Scene
    spots: Mapping[str, np.ndarray]  # {thing: (2,) x, y [m]}
    points: Mapping[str, tuple[float, float]]  # {thing: (u, v)} in the front camera
    held: str = ""  # the thing in the hand

    @property
    def standing(self) -> tuple[Thing, ...]:
        """Things that stand on the table."""
        return tuple(thing for thing in self.scene.things if thing.name != self.held)

    def relation(self, how: str, one: str, other: str) -> bool | None:
        """Whether `one` is `how` the `other`; None if it is too close to call."""
        difference = RELATIONS[how](self.spots[one], self.spots[other])
        return None if abs(difference) < CLEARLY else difference > 0


def plan_question(
    form: str,
    generator: np.random.Generator,
    split: str,
    instruction: str,
    answer: str,
    points: Mapping[str, tuple[float, float]],
    step: str = "",
) -> Grounding:
    """A question about how far the robot is with its `instruction`."""
    return _grounding(form, generator, split, answer, points, instruction=instruction, step=step)


def questions(truth: Truth, generator: np.random.Generator, split: str) -> list[Grounding]:
    """One question of each form that this scene has an answer to, but those about subtasks.

    Args:
        truth: of the moment.
        generator: draws what is asked, and how.
        split: of phrasings: train or heldout.
    """
    found = []
    for form, ask in _FORMS.items():
        drawn = ask(truth, generator)
        if drawn is not None:
            words, answer, names = drawn
            pointed = zip(("target", "place"), names, strict=False)
            points = {role: truth.points[name] for role, name in pointed if name}
            found.append(_grounding(form, generator, split, answer, points, **words))
    return found


def yes_or_no(holds: bool) -> str:
    """The answer to whether something holds."""
    return "yes" if holds else "no"


def refer_to(truth: Truth, name: str, generator: np.random.Generator, hide: str = "") -> tuple[str, str]:
    """A phrase that fits one thing only, and the other thing that it mentions.

    Args:
        truth: of the moment.
        name: of the thing; it stands on the table.
        generator: draws among all that would do.
        hide: attribute that must not be named: colour, kind or size.

    Returns:
        ("the small red cube left of the blue bowl", "thing2"); ("", "") if there is no such phrase.
    """
    ways = list(_phrases(truth, truth.scene.thing(name), hide))
    if not ways:
        return "", ""
    groups = sorted({way for way, _, _ in ways})  # else most would be relations: there are more of them
    group = groups[generator.integers(len(groups))]
    chosen = [(phrase, other) for way, phrase, other in ways if way == group]
    return chosen[generator.integers(len(chosen))]


def _phrases(truth: Truth, thing: Thing, hide: str) -> Iterator[tuple[str, str, str]]:
    """(way, phrase, other thing) of every phrase that fits `thing` alone."""
    for shown in (("kind",), ("colour",), ("size", "kind"), ("colour", "kind"), ("size", "colour", "kind")):
        if hide in shown or ("size" in shown and thing.kind not in GRASPABLE):
            continue
        same = [t for t in truth.standing if all(getattr(t, key) == getattr(thing, key) for key in shown)]
        if "size" in shown:
            same = [t for t in same if t.kind in GRASPABLE]
        words = " ".join(getattr(thing, key) for key in shown) + ("" if "kind" in shown else " thing")
        others = [t for t in same if t.name != thing.name]
        if not others:
            yield "attributes", f"the {words}", ""
        for most, how in MOST_OF.items():
            if others and all(truth.relation(how, thing.name, t.name) for t in others):
                yield "most", f"the {most} {words}", ""
        for other in truth.standing:
            if other.name == thing.name:
                continue
            for how in RELATIONS:
                rivals = [truth.relation(how, t.name, other.name) for t in others if t.name != other.name]
                if truth.relation(how, thing.name, other.name) and not any(r is not False for r in rivals):
                    yield "relation", f"the {words} {how} the {truth.scene.describe(other.name)}", other.name


Drawn = tuple[dict[str, str], str, tuple[str, ...]]  # words of the phrasing, answer, what is pointed at


def _describe(truth: Truth, generator: np.random.Generator) -> Drawn:
    facts = sorted(truth.scene.describe(thing.name) for thing in truth.scene.things)
    return {}, ", ".join(facts), ()


def _refer(truth: Truth, generator: np.random.Generator) -> Drawn | None:
    thing = _pick(truth.standing, generator)
    phrase, other = refer_to(truth, thing.name, generator)
    return ({"it": phrase}, truth.scene.describe(thing.name), (thing.name, other)) if phrase else None


def _relation(truth: Truth, generator: np.random.Generator) -> Drawn | None:
    one, other = _pick(truth.standing, generator), _pick(truth.standing, generator)
    how = _pick(tuple(RELATIONS), generator)
    if one == other or (holds := truth.relation(how, one.name, other.name)) is None:
        return None
    a, b = truth.scene.describe(one.name), truth.scene.describe(other.name)
    return {"a": a, "b": b, "how": how}, yes_or_no(holds), (one.name, other.name)


def _neighbour(truth: Truth, generator: np.random.Generator) -> Drawn | None:
    other, how = _pick(truth.standing, generator), _pick(tuple(RELATIONS), generator)
    judged = {t.name: truth.relation(how, t.name, other.name) for t in truth.standing if t != other}
    there = [name for name, holds in judged.items() if holds]
    if None in judged.values() or len(there) > 1:
        return None
    words = {"b": truth.scene.describe(other.name), "how": how}
    if not there:
        return words, NOTHING, ("", other.name)
    return words, truth.scene.describe(there[0]), (there[0], other.name)


def _count(truth: Truth, generator: np.random.Generator) -> Drawn:
    things = truth.scene.things
    what = _pick(("all", "kind", "colour", "colour"), generator)
    if what == "kind":
        kind = _pick((*GRASPABLE, *{t.kind for t in things}), generator)
        return {"what": f"{kind}s"}, NUMBERS[sum(t.kind == kind for t in things)], ()
    if what == "colour":
        colour = _pick((*COLOURS, *(t.colour for t in things)), generator)
        return {"what": f"{colour} things"}, NUMBERS[sum(t.colour == colour for t in things)], ()
    return {"what": "things"}, NUMBERS[len(things)], ()


def _attribute(key: str) -> Callable[[Truth, np.random.Generator], Drawn | None]:
    """Asks for an attribute of a thing that is named by other means."""

    def ask(truth: Truth, generator: np.random.Generator) -> Drawn | None:
        fit = [t for t in truth.standing if key != "size" or t.kind in GRASPABLE]
        if not fit:
            return None
        thing = _pick(fit, generator)
        phrase, other = refer_to(truth, thing.name, generator, hide=key)
        return ({"it": phrase}, getattr(thing, key), (thing.name, other)) if phrase else None

    return ask


def _held(truth: Truth, generator: np.random.Generator) -> Drawn | None:
    if not truth.held and generator.random() < EMPTY_HAND:
        return None
    return {}, truth.scene.describe(truth.held) if truth.held else NOTHING, (truth.held,)


def _holding(truth: Truth, generator: np.random.Generator) -> Drawn | None:
    fit = [thing for thing in truth.scene.things if thing.kind in GRASPABLE]
    if not fit or (not truth.held and generator.random() < EMPTY_HAND):
        return None
    thing = _pick(fit, generator)
    if truth.held and generator.random() < 0.5:
        thing = truth.scene.thing(truth.held)
    return {"a": truth.scene.describe(thing.name)}, yes_or_no(thing.name == truth.held), (thing.name,)


_FORMS: dict[str, Callable[[Truth, np.random.Generator], Drawn | None]] = {
    "description/all": _describe,
    "reference/thing": _refer,
    "relation/holds": _relation,
    "neighbour/what": _neighbour,
    "counting/things": _count,
    "colour/of": _attribute("colour"),
    "shape/of": _attribute("kind"),
    "size/of": _attribute("size"),
    "held/what": _held,
    "held/this": _holding,
}


def _grounding(
    form: str,
    generator: np.random.Generator,
    split: str,
    answer: str,
    points: Mapping[str, tuple[float, float]],
    **words: str,
) -> Grounding:
    every = PHRASINGS[form]
    usable = every[:-HELD_OUT_PHRASINGS] if split == "train" else every[-HELD_OUT_PHRASINGS:]
    return Grounding(_pick(usable, generator).format(**words), answer, points, form)


def _pick(options, generator: np.random.Generator):
    return options[generator.integers(len(options))]
