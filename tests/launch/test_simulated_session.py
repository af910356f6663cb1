"""The simulated robot under the wall clock: its physics in one process, its pictures in another."""

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState
from ideomotor.launch.runtime.simulated_session import drive
from ideomotor.sim.sim_state_channel import SceneSpec

pytestmark = [pytest.mark.realtime, pytest.mark.session]


def test_a_policy_sees_the_world_that_control_moves(runtime_fakes):
    scene = SceneSpec("reach", seed=3)
    config = ControlConfig(stop=runtime_fakes.STOP, max_ticks=180)
    run = drive(scene, runtime_fakes.Looker, config, finish_when_solved=False)
    report = run.outcome.report
    assert report is not None and run.outcome.faults == [] and not run.success
    assert report.faults[-1][1] == "finished" and report.ticks >= 180
    world = scene.world()
    assert run.instruction == world.instruction
    assert float(run.plan_text) == pytest.approx(world.observe().images["front"].mean(), abs=2.0)
    np.testing.assert_allclose(report.commands[0], world.state().position, atol=0.01)
    assert len(report.chunk_age_s) > 30
    assert (report.chunk_age_s > 0).all() and (report.plan_age_s > 0).all()
    world.close()


def killer(role: str) -> Callable[[SharedState], None]:
    """An `on_poll` that kills a process once control has executed some ticks."""
    left = [60]

    def on_poll(shared: SharedState) -> None:
        if shared.state.newest() < 60:
            return
        left[0] -= 1
        if left[0] == 0:
            os.kill(int(shared.heartbeats[HEARTBEATS.index(role), 0]), signal.SIGKILL)

    return on_poll


def test_the_body_outlives_control_and_is_brought_to_rest_by_the_supervisor(runtime_fakes):
    config = ControlConfig(stop=runtime_fakes.STOP, max_ticks=1200)
    scene = SceneSpec("reach", seed=3)
    run = drive(scene, runtime_fakes.Looker, config, finish_when_solved=False, on_poll=killer("control"))
    assert run.outcome.guarded and run.outcome.report is None
    assert run.outcome.faults == ["control died: killed by SIGKILL"]


def test_a_body_that_dies_is_named(runtime_fakes):
    config = ControlConfig(stop=runtime_fakes.STOP, max_ticks=1200)
    scene = SceneSpec("reach", seed=3)
    run = drive(scene, runtime_fakes.Looker, config, finish_when_solved=False, on_poll=killer("body"))
    assert run.outcome.faults == ["body died: killed by SIGKILL"]
    assert run.outcome.report is not None and run.outcome.report.ticks < 1200
    assert "body died" in run.outcome.report.faults[0][1]


def test_a_mistake_in_the_scene_is_refused_before_any_process_starts(runtime_fakes):
    with pytest.raises(UserError, match="did you mean 'reach'"):
        drive(SceneSpec("raech", seed=0), runtime_fakes.Looker, ControlConfig())
