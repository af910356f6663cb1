"""Axes of generalisation: each changes what it is about and nothing else, and an expert can still do it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.eval.rollout import rollout
from ideomotor.sim.episode import Episode, draw_episode, phrase
from ideomotor.sim.generalization.axes import AXES, concerns, varied
from ideomotor.sim.generalization.held_out_objects import HELD_OUT_COLOURS, HELD_OUT_SHAPES
from ideomotor.sim.generalization.held_out_phrasings import SYNONYMS, renamed, templates
from ideomotor.sim.layout import free
from ideomotor.sim.open_world import task_world
from ideomotor.sim.scene import COLOURS, GRASPABLE, SIZES
from ideomotor.sim.tasks import TASKS
from ideomotor.sim.vqa.phrasings import PHRASINGS

SEEDS = range(1_000_000, 1_000_003)
CASES = [
    (axis, strength, task)
    for axis, entry in AXES.items()
    for strength in entry.strengths
    for task in TASKS
    if concerns(axis, task, strength)
]
# What may differ from the episode as it was drawn: fields of Appearance, fields of Thing, and the rest.
CHANGES = {
    "lighting": {"light_direction", "light_intensity", "ambient"},
    "texture": {"table_texture", "table_colours", "floor_texture", "floor_colours"},
    "camera": {"cameras"},
    "distractors": {"more things"},
    "colours": {"colour", "words"},
    "sizes": {"half"},
    "shapes": {"kind", "words"},
    "phrasing": {"phrasing"},
    "combination": {"kind", "words"},
    "friction": {"contact", "mass"},
    "gain": {"gain"},
}


@cache
def drawn(name: str, seed: int) -> Episode:
    return draw_episode(TASKS[name], seed, "light", "heldout")


def along(axis: str, strength: int, name: str, seed: int) -> Episode:
    return varied(drawn(name, seed), axis, strength)


def differences(one: Episode, other: Episode) -> set[str]:
    """Names of what differs between two episodes."""
    scene, changed = one.scene, other.scene
    found = {
        key
        for key in vars(scene.appearance)
        if getattr(scene.appearance, key) != getattr(changed.appearance, key)
    }
    for thing, same in zip(scene.things, changed.things, strict=False):
        found |= {key for key in vars(thing) if getattr(thing, key) != getattr(same, key)}
    if len(scene.things) != len(changed.things):
        found.add("more things")
    while one.goal or other.goal:
        if one.goal.words != other.goal.words:
            found.add("words")
        assert replace(one.goal, words={}, then=None) == replace(other.goal, words={}, then=None)
        one, other = replace(one, goal=one.goal.then), replace(other, goal=other.goal.then)
    if one.phrasing != other.phrasing:
        found.add("phrasing")
    assert np.array_equal(one.home_offset, other.home_offset)
    return found


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_changes_what_it_is_about_and_nothing_else(axis: str) -> None:
    seen = set()
    for _, strength, name in (case for case in CASES if case[0] == axis):
        for seed in SEEDS:
            episode = along(axis, strength, name, seed)
            changed = differences(drawn(name, seed), episode)
            assert changed <= CHANGES.get(axis, set()), (axis, strength, name, seed)
            seen |= changed
            assert along(axis, strength, name, seed) == episode
    assert seen == CHANGES.get(axis, set())


def test_strength_0_is_the_episode_itself() -> None:
    assert along("lighting", 0, "lift", 3) is drawn("lift", 3)
    assert task_world("lift", 3, axis="lighting", strength=0).scene == task_world("lift", 3).scene


@pytest.mark.parametrize("axis", AXES)
def test_words_still_name_one_thing(axis: str) -> None:
    for _, strength, name in (case for case in CASES if case[0] == axis):
        for seed in SEEDS:
            episode = along(axis, strength, name, seed)
            scene, goal, template = episode.scene, episode.goal, episode.phrasing
            descriptions = [scene.describe(thing.name) for thing in scene.things]
            assert len(set(descriptions)) == len(descriptions)
            assert "{" not in phrase(goal, template)
            if axis != "phrasing":
                for one in (goal, goal.then):
                    assert not one or scene.describe(one.target) in phrase(one, "{target}")
                    if one and one.place:
                        assert scene.describe(one.place) in phrase(goal, template)


def test_a_stronger_change_is_more_of_the_same() -> None:
    def appearances(axis: str, seed: int):
        return [along(axis, strength, "lift", seed).scene.appearance for strength in range(4)]

    for seed in range(5):
        suns = [np.array(appearance.light_direction) for appearance in appearances("lighting", seed)]
        # not by the arccosine, which has half of its digits near a cosine of 1
        turned = [
            np.degrees(np.arctan2(np.linalg.norm(np.cross(suns[0], sun)), suns[0] @ sun)) for sun in suns
        ]
        np.testing.assert_allclose(turned, (0, 20, 40, 60), atol=1e-6)
        fronts = [np.array(appearance.cameras["front"][0]) for appearance in appearances("camera", seed)]
        np.testing.assert_allclose([np.linalg.norm(f - fronts[0]) for f in fronts], (0, 0.015, 0.03, 0.05))
        assert np.dot(fronts[1] - fronts[0], fronts[3] - fronts[0]) > 0
        contacts = [abs(np.log(appearance.contact)) for appearance in appearances("friction", seed)]
        assert contacts == sorted(contacts) and contacts[3] == pytest.approx(np.log(3))
        gains = [appearance.gain for appearance in appearances("gain", seed)]
        np.testing.assert_allclose(gains, np.divide(gains[0], (1, 4, 16, 64)))


def test_training_has_nothing_of_what_is_held_out() -> None:
    """Colours by more than randomisation can shift them, shapes and sizes by name and by extent."""
    for rgb in HELD_OUT_COLOURS.values():
        others = [*COLOURS.values(), *(c for c in HELD_OUT_COLOURS.values() if c != rgb)]
        assert min(np.linalg.norm(np.subtract(rgb, other)) for other in others) > 0.3
    assert not set(HELD_OUT_SHAPES) & {kind for task in TASKS.values() for kind in task.objects}
    light = [SIZES[size] * factor for size in SIZES for factor in (0.92, 1.08)]
    for seed in range(20):
        for thing in along("sizes", 1, "lift", seed).scene.things:
            assert thing.half < min(light) or thing.half > max(light)


def test_zones_and_cylinders_take_new_roles() -> None:
    for name, kinds in (("place", {"zone"}), ("sort", {"zone"}), ("stack", {"cylinder"})):
        for seed in SEEDS:
            episode = along("combination", 1, name, seed)
            scene, goal, template = episode.scene, episode.goal, episode.phrasing
            assert {scene.thing(goal.place).kind} == kinds
            assert "into the" not in goal.words.get("where", "")
            assert kinds & set(re.findall(r"\w+", phrase(goal, template)))
    assert "zone" not in TASKS["place"].objects and TASKS["stack"].objects == ("cube",)


def test_phrasings_leave_training_step_by_step() -> None:
    every = [template for task in TASKS.values() for template in task.phrasings("train")]
    every += [text for texts in PHRASINGS.values() for text in texts[:-2]]
    known = {word for text in every for word in re.findall(r"\w+", text)}
    assert not known & set(SYNONYMS.values())
    for task in TASKS.values():
        fields = set(re.findall(r"{\w+}", task.instructions[0]))
        for step in (1, 2, 3):
            for template in templates(task, step):
                assert template not in task.instructions
                assert set(re.findall(r"{\w+}", template)) == fields
                new = set(re.findall(r"\w+", template)) - known - {"onto", "to"}
                assert bool(new) == (step > 1), (template, new)
    assert renamed({"where": "onto the small red cube"}, 3) == {"where": "onto the little red block"}
    assert renamed({"where": "onto the small red cube"}, 2) == {"where": "onto the small red cube"}
    assert {*GRASPABLE, "bowl", "plate", "zone", "button", "drawer", *SIZES} == set(SYNONYMS)


@pytest.mark.parametrize("name", TASKS)
def test_distractors_find_room(name: str) -> None:
    for seed in range(1_000_000, 1_000_005):
        before, scene = drawn(name, seed).scene, along("distractors", 3, name, seed).scene
        first = len(before.things)
        assert scene.things[:first] == before.things and len(scene.things) == first + 6
        for index in range(first, len(scene.things)):
            assert free(scene.things[index], scene.things[:index], gap=0.02)


def test_held_out_shapes_are_as_heavy_as_what_they_are_made_of() -> None:
    """Volumes of a hexagonal prism, an ellipsoid and a capsule of half height h."""
    volumes = {"prism": 3 * np.sqrt(3), "egg": 4 / 3 * np.pi * 1.35, "capsule": np.pi * (1.6 + 4 / 3)}
    for strength, (kind, volume) in enumerate(volumes.items(), start=1):
        world = task_world("lift", 3, level="none", axis="shapes", strength=strength)
        body = world.model.body(world.goal.target)
        thing = world.scene.thing(world.goal.target)
        assert thing.kind == kind
        assert body.mass[0] == pytest.approx(350.0 * volume * thing.half**3)
        assert world.position(thing.name)[2] == pytest.approx(thing.half, abs=1e-3)


def test_pictures_change_only_where_the_scene_does() -> None:
    def front(axis: str = "", strength: int = 0) -> np.ndarray:
        world = task_world("lift", 1_000_003, axis=axis, strength=strength)
        picture = world.render("front", 96, 96).astype(int)
        world.close()
        return picture

    plain = front()
    for axis in ("lighting", "texture", "camera"):
        first, last = (np.abs(front(axis, strength) - plain).mean() for strength in (1, 3))
        assert 1.0 < first < last, axis
    assert np.array_equal(front("phrasing", 3), plain)


def test_friction_reaches_all_that_touches() -> None:
    """What MuJoCo makes of a finger and an object: the finger's, which has priority."""
    plain, other = task_world("lift", 5), task_world("lift", 5, axis="friction", strength=3)
    finger = plain.model.geom("gripper_finger").id
    table = plain.model.geom("table").id
    ratio = other.model.geom_friction[:, 0] / plain.model.geom_friction[:, 0]
    assert ratio[finger] == pytest.approx(ratio[table])
    assert ratio[finger] in (pytest.approx(3), pytest.approx(1 / 3))
    mass = [world.model.body(world.goal.target).mass[0] for world in (plain, other)]
    assert mass[1] / mass[0] in (pytest.approx(6), pytest.approx(1 / 6))


@pytest.mark.parametrize(
    ("axis", "name"),
    [
        *(("shapes", "lift"), ("sizes", "push"), ("combination", "stack")),
        *(("friction", "place"), ("gain", "drawer"), ("distractors", "press")),
    ],
)
def test_the_expert_still_solves_it(axis: str, name: str) -> None:
    """One of each here; docs/generalization.md has the measurement of all."""
    strength = max(k for k in AXES[axis].strengths if concerns(axis, name, k))
    world = task_world(name, 1_000_000, axis=axis, strength=strength, split="heldout")
    result = rollout(world, None)
    assert result.success, f"{axis} {name}: {world.instruction}, left at {world.subtask()}"


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match=r"axis: unknown name 'lightning'; did you mean 'lighting'"):
        task_world("lift", 0, axis="lightning", strength=1)
    with pytest.raises(UserError, match="strength: got 4, expected 0 to 3"):
        task_world("lift", 0, axis="lighting", strength=4)
    with pytest.raises(UserError, match="'press' has no 'sizes'"):
        task_world("press", 0, axis="sizes", strength=1)
