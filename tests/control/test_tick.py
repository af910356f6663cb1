"""One tick after another in this process: chunks are played, at any speed, from wherever the arm stands."""

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.runtime.safe_stop import StopState
from ideomotor.control.runtime.watchdog import StalenessLimits

ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)


def test_a_healthy_robot_follows_the_chunks(bench):
    bench.run(120)
    assert bench.stop_state is StopState.RUN and bench.reason == ""
    expected = ROBOT.home_position[0] + bench.swing(np.array(119))
    assert bench.servos.position[0] == pytest.approx(expected, abs=1e-5)


def test_a_robot_that_begins_again_goes_home_and_takes_only_chunks_made_after_that(bench):
    bench.run(60)
    bench.shared.request("again")
    bench.feeding = False
    bench.run(1)
    assert bench.reason == "home, to begin again"
    bench.feed()  # while the arm is on its way
    while np.abs(bench.servos.position - ROBOT.home_position).max() > 1e-6:
        bench.run(1)
        assert bench.tick < 10 * HZ
    bench.run(240)
    assert bench.stop_state is StopState.PARK  # it waits for somebody to put the things back
    bench.shared.request("begin")
    bench.run(1)
    bench.run(30)
    assert bench.stop_state is StopState.RUN and bench.control.faults == []
    np.testing.assert_allclose(bench.servos.position, ROBOT.home_position, atol=1e-6)
    on_the_way = bench.tick - 30
    bench.feeding = True
    bench.run(60)
    ran = bench.control.report("", fifo=False).ran
    assert ran is not None and ran[:60].all() and not ran[60:on_the_way].any() and ran[on_the_way:].all()
    state = bench.shared.state.new()
    assert bench.shared.state.read(state)
    expected = ROBOT.home_position[0] + bench.swing(state["policy_tick"])
    assert bench.stop_state is StopState.RUN and bench.servos.position[0] == pytest.approx(expected, abs=1e-3)


def test_torque_goes_off_at_the_end_of_the_safe_stop_only(bench):
    bench.run(60)
    bench.shared.request("finish")
    for _ in range(100):
        if not bench.run(10):
            break
    assert bench.stop_state is StopState.OFF
    np.testing.assert_allclose(bench.servos.position, ROBOT.home_position, atol=1e-6)
    assert bench.servos.calls == ["disconnect, torque off"]
    KeepTorqueOn(bench.servos).disconnect()
    assert bench.servos.calls[-1] == "disconnect, torque on"


@pytest.mark.parametrize("speed", [1.0, 0.3])
def test_a_first_chunk_that_is_late_is_entered_at_its_beginning(speed, make_bench):
    bench = make_bench(speed=speed, staleness=StalenessLimits(chunk_s=5.0, plan_s=5.0))  # one chunk is all
    bench.feeding = False
    bench.run(3)
    late = bench.made()
    bench.run(90)  # entered at this tick it would begin with 0.2 rad more than where the arm stands
    bench.publish(*late)
    commands = []
    for _ in range(round(60 / speed)):
        bench.run(1)
        commands.append(bench.servos.position[0])
    assert bench.stop_state is StopState.RUN and bench.control.faults == []
    played = speed * np.arange(len(commands))
    expected = ROBOT.home_position[0] + bench.swing(played)
    np.testing.assert_allclose(commands, expected, atol=0.015)  # its speed is not there at once
    assert commands[-1] == pytest.approx(expected[-1], abs=2e-3)


def test_at_a_lower_speed_the_same_path_takes_longer_and_is_as_smooth(make_bench):
    bench = make_bench(speed=0.25)
    commands = []
    for tick in range(480):
        bench.feeding = tick % 64 == 0
        if bench.feeding:
            bench.publish(*bench.made(began=0))
        bench.feeding = False
        bench.run(1)
        commands.append(bench.servos.position[0] - ROBOT.home_position[0])
    state = bench.shared.state.new()
    assert bench.shared.state.read(state) and state["policy_tick"] == 119 and state["playing"]
    assert commands[40::4] == pytest.approx(
        bench.swing(np.arange(10, 120)), abs=1e-6
    )  # once its speed is reached
    assert commands[40:] == pytest.approx(bench.swing(np.arange(40, 480) / 4), abs=1e-5)
    hardest = 0.2 * (np.pi / 4) ** 2  # acceleration of the swing at this speed [rad/s²]
    assert np.abs(np.diff(commands[40:], 2)).max() * HZ**2 < 2 * hardest
    assert bench.control.controller.interventions.get("velocity", 0) == 0


def test_after_a_stop_the_policys_time_goes_on_where_it_was_with_the_next_chunk(bench):
    bench.run(60)
    bench.breaks("over_temperature (wrist)")
    bench.feeding = False
    bench.run(40)
    state = bench.shared.state.new()
    assert bench.shared.state.read(state) and not state["playing"]
    stood = int(state["policy_tick"])
    bench.servos.wrong = []
    bench.feed()
    bench.run(5)
    assert bench.shared.state.read(state) and state["playing"] and state["policy_tick"] == stood + 4
