"""Recipes change only where they are asked to, and say what was wrong with a change."""

import json

import pytest

from ideomotor.control.errors import UserError
from ideomotor.train.recipe import RECIPES, as_dict, resolve


def test_overrides_reach_nested_fields_and_keep_types() -> None:
    recipe = resolve(
        "nano", ["decoder.train.steps=7", "compile=true", "interpreter.pool.level=full", "decoder.colour=0"]
    )
    assert recipe.decoder.train.steps == 7
    assert recipe.compile is True
    assert recipe.interpreter.pool.level == "full"
    assert isinstance(recipe.decoder.colour, float)
    assert RECIPES["nano"].decoder.train.steps != 7


def test_weights_are_numbers_with_commas_between() -> None:
    recipe = resolve("nano", ["decoder.weights=3, 0.5"])
    assert recipe.decoder.weights == (3.0, 0.5)
    assert RECIPES["nano"].decoder.weights == ()
    assert as_dict(recipe)["decoder"]["weights"] == [3.0, 0.5]


def test_names_are_words_with_commas_between_and_samplers_fit_the_objective() -> None:
    given = [
        "decoder.select.tasks=reach, lift",
        "decoder.sampler=dpm-solver",
        "decoder.objective.predict=epsilon",
    ]
    recipe = resolve("nano", given)
    assert recipe.decoder.select.tasks == ("reach", "lift")
    assert recipe.decoder.sampler == "dpm-solver"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("decoder.trian.steps=7", "did you mean 'train'"),
        ("decoder.train.steps=many", "got 'many', expected int"),
        ("compile=perhaps", "expected bool"),
        ("decoder.weights=1;2", "got '1;2', expected numbers with commas between"),
        ("decoder.train", "expected key=value"),
        ("decoder.train=3", "is a group"),
        ("robot.steps=3", "robot has no fields"),
        ("scenes.train.steps=3", "scenes.train.steps is called interpreter.train.steps now"),
        ("scenes.feels=true", "scenes.feels is called interpreter.use_proprio now"),
        ("policy.objective.drop_history=1", "called decoder.objective.drop_past_commands now"),
        ("policy.batch=3", "policy.batch is called decoder.batch now"),
        ("decoder=runs/mine", "decoder is called init.policy now"),
        ("interpreter=runs/mine", "interpreter is called init.interpreter now"),
        ("decoder.objective.predict=epsilom", "did you mean 'epsilon'"),
        (
            "decoder.sampler=ddim",
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
