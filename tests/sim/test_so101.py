"""The simulated arm against the table of facts it was built from."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.sim.so101 import INERTIAS, add_so101

ROBOT = load_embodiment("so101")


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    add_so101(spec, ROBOT)
    return spec.compile()


def test_known_reach_of_the_stretched_arm(model: mujoco.MjModel) -> None:
    """At zero the arm points ahead; its reach follows from the table's lengths by hand."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    tip = data.site("gripper").xpos
    # x: shoulder 0.03884 + 0.0304, then along the upper arm's offset, the lower arm, wrist and gripper.
    assert tip[0] == pytest.approx(0.03884 + 0.0304 + 0.028 + 0.1349 + 0.0611 + 0.09813, abs=2e-3)
    assert abs(tip[1]) < 2e-3


def test_joints_actuators_and_masses_follow_the_facts(model: mujoco.MjModel) -> None:
    assert [model.joint(i).name for i in range(model.njnt)] == list(ROBOT.joint_names)
    assert [model.actuator(i).name for i in range(model.nu)] == list(ROBOT.joint_names)
    np.testing.assert_allclose(model.jnt_range, np.stack([ROBOT.lower, ROBOT.upper], axis=1))
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], ROBOT.max_effort)
    np.testing.assert_allclose(model.dof_armature, 0.028)
    np.testing.assert_allclose(model.dof_frictionloss, 0.052)
    for name, inertia in INERTIAS.items():
        assert model.body(name).mass[0] == pytest.approx(inertia.mass)
    assert model.body("base").subtreemass[0] == pytest.approx(sum(body.mass for body in INERTIAS.values()))


def test_a_servo_holds_the_arm_stretched_out(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 480)
    assert np.abs(data.qpos).max() < 0.01
    assert (np.abs(data.actuator_force) <= ROBOT.max_effort + 1e-9).all()
    assert np.abs(data.actuator_force[1]) > 0.3  # gravity is real
