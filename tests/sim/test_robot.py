"""The simulated robot as control sees it: shared commands move the same world as lockstep does."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import REQUESTS
from ideomotor.control.types import Command
from ideomotor.sim.robot import SimulatedRobot, waker
from ideomotor.sim.sim_state_channel import SceneSpec, succeeded
from ideomotor.sim.wallclock import RobotSimulation

ROBOT = load_embodiment("so101")
SCENE = SceneSpec("press", seed=1)


@pytest.fixture
def shared():
    shared = shared_state.create(ROBOT)
    yield shared
    shared.close()


def test_commands_in_the_shared_state_move_the_world_as_lockstep_does_however_late_the_body_is(shared):
    wake, world = waker(), SCENE.world()
    robot = SimulatedRobot(wake, shared)
    with pytest.raises(OSError, match="no state yet"):
        robot.read()
    simulation = RobotSimulation(SCENE.world(), shared, finish=False)
    assert simulation.follow() == 0
    position = world.state().position
    for tick, waiting in enumerate((1, 1, 3, 2, 5)):
        for _ in range(waiting):
            position = position + 0.002
            robot.write(Command(tick, position))
            world.step(Command(tick, position))
        assert os.eventfd_read(wake.fileno()) == waiting
        assert simulation.follow() == waiting
        state, same = robot.read(), world.state()
        assert state.time == same.time
        for name in ("position", "velocity", "effort"):
            np.testing.assert_array_equal(getattr(state, name), getattr(same, name))
    seen = shared.scene.new()
    assert shared.scene.read(seen)
    np.testing.assert_array_equal(seen["positions"][: int(seen["n"])], world.data.qpos)
    for opened in (simulation.world, world, wake):
        opened.close()


def test_the_run_is_ordered_to_finish_once_when_the_task_is_solved(shared):
    wake, expert_world = waker(), SCENE.world()
    robot, simulation = SimulatedRobot(wake, shared), RobotSimulation(SCENE.world(), shared, finish=True)
    for tick, position in enumerate(expert_world.expert()):
        robot.write(Command(tick, position))
        expert_world.step(Command(tick, position))
        simulation.follow()
    assert expert_world.success and succeeded(shared.scene)
    assert shared.requests[REQUESTS.index("finish")] == 1
    for opened in (simulation.world, expert_world, wake):
        opened.close()


def test_control_needs_no_simulator_for_it():
    code = (
        "import sys, ideomotor.control.runtime.process, ideomotor.sim.robot\n"
        "print({'torch', 'mujoco', 'gymnasium'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
