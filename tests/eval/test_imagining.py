"""Plans are tried in simulation, in a world built from what is perceived and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.types import Command
from ideomotor.eval.goals.imagining import Imagination, imagined_world
from ideomotor.eval.goals.oracle import steps_of
from ideomotor.eval.goals.setup import GoalSetup
from ideomotor.eval.goals.truth_perception import TruthPerception
from ideomotor.sim.long_horizon.truth import facts
from ideomotor.sim.open_world import task_world
from ideomotor.vla.planner.executor import Executor
from ideomotor.vla.planner.interface import DecisionKind, Moment, PerceivedScene


@pytest.fixture
def fetch():
    world = task_world("fetch", 1_000_001, level="none")
    yield world, TruthPerception(world, places=True).perceive(None, None)
    world.close()


def test_a_scene_that_is_perceived_as_it_is_becomes_the_same_world(fetch) -> None:
    world, scene = fetch
    imagined, words = imagined_world(scene, world.embodiment)
    assert imagined is not None and words == {name: name for name in scene.things}
    for thing, own in zip(world.scene.things, imagined.scene.things, strict=True):
        assert np.abs(world.position(thing.name) - imagined.position(own.name)).max() < 1e-3
    assert facts(imagined) == scene.facts
    blurred, _ = imagined_world(scene, world.embodiment, trial=1)
    assert blurred is not None
    assert 0 < np.abs(blurred.position("thing2") - imagined.position("thing2")).max() < 0.02


def test_relations_that_are_perceived_are_so_in_the_imagined_world() -> None:
    at = (0.24, 0.0)
    things = ("red cube", "blue cube", "green ball", "yellow bowl", "small purple cube", "orange drawer")
    so = {
        ("on", "red cube", "blue cube"), ("inside", "green ball", "yellow bowl"), ("open", "orange drawer"),
        ("in_drawer", "small purple cube", "orange drawer"), ("hand_empty",),
    }  # fmt: skip
    places = {"red cube": at, "blue cube": at, "green ball": (0.20, 0.16), "yellow bowl": (0.20, 0.10),
              "small purple cube": (0.3, -0.1), "orange drawer": (0.17, -0.10)}  # fmt: skip
    scene = PerceivedScene(things, frozenset(so), places)
    robot = load_embodiment("so101")
    imagined, words = imagined_world(scene, robot)
    assert imagined is not None
    for tick in range(60):
        imagined.step(Command(tick, robot.home_position))
    found = facts(imagined)
    assert {tuple(words.get(word, word) for word in one) for one in so} <= found
    held = replace(scene, facts=frozenset((so - {("hand_empty",)}) | {("held", "small purple cube")}))
    imagined, words = imagined_world(held, robot)
    assert imagined is not None and ("held", words["small purple cube"]) in facts(imagined)
    for lacking in (replace(scene, positions={}), replace(scene, things=("grey elephant",))):
        assert imagined_world(lacking, robot)[0] is None and Imagination(robot)(lacking, ()) is None


def test_what_can_be_done_comes_about_and_what_cannot_is_rejected_with_the_step(fetch) -> None:
    world, scene = fetch
    thing, drawer = steps_of(world)[0].arguments
    imagine = Imagination(world.embodiment)
    found = imagine(scene, steps_of(world))
    assert found is not None and found.share == 1.0
    x, y = scene.positions[drawer]
    far = replace(scene, positions={**scene.positions, drawer: (x + 0.13, y)})
    goal, said = f"put the {thing} into the {drawer} and close it", []
    executor = Executor(goal, imagine=Imagination(world.embodiment), log=said.append)
    executor.start(Moment(0.0, far))
    decision = executor.decide(Moment(0.0, far))
    assert decision.kind is DecisionKind.GIVE_UP
    assert "imagined in simulation, step 1" in decision.reason and "does not come about" in decision.reason
    assert all(one.rejected and one.imagined == 0.0 for one in executor.considered)
    near = Executor(goal, imagine=Imagination(world.embodiment))
    near.start(Moment(0.0, scene))
    assert near.decide(Moment(0.0, scene)).kind is DecisionKind.ACT
    assert near.considered[0].imagined == 1.0


def test_its_time_is_bounded(fetch) -> None:
    world, scene = fetch
    imagine = Imagination(world.embodiment, simulated_s=1.0)
    assert imagine(scene, steps_of(world)) is None and imagine(scene, steps_of(world)) is None
    found = imagine(replace(scene), [])
    assert found is not None and found.share == 1.0  # another choice has time of its own


def test_runs_without_imagining_are_continued_as_before() -> None:
    before = (
        "GoalSetup(planner='symbolic', perception='truth', verify=True, candidates=True, memory=True, "
        "recovery=True, return_home=False)"
    )
    assert GoalSetup().fingerprint == before != GoalSetup(imagine=True).fingerprint
