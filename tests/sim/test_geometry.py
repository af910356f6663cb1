"""What the safety filter believes about each robot's body, against MuJoCo's own kinematics and collisions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.safety.clearance import REASONS, Clearance
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.safety.kinematics import Kinematics, rotation
from ideomotor.eval.rollout import rollout
from ideomotor.sim.open_world import task_world
from ideomotor.sim.so101 import add_so101
from ideomotor.sim.tasks import TASKS

MODELS: dict[str, Callable[[mujoco.MjSpec, Embodiment], None]] = {"so101": add_so101}
NEIGHBOURS = {
    ("base", "shoulder"),
    ("shoulder", "upper_arm"),
    ("upper_arm", "lower_arm"),
    ("lower_arm", "wrist"),
}
ONE_PIECE = {
    "wrist",
    "gripper",
    "camera_mount",
    "moving_jaw",
}  # turn against each other without meeting, or grip


SIMULATED = [  # a pair's links are those of its arms (tests/control/test_pair.py), a leader's its follower's
    name
    for name in embodiment_names()
    if (robot := load_embodiment(name)).geometry and not robot.arms and not robot.leads
]


def load(name: str) -> tuple[Embodiment, mujoco.MjModel, mujoco.MjData]:
    robot = load_embodiment(name)
    spec = mujoco.MjSpec()
    MODELS[name](spec, robot)
    for geom in spec.geoms:
        geom.contype = geom.conaffinity = 1  # let the arm touch itself
    model = spec.compile()
    return robot, model, mujoco.MjData(model)


@pytest.mark.parametrize("name", SIMULATED)
def test_links_are_where_mujoco_has_them(name: str) -> None:
    robot, model, data = load(name)
    assert robot.geometry
    kinematics = Kinematics(robot, robot.geometry)
    postures = np.random.default_rng(0).uniform(robot.lower, robot.upper, (200, len(robot.joints)))
    frames = kinematics.frames(postures)
    tip = frames.reshape(3, 200, -1) @ kinematics.weights(
        robot.geometry.tip_link, (*robot.geometry.tip_position, 1.0)
    )
    for i, posture in enumerate(postures):
        data.qpos[:] = posture
        mujoco.mj_kinematics(model, data)
        for k, link in enumerate(kinematics.names):
            np.testing.assert_allclose(frames[:, i, k, 3], data.body(link).xpos, atol=1e-9)
            np.testing.assert_allclose(frames[:, i, k, :3], data.body(link).xmat.reshape(3, 3), atol=1e-9)
        np.testing.assert_allclose(tip[:, i], data.site("gripper").xpos, atol=1e-9)


@pytest.mark.parametrize("name", SIMULATED)
def test_every_shape_lies_in_the_boxes_of_its_link(name: str) -> None:
    robot, model, _ = load(name)
    assert robot.geometry
    for geom in range(model.ngeom):
        size = model.geom_size[geom].copy()
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER:
            size = np.array([size[0], size[0], size[1]])
        corners = np.array(list(itertools.product(*[(-half, half) for half in size])))
        corners = corners @ rotation(model.geom_quat[geom]).T + model.geom_pos[geom]
        boxes = robot.geometry.link(model.body(model.geom_bodyid[geom]).name).boxes
        inside = [
            (np.abs((corners - box.position) @ rotation(box.quaternion)) <= np.array(box.half) + 1e-4).all()
            for box in boxes
        ]
        assert any(inside), (model.body(model.geom_bodyid[geom]).name, size)


def test_every_collision_with_itself_is_seen_and_few_that_are_none() -> None:
    robot, model, data = load("so101")
    assert robot.geometry
    clearance = Clearance(robot, replace(robot.geometry, apart_margin=0.0))
    postures = np.random.default_rng(1).uniform(robot.lower, robot.upper, (2000, len(robot.joints)))
    own = clearance.reasons == REASONS.index("self_collision")
    refused = np.any(clearance(postures)[:, own] < 0, axis=1)
    touching = np.zeros(len(postures), dtype=bool)
    for i, posture in enumerate(postures):
        data.qpos[:] = posture
        mujoco.mj_forward(model, data)
        for geoms in data.contact.geom:
            links = {model.body(model.geom_bodyid[geom]).name for geom in geoms}
            touching[i] |= len(links) == 2 and not links <= ONE_PIECE and tuple(sorted(links)) not in {
                tuple(sorted(pair)) for pair in NEIGHBOURS
            }  # fmt: skip
    assert 0.1 < touching.mean() < 0.5
    assert refused[touching].all()
    assert (refused & ~touching).sum() <= 0.02 * len(postures)


@pytest.mark.parametrize("task", TASKS)
def test_no_expert_comes_near_what_is_forbidden(task: str) -> None:
    """Also with a detour, as demonstrations have; every command passes the filter as it is."""
    world = task_world(task, 1000, level="full")
    start = world.state().position
    commands = rollout(world, None, expert_noise=1.0).commands
    safety = SafetyFilter(world.embodiment)
    safety.reset(start)
    for tick, command in enumerate(commands):
        passed, reasons = safety.filter(tick, command)
        assert not set(reasons) & set(REASONS)
        np.testing.assert_array_equal(passed, command)
