"""Questions have the answers that a reader of the scene's plain numbers would give."""

from __future__ import annotations

import re
from string import Formatter

import numpy as np
import pytest

from ideomotor.sim.layout import draw_objects, scatter
from ideomotor.sim.motion import PAN_AXIS
from ideomotor.sim.scene import Scene, Thing
from ideomotor.sim.task import HELD_OUT_PHRASINGS
from ideomotor.sim.tasks import TASKS
from ideomotor.sim.vqa.phrasings import PHRASINGS
from ideomotor.sim.vqa.questions import CLEARLY, KINDS, Truth, plan_question, questions, refer_to

SUPERLATIVES = ("leftmost", "rightmost", "nearest")


def truth_of(*things: Thing, held: str = "") -> Truth:
    spots = {thing.name: np.array(thing.position) for thing in things}
    return Truth(Scene(things), spots, {thing.name: (0.5, 0.5) for thing in things}, held)


LAID = truth_of(
    Thing("a", "cube", "red", (0.20, 0.10), "small"),
    Thing("b", "cube", "red", (0.20, -0.10)),
    Thing("c", "bowl", "blue", (0.25, 0.00)),
    Thing("d", "ball", "blue", (0.12, 0.00)),
)


def asked(truth: Truth, draws: int) -> dict[str, dict[str, str]]:
    """{form: {question: answer}}, in training's phrasings."""
    found: dict[str, dict[str, str]] = {}
    rng = np.random.default_rng(0)
    for _ in range(draws):
        for item in questions(truth, rng, "train"):
            known = found.setdefault(item.form, {})
            assert known.setdefault(item.instruction, item.text) == item.text
    return found


@pytest.fixture(scope="module")
def laid() -> dict[str, dict[str, str]]:
    return asked(LAID, 800)


def test_relations_are_the_robots(laid) -> None:
    answers = laid["relation/holds"]
    assert answers["is the small red cube left of the blue bowl"] == "yes"
    assert answers["is the large red cube left of the blue bowl"] == "no"
    assert answers["is the blue bowl behind the blue ball"] == "yes"
    assert answers["is the blue ball nearer than the blue bowl"] == "yes"
    assert not any("blue ball left of the blue bowl" in line for line in answers)  # too close to call


def test_neighbours_counts_and_attributes(laid) -> None:
    what = laid["neighbour/what"]
    assert what["what is left of the small red cube"] == "nothing"
    assert "what is left of the blue bowl" not in what  # the ball is too close to call
    counts = laid["counting/things"]
    assert counts["how many things are there"] == "four"
    assert counts["how many cubes are there"] == "two"
    assert counts["how many balls are there"] == "one"
    assert counts["how many green things are there"] == "none"
    assert laid["size/of"]["what size is the ball"] == "large"
    assert laid["colour/of"]["what colour is the bowl"] == "blue"
    assert laid["shape/of"]["what shape is the leftmost red thing"] == "cube"


def test_what_is_held_is_told_and_not_compared_with_what_stands(laid) -> None:
    answers = asked(truth_of(*LAID.scene.things, held="d"), 150)
    assert set(answers["held/what"].values()) == {"blue ball"}
    assert answers["held/this"]["is the blue ball in the hand"] == "yes"
    assert answers["held/this"]["do you hold the small red cube"] == "no"
    assert not any("blue ball" in line for line in answers["relation/holds"])
    assert set(laid["held/what"].values()) == {"nothing"}


def matches(truth: Truth, phrase: str) -> set[str]:
    """The things that a reference fits, by its words alone."""
    whole = re.fullmatch(
        r"the (?:(leftmost|rightmost|nearest) )?(.+?)(?: (left of|right of|behind|nearer than) the (.+))?",
        phrase,
    )
    assert whole, phrase
    most, words, how, other = whole.groups()
    other = next((t.name for t in truth.scene.things if truth.scene.describe(t.name) == other), None)

    def value(name: str, key: str) -> float:
        x, y = truth.spots[name]
        return {"le": y, "ri": -y, "be": x, "ne": -float(np.hypot(x - PAN_AXIS[0], y))}[key[:2]]

    fits = [
        item.name
        for item in truth.scene.things
        if set(words.split()) - {"thing"} <= {item.kind, item.colour, item.size} and item.name != other
    ]
    if how:
        assert other
        fits = [name for name in fits if value(name, how) - value(other, how) > CLEARLY]
    if most:
        best = max(value(name, most) for name in fits)
        fits = [name for name in fits if value(name, most) > best - CLEARLY]
    return set(fits)


@pytest.mark.parametrize("hide", ["", "colour", "kind", "size"])
def test_references_fit_one_thing_only_and_hide_what_is_asked(hide: str) -> None:
    ways, rng = set(), np.random.default_rng(7)
    for _ in range(80):
        things = scatter(rng, draw_objects(rng, 4, twin=0.6))
        if things is None or len({(t.kind, t.colour, t.size) for t in things}) < 4:
            continue
        truth = truth_of(*things)
        for item in things:
            phrase, other = refer_to(truth, item.name, rng, hide)
            if not phrase:
                continue
            assert matches(truth, phrase) == {item.name}, phrase
            own = re.split(r" left of| right of| behind| nearer than", phrase)[0].split()
            assert not hide or getattr(item, hide) not in own, phrase
            ways.add("relation" if other else "most" if own[1] in SUPERLATIVES else "attributes")
    assert ways == {"relation", "most", "attributes"}


def test_phrasings_are_distinct_and_complete_and_no_task_uses_them() -> None:
    assert {form.split("/")[0] for form in PHRASINGS} == set(KINDS)
    every = [line for lines in PHRASINGS.values() for line in lines]
    taken = {line for task in TASKS.values() for line in task.instructions}
    assert len(set(every)) == len(every) and not taken & set(every)
    for form, lines in PHRASINGS.items():
        assert len(lines) > 2 * HELD_OUT_PHRASINGS, form
        fields = [{name for _, name, _, _ in Formatter().parse(line) if name} for line in lines]
        assert all(names == fields[0] for names in fields), form


def test_splits_share_no_phrasing() -> None:
    drawn = {
        split: {
            plan_question("done/all", np.random.default_rng(k), split, "lift it", "no", {}).instruction
            for k in range(60)
        }
        for split in ("train", "heldout")
    }
    assert len(drawn["heldout"]) == HELD_OUT_PHRASINGS and not drawn["train"] & drawn["heldout"]
