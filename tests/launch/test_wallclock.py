"""The simulated robot under the wall clock: its physics in one process, its pictures in another."""

from pathlib import Path

import numpy as np
import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.report import ControlConfig
from ideomotor.launch.wallclock import drive
from ideomotor.sim.shared_scene import SceneSpec


@pytest.fixture
def bodies(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import bodies

    return bodies


def test_a_policy_sees_the_world_that_control_moves(bodies):
    scene = SceneSpec("reach", seed=3)
    config = ControlConfig(stop=bodies.STOP, max_ticks=180)
    run = drive(scene, bodies.Looker, config, finish_when_solved=False)
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


def test_a_mistake_in_the_scene_is_refused_before_any_process_starts(bodies):
    with pytest.raises(UserError, match="did you mean 'reach'"):
        drive(SceneSpec("raech", seed=0), bodies.Looker, ControlConfig())
