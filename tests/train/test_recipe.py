"""Recipes change only where they are asked to, and say what was wrong with a change."""

import json

import pytest

from ideomotor.control.errors import UserError
from ideomotor.train.recipe import RECIPES, as_dict, resolve


def test_overrides_reach_nested_fields_and_keep_types() -> None:
    recipe = resolve(
        "nano", ["policy.train.steps=7", "compile=true", "scenes.pool.level=full", "policy.colour=0"]
    )
    assert recipe.policy.train.steps == 7
    assert recipe.compile is True
    assert recipe.scenes.pool.level == "full"
    assert isinstance(recipe.policy.colour, float)
    assert RECIPES["nano"].policy.train.steps != 7


def test_weights_are_numbers_with_commas_between() -> None:
    recipe = resolve("nano", ["policy.weights=3, 0.5"])
    assert recipe.policy.weights == (3.0, 0.5)
    assert RECIPES["nano"].policy.weights == ()
    assert as_dict(recipe)["policy"]["weights"] == [3.0, 0.5]


def test_names_are_words_with_commas_between_and_samplers_fit_the_objective() -> None:
    given = [
        "policy.select.tasks=reach, lift",
        "policy.sampler=dpm-solver",
        "policy.objective.predict=epsilon",
    ]
    recipe = resolve("nano", given)
    assert recipe.policy.select.tasks == ("reach", "lift")
    assert recipe.policy.sampler == "dpm-solver"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policy.trian.steps=7", "did you mean 'train'"),
        ("policy.train.steps=many", "got 'many', expected int"),
        ("compile=perhaps", "expected bool"),
        ("policy.weights=1;2", "got '1;2', expected numbers with commas between"),
        ("policy.train", "expected key=value"),
        ("policy.train=3", "is a group"),
        ("robot.steps=3", "robot has no fields"),
        ("policy.objective.predict=epsilom", "did you mean 'epsilon'"),
        (
            "policy.sampler=ddim",
            "'ddim', expected one of euler for a decoder trained on the objective 'flow'",
        ),
    ],
)
def test_a_bad_override_says_what_is_wrong(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve("nano", [override])


def test_an_unknown_recipe_has_a_near_match() -> None:
    with pytest.raises(UserError, match="did you mean 'nano'"):
        resolve("nanno")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_plain_json(name: str) -> None:
    assert json.loads(json.dumps(as_dict(RECIPES[name]))) == as_dict(RECIPES[name])
