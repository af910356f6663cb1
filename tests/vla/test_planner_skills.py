"""Facts, plans and skills: what a planner may write, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.control.facts import PREDICATES, fact, in_words, parse_fact
from ideomotor.vla.planner import plan as plans
from ideomotor.vla.planner.plan import (
    Call,
    Condition,
    Steps,
    calls_of,
    drawn,
    parse_plan,
    plan_from_json,
    plan_to_json,
    resolved,
)
from ideomotor.vla.planner.skills import (
    SKILLS,
    all_calls,
    applied,
    checked,
    effects,
    instruction,
    possible,
    succeeded,
    unmet,
)

THINGS = (
    "red cube",
    "small blue cube",
    "green ball",
    "blue bowl",
    "red plate",
    "red drawer",
    "green button",
    "red zone",
)
EMPTY = frozenset({("hand_empty",), ("closed", "red drawer")})

names = st.text("abcdefgh ", min_size=1, max_size=12).map(lambda text: " ".join(text.split())).filter(bool)
calls = st.builds(Call, names, st.lists(names, max_size=3).map(tuple))
facts = st.sampled_from(sorted(PREDICATES)).flatmap(
    lambda name: st.tuples(st.just(name), *[names] * len(PREDICATES[name].arguments))
)
trees = st.recursive(
    calls,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda steps: Steps(tuple(steps)))
        | st.builds(Condition, facts, st.booleans(), inner, st.none() | inner)
    ),
    max_leaves=8,
)


@given(facts)
def test_a_fact_in_words_is_read_back(one):
    assert parse_fact(in_words(one)) == one == fact(*one)


@pytest.mark.parametrize("text", ["", "held", "held(", "held()", "held(a, b)", "flies(a)", "hand_empty(a)"])
def test_what_is_no_fact_is_refused(text):
    with pytest.raises(UserError):
        parse_fact(text)


@given(trees)
def test_a_plan_written_as_json_is_read_back(plan):
    try:
        again = parse_plan(json.dumps(plan_to_json(plan)))
    except UserError as error:  # the limits hold for every tree
        assert "deeper" in str(error) or "calls" in str(error)
        return
    assert again == plan
    assert len(drawn(plan).splitlines()) >= sum(1 for _ in calls_of(plan))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda one: (
    st.lists(one, max_size=3) | st.dictionaries(
        st.sampled_from(["skill", "arguments", "sequence", "if", "then", "else", "x"]), one, max_size=4
    )
), max_leaves=10))  # fmt: skip
def test_any_json_is_a_plan_or_one_line_of_error(value):
    try:
        plan_from_json(value)
    except UserError as error:
        assert "\n" not in str(error) and str(error).startswith("plan")


@given(st.text(max_size=200))
def test_any_text_is_a_plan_or_one_line_of_error(text):
    try:
        parse_plan(text)
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[" * 100_000, "bytes"),
        ("[" * 9_000, "JSON"),
        ('{"skill": "lift", "skill": "press", "arguments": []}', "twice"),
        ('{"skill": "lift", "arguments": ["a"], "torque": 3}', "torque"),
        ('{"sequence": []}', "0 skill calls"),
        ('{"skill": NaN}', "NaN"),
        ('{"if": "open(red drawer)"}', "then"),
        ('{"skill": "lift", "arguments": "red cube"}', "list"),
        ('{"skill": "' + "a" * 65 + '", "arguments": []}', "64"),
        (json.dumps({"sequence": [{"skill": "lift", "arguments": ["a"]}] * 49}), "48"),
        ("import os", "JSON"),
    ],
)  # fmt: skip
def test_hostile_plans_are_refused_by_name(text, word):
    with pytest.raises(UserError, match=word):
        parse_plan(text)


def test_deep_plans_are_refused():
    value = {"skill": "lift", "arguments": ["red cube"]}
    for _ in range(plans.MAX_DEPTH + 1):
        value = {"sequence": [value]}
    with pytest.raises(UserError, match="deeper"):
        plan_from_json(value)


def test_conditions_are_decided_by_what_is_so():
    close, lift = Call("close", ("red drawer",)), Call("lift", ("red cube",))
    plan = Steps((Condition(("open", "red drawer"), True, close), lift))
    assert resolved(plan, EMPTY) == [lift]
    assert resolved(plan, frozenset({("open", "red drawer")})) == [close, lift]
    assert drawn(plan).splitlines() == [
        "in this order (2)",
        "├─ if open(red drawer)",
        "│  └─ then close(red drawer)",
        "└─ lift(red cube)",
    ]


def test_every_call_of_every_skill_does_what_it_says():
    found = all_calls(THINGS)
    assert {call.skill for call in found} == set(SKILLS)
    for call in found:
        checked(call, THINGS)
        after = applied(call, EMPTY)
        assert set(effects(call)) <= after
        assert (("hand_empty",) in after) == (call.skill != "lift")
        for one in effects(call):
            assert fact(*one) == one
        for phrasing in range(3):
            assert all(argument in instruction(call, phrasing) for argument in call.arguments)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (Call("throw", ("red cube",)), "throw"),
        (Call("lift", ("purple cube",)), "purple cube"),
        (Call("lift", ("left",)), "can be grasped"),
        (Call("lift", ("red drawer",)), "can be grasped"),
        (Call("place", ("red cube",)), "arguments"),
        (Call("place", ("red cube", "red zone")), "bowl or plate"),
        (Call("stack", ("red cube", "red cube")), "twice"),
    ],
)  # fmt: skip
def test_calls_that_fit_nothing_seen_are_refused(call, word):
    with pytest.raises(UserError, match=word):
        checked(call, THINGS)


def test_preconditions_name_what_is_missing():
    held = applied(Call("lift", ("red cube",)), EMPTY)
    assert unmet(Call("press", ("green button",)), held) == ["the hand holds the red cube"]
    assert unmet(Call("place", ("red cube", "blue bowl")), held) == []
    assert unmet(Call("stow", ("red cube", "red drawer")), EMPTY) == ["open(red drawer) is not so"]
    stacked = applied(Call("stack", ("small blue cube", "red cube")), EMPTY)
    assert unmet(Call("lift", ("red cube",)), stacked) == ["on(small blue cube, red cube) is so"]
    assert Call("open", ("red drawer",)) in possible(THINGS, EMPTY)
    assert Call("close", ("red drawer",)) not in possible(THINGS, EMPTY)


def test_a_thing_is_at_one_place():
    one = applied(Call("place", ("red cube", "blue bowl")), EMPTY)
    other = applied(Call("place", ("red cube", "red plate")), one)
    assert ("inside", "red cube", "blue bowl") in one - other
    assert ("on", "red cube", "red plate") in other - one


def test_what_is_put_down_is_neither_in_the_hand_nor_where_it_lay():
    call, lies = Call("put_down", ("red cube",)), ("on", "red cube", "red plate")
    held = applied(Call("lift", ("red cube",)), EMPTY)
    assert not succeeded(call, held) and unmet(call, held) == []
    assert not succeeded(call, EMPTY | {lies}) and unmet(call, EMPTY | {lies}) == []
    assert succeeded(call, applied(call, held)) and succeeded(call, applied(call, EMPTY | {lies}))
    assert unmet(Call("put_down", ("small blue cube",)), held) == ["the hand holds the red cube"]
    assert succeeded(Call("lift", ("red cube",)), held)
