"""LIBERO's goals and lighter scenes, on a scene of our own: no package of LIBERO is needed."""

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.sim.environments.libero.env import rotation_vector
from ideomotor.sim.environments.libero.goals import Goal
from ideomotor.sim.environments.libero.perturb import rephrased
from ideomotor.sim.environments.libero.scene import parse_task
from ideomotor.sim.environments.libero.simplify import FACES, clustered, simplified

SCENE = """<mujoco><worldbody>
  <body name="plate"><geom name="plate" type="cylinder" size="0.07 0.01"/></body>
  <body name="bowl" pos="0 0 0.05"><freejoint name="bowl"/><geom name="bowl" type="box" size="0.02 0.02
  0.02"/></body> <body name="chest" pos="0.5 0 0.1"><geom name="chest" type="box" size="0.1 0.1 0.01"/> <body
  name="drawer"><joint name="slide" type="slide" axis="1 0 0"/> <geom name="drawer" type="box" size="0.05 0.05
  0.01" contype="0" conaffinity="0"/> <site name="inside" type="box" size="0.06 0.04 0.05" pos="0 0 0.05"
  euler="0 0 90"/></body></body> </worldbody></mujoco>"""


def thing(name: str, **more: Any) -> dict[str, Any]:
    return {"body": name, "geoms": [name], "joints": [], "limits": {}} | more


FACTS: dict[str, Any] = {
    "goal": [["on", "bowl", "plate"]],
    "things": {
        "plate": thing("plate"),
        "bowl": thing("bowl"),
        "chest": thing("chest", joints=["slide"], limits={"open": ("<", -0.14), "close": (">", 0.0)}),
    },
    "sites": {"inside": {"parent": "chest", "joints": ["slide"], "size": [0.06, 0.04, 0.05]}},
}


@pytest.fixture
def world() -> tuple[Goal, mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    return Goal(FACTS, model, data), model, data


def put(world: tuple[Goal, mujoco.MjModel, mujoco.MjData], place: list[float], slide: float = 0.0) -> Goal:
    goal, model, data = world
    data.joint("bowl").qpos[:3], data.joint("slide").qpos[0] = place, slide
    mujoco.mj_forward(model, data)
    return goal


@pytest.mark.parametrize(
    ("place", "reached"),
    [([0, 0, 0.0299], True), ([0, 0, 0.04], False), ([0.031, 0, 0.0299], False), ([0, 0, -0.0299], False)],
)
def test_a_thing_is_on_another_that_it_touches_from_above_within_three_centimetres(world, place, reached):
    assert put(world, place).reached() == reached


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ([0.53, 0.05, 0.15], True),  # the site is turned: its long side lies along y
        ([0.55, 0.0, 0.15], False),
        ([0.5, 0.07, 0.15], False),
        ([0.5, 0.0, 0.095], True),  # a centimetre of room below
        ([0.5, 0.0, 0.085], False),
    ],
)
def test_a_thing_is_in_a_region_that_its_middle_is_in(world, place, inside):
    assert put(world, place).holds(["in", "bowl", "inside"]) == inside


def test_a_thing_on_a_region_touches_what_the_region_is_of(world):
    inside = ["on", "bowl", "inside"]
    assert not put(world, [0.5, 0.0, 0.22]).holds(inside)  # in the air above it
    _, _, data = world
    data.ncon = 0
    goal = put(world, [0.5, 0.0, 0.2])
    facts = FACTS["sites"]["inside"] | {"parent": None}
    free = Goal(FACTS | {"sites": {"inside": facts}}, world[1], world[2])
    assert free.holds(inside) and not goal.holds(inside)


def test_drawers_are_open_and_closed_by_their_joints(world):
    for name in ("chest", "inside"):
        for slide, is_open, is_closed in ((-0.15, True, False), (-0.1, False, False), (0.001, False, True)):
            goal = put(world, [0, 0, 1], slide)
            assert (goal.holds(["open", name]), goal.holds(["close", name])) == (is_open, is_closed)


def test_a_rotation_vector_is_robosuites():
    assert rotation_vector(np.array([1.0, 0, 0, 0])) == pytest.approx([0, 0, 0])
    assert rotation_vector(np.array([0.0, 1, 0, 0])) == pytest.approx([np.pi, 0, 0])
    assert rotation_vector(np.array([-np.sqrt(0.5), 0, np.sqrt(0.5), 0])) == pytest.approx(
        [0, 1.5 * np.pi, 0]
    )


@pytest.mark.parametrize("task", ["spatial", "spatial-10", "kitchen-1", "90-x", ""])
def test_tasks_are_a_suite_and_a_number(task):
    with pytest.raises(UserError, match="task"):
        parse_task(task)
    assert parse_task("90-89") == ("libero_90", 89)


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (
            "put the bowl on the plate",
            ["on the plate, put the bowl", "on the plate, set the bowl", "on the saucer, set the dish"],
        ),
        (
            "pick up the black bowl on the stove and place it on the plate",
            [
                "on the plate, put the black bowl on the stove",
                "on the plate, set the black bowl on the stove",
                "on the saucer, set the dark dish on the cooker",
            ],
        ),
        (
            "turn on the stove and put the moka pot on it",
            [
                "could you turn on the stove and put the moka pot on it",
                "could you switch on the stove and set the moka pot on it",
                "could you switch on the cooker and set the coffee maker on it",
            ],
        ),
    ],
)
def test_instructions_are_said_in_other_words(words, others):
    assert [rephrased(words, strength) for strength in (1, 2, 3)] == others


def test_every_instruction_of_the_suites_can_be_said_otherwise():
    where = load_embodiment("libero").environment
    assert where is not None
    for task in where.tasks:
        said = [task.instruction, *(rephrased(task.instruction, strength) for strength in (1, 2, 3))]
        assert len(set(said)) == 4 and all("  " not in text for text in said), said


def test_a_mesh_with_fewer_faces_has_the_same_extent_and_both_sides_of_its_walls():
    turn, height = np.meshgrid(np.linspace(0, 2 * np.pi, 200, endpoint=False), np.linspace(0, 1, 50))
    ring = np.stack([np.cos(turn), np.sin(turn), height], axis=-1).reshape(-1, 3)
    index = np.arange(50 * 200).reshape(50, 200)
    a, b = index[:-1], np.roll(index, -1, axis=1)[:-1]
    c, d = np.roll(index, -1, axis=1)[1:], index[1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    both = np.concatenate([faces, faces[:, ::-1]])
    vertices, fewer, kept = clustered(ring, both)
    assert len(fewer) <= FACES and len(kept) == len(fewer)
    assert (kept < len(faces)).sum() == pytest.approx(len(fewer) / 2, rel=0.2)
    assert np.ptp(vertices, axis=0) == pytest.approx([2, 2, 1], abs=0.1)


def test_lighter_scenes_weigh_the_same(tmp_path: Path):
    grid = np.linspace(-0.1, 0.1, 60)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    points = np.column_stack([points, 0.05 * np.cos(20 * points).sum(axis=1)])
    index = np.arange(60 * 60).reshape(60, 60)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    lines = ["v {} {} {}".format(*point) for point in points]
    lines += ["f {} {} {}".format(*face) for face in faces + 1]
    (tmp_path / "hill.obj").write_text("\n".join(lines))
    xml = f"""<mujoco><compiler inertiagrouprange="0 0"/>
      <asset><mesh name="hill" inertia="shell" scale="2 1 1" file="{tmp_path / "hill.obj"}"/></asset>
      <worldbody><body><freejoint/><geom type="sphere" size="0.1"/>
      <geom name="hill" type="mesh" mesh="hill" contype="0" conaffinity="0"
      group="1"/></body></worldbody></mujoco>"""
    full, light = mujoco.MjModel.from_xml_string(xml), simplified(xml, tmp_path / "textures")
    assert light.nmeshface <= FACES < full.nmeshface
    assert np.array_equal(light.body_mass, full.body_mass)
    assert np.array_equal(light.body_inertia, full.body_inertia)
    spread = [np.ptp(_drawn(model), axis=0) for model in (full, light)]
    assert spread[1] == pytest.approx(spread[0], abs=0.03)


def _drawn(model: mujoco.MjModel) -> np.ndarray:
    """(V, 3) vertices of the mesh in the body's frame [m]."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.geom("hill").quat)
    return model.mesh_vert @ rotation.reshape(3, 3).T + model.geom("hill").pos
