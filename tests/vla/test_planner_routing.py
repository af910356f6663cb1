"""Several policies as one: routed by skill, loaded when asked, bounded, handed over to with a prefix."""

from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.vla.planner.routing import LoadedPolicies, RoutedPolicy, routes_of

ROBOT = load_embodiment("so101")


class Named:
    """A policy that writes down what it is given."""

    def __init__(self, name):
        self.name, self.given, self.seeds = name, [], []

    def reset(self, seed):
        self.seeds.append(seed)

    def plan(self, observation):
        return LatentPlan(np.ones((1, 1), np.float32), observation.time, self.name)

    def act(self, observation, plan, committed_prefix):
        self.given.append((plan.text, plan.tokens.size, len(committed_prefix)))
        return ActionChunk(
            np.zeros((96, 6), np.float32), 120.0, observation.tick, observation.time, plan.observed_at
        )


def seen(time):
    return Observation(time, round(120 * time), {}, np.zeros(6, np.float32), "")


def test_each_skill_goes_to_its_own_policy_and_foreign_plans_are_left_out():
    made = {}

    def load(name):
        return lambda: made.setdefault(name, Named(name))

    policy = RoutedPolicy(load("general"), {"stack": load("stack"), "press": load("press")}, ROBOT)
    assert policy.loaded == ("",)
    policy.reset(7)
    old = policy.plan(seen(0.0))
    policy.act(seen(0.0), old, np.zeros((0, 6)))
    policy.route("stack")
    policy.act(seen(0.1), old, np.zeros((12, 6)))
    policy.act(seen(0.2), policy.plan(seen(0.2)), np.zeros((12, 6)))
    assert made["general"].given == [("general", 1, 0)]
    assert made["stack"].given == [("", 0, 12), ("stack", 1, 12)]
    assert made["general"].seeds == [7] and made["stack"].seeds == [8]
    policy.route("lift")  # it has none of its own
    assert policy.specialist == ""


def test_memory_is_bounded_and_the_oldest_is_let_go_first():
    loads = []

    def load(name):
        return lambda: loads.append(name) or Named(name)

    policy = RoutedPolicy(load("general"), {"stack": load("stack"), "press": load("press")}, ROBOT, most=2)
    for skill in ("stack", "press", "stack", ""):
        policy.route(skill)
        assert len(policy.loaded) <= 2
    assert loads == ["general", "stack", "press", "general"]


def test_a_policy_is_loaded_in_another_thread_while_nobody_waits():
    import threading

    go, loads = threading.Event(), []

    def load(name):
        def loading():
            loads.append(name)
            go.wait()
            if name == "press":
                raise UserError("press: no such folder")
            return Named(name)

        return loading

    def waited(name):
        go.set()
        policies._loading.thread.join()
        go.clear()
        return policies.ready(name)

    policies: Any = LoadedPolicies({name: load(name) for name in ("", "stack", "press")}, most=1)
    assert policies.ready("stack") is None and policies.ready("stack") is None
    assert waited("stack").name == "stack" and loads == ["stack"]
    assert policies.ready("") is None and policies.kept == ()  # room is made before, not after
    assert policies.ready("stack") is None  # another word meanwhile: one at a time
    assert waited("stack") is None and waited("stack").name == "stack"
    assert loads == ["stack", "", "stack"]
    assert policies.ready("press") is None
    with pytest.raises(UserError, match="no such folder"):
        waited("press")


def test_what_policies_are_chosen():
    assert routes_of(None) == (None, {})
    assert routes_of("runs/a") == ("runs/a", {})
    assert routes_of("runs/a,stack=runs/b,press=c") == ("runs/a", {"stack": "runs/b", "press": "c"})
    assert routes_of("stack=runs/b") == (None, {"stack": "runs/b"})
    assert routes_of("ws://host:1/x=1") == ("ws://host:1/x=1", {})
    for chosen, word in (
        ("a,b", "without skill="),
        ("fly=a", "fly"),
        ("stack=a,stack=b", "once"),
        ("stack=", "once"),
    ):
        with pytest.raises(UserError, match=word):
            routes_of(chosen)


def test_the_flag_may_be_given_several_times():
    from ideomotor.launch.command_line import joined_policies

    words = ["--goal", "x", "--policy", "a", "--seed", "1", "--policy=stack=b"]
    assert joined_policies(words) == ["--goal", "x", "--seed", "1", "--policy", "a,stack=b"]
    assert joined_policies(["--policy", "a", "--policy", "b"]) == ["--policy", "a", "--policy", "b"]
    assert joined_policies(["lift", "--policy"]) == ["lift", "--policy"]


def test_an_unknown_skill_is_refused():
    with pytest.raises(UserError, match="fly"):
        RoutedPolicy(lambda: Named("a"), {"fly": lambda: Named("b")}, ROBOT)
