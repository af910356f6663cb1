"""One tick after another in this process: a robot that supervises itself, and re-arming it."""

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import Cause, StopState
from ideomotor.control.runtime.tick import ControlTick
from ideomotor.control.types import ActionChunk

ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)


def test_a_fault_that_passes_holds_and_lets_go_on(bench):
    bench.run(60)
    bench.breaks("over_temperature (wrist)")
    bench.run(30)
    assert bench.stop_state is StopState.HOLD and bench.reason == "robot: over_temperature (wrist)"
    bench.servos.wrong = []
    bench.run(30)
    assert bench.stop_state is StopState.RUN


def test_a_latched_fault_needs_rearming_which_the_robot_may_refuse(bench):
    bench.run(60)
    bench.breaks("torque_lost (wrist)", latched=True)
    bench.run(10)
    bench.servos.refusal = "wrist: too hot"
    bench.shared.request("rearm")
    bench.run(10)
    assert bench.stop_state is StopState.HOLD
    assert bench.control.faults[-1][1] == "not re-armed: wrist: too hot"
    bench.servos.refusal = ""
    bench.servos.position = ROBOT.home_position + 0.05  # it sank a little meanwhile
    bench.shared.request("rearm")
    bench.run(1)
    assert bench.stop_state is StopState.RUN and "rearm" in bench.servos.calls
    np.testing.assert_allclose(bench.servos.position, ROBOT.home_position + 0.05, atol=1e-3)
    bench.run(60)
    assert bench.stop_state is StopState.RUN and bench.reason == ""


def test_a_silent_robot_grows_stale(bench):
    bench.run(60)
    bench.servos.silent = True
    bench.run(12)
    assert bench.stop_state is StopState.RUN
    bench.run(2)  # 0.1 s after it was last heard
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("stale state")
    assert np.isfinite(bench.servos.position).all()


def test_a_robot_that_cannot_be_written_to_is_a_fault(bench):
    bench.run(60)
    bench.servos.broken = True
    bench.run(3)
    assert bench.stop_state is StopState.HOLD
    assert bench.control.faults[-1][1] == "robot: could not be written to (no answer)"


def test_an_arm_that_pushes_too_hard_is_stopped_until_rearmed(bench):
    bench.run(60)
    bench.servos.effort = np.eye(6)[1] * 2.9
    while bench.stop_state is StopState.RUN:
        bench.run(1)
        assert bench.tick < 600
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith(
        "effort: shoulder_lift: 2.90 N m, more than"
    )
    bench.servos.effort = np.zeros(6)
    bench.run(20)
    assert bench.stop_state is StopState.HOLD, "latched"
    bench.shared.request("rearm")
    bench.run(40)
    assert bench.stop_state is StopState.RUN


def test_a_stuck_joint_that_pushes_too_hard_is_not_dropped(impatient):
    bench = impatient
    while abs(bench.servos.position[0] - ROBOT.home_position[0]) < 0.17:
        bench.run(1)
        assert bench.tick < 480
    bench.servos.frozen, bench.servos.effort = True, np.eye(6)[0] * 2.9
    bench.control.safe_stop.trip(Cause.FAULT, "effort: shoulder_pan")
    while bench.control.safe_stop.cause is Cause.FAULT:
        bench.run(1)
        assert bench.tick < 2400
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("not following: shoulder_pan: 0.")


def test_a_joint_that_does_not_follow_stops_the_arm_where_it_is_until_rearmed(impatient):
    bench = impatient
    bench.run(60)
    stuck_at = bench.servos.position[0]
    bench.servos.frozen = True
    while bench.stop_state is StopState.RUN:
        bench.run(1)
        assert bench.tick < 240
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("not following: shoulder_pan: 0.")
    assert bench.control.safe_stop.cause is Cause.NOT_FOLLOWING
    bench.run(100)
    state = bench.shared.state.new()
    assert bench.shared.state.read(state)
    assert state["command"][0] == pytest.approx(stuck_at, abs=2e-3), "it no longer pushes"
    np.testing.assert_allclose(state["command"][1:], ROBOT.home_position[1:], atol=1e-6)
    bench.servos.frozen = False
    bench.shared.request("rearm")
    bench.run(60)
    assert bench.stop_state is StopState.RUN and bench.reason == ""


def test_a_run_that_ends_for_a_stuck_joint_leaves_the_motors_on(impatient):
    bench = impatient
    bench.run(30)
    bench.servos.frozen = True
    for _ in range(1000):
        if not bench.run(1):
            break
    assert bench.control.safe_stop.ended and bench.stop_state is StopState.HOLD
    assert "disconnect, torque off" not in bench.servos.calls
    assert bench.control.faults[-1][1].startswith("not following: shoulder_pan")


def test_a_joint_that_gets_stuck_on_its_way_home_stops_there_too(impatient):
    bench = impatient
    bench.run(60)  # 0.2 rad away
    bench.shared.request("finish")
    while bench.stop_state is not StopState.PARK:
        bench.run(1)
    bench.servos.frozen = True
    for _ in range(1000):
        if not bench.run(1):
            break
    assert bench.control.safe_stop.ended and bench.stop_state is StopState.HOLD
    assert "disconnect, torque off" not in bench.servos.calls


def test_what_a_robot_says_of_itself_goes_before_what_it_does_not_follow(impatient):
    bench = impatient
    bench.run(30)
    bench.servos.frozen = True
    bench.breaks("torque_lost (shoulder_pan)", latched=True)
    bench.run(60)
    assert bench.reason == "robot: torque_lost (shoulder_pan)"


def test_a_first_target_far_away_is_a_fault_and_nothing_moves_there(bench):
    bench.feeding = False
    bench.run(5)
    before = bench.servos.position.copy()
    far = np.repeat((ROBOT.home_position + np.eye(6)[0] * 1.5)[None], 96, axis=0)
    now = bench.clock.monotonic()
    record = bench.shared.chunk.new()
    shared_state.pack_chunk(record, ActionChunk(far, HZ, bench.tick, now, now), 1)
    bench.shared.chunk.write(record)
    bench.run(20)
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith(
        "start: shoulder_pan: the first target is 1.5"
    )
    np.testing.assert_array_equal(bench.servos.position, before)


def test_a_start_in_the_table_is_refused(tick_bench):
    shared = shared_state.create(ROBOT)
    servos = tick_bench.Servos(position=np.array([0.0, 1.6, 0.5, 0.5, 0.0, 0.3]))
    with pytest.raises(UserError, match="^start: .*table"):
        ControlTick(shared, ROBOT, KeepTorqueOn(servos), ControlConfig(peers=()), EStop())
    shared.close()


def test_an_arm_that_is_never_measured_is_brought_to_rest_where_its_motors_were_commanded_to_be(make_bench):
    bench = make_bench(silent=True, position=ROBOT.home_position + 0.1)
    bench.run(1)
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("robot: no position of joint 0, 1")
    while bench.run(10):
        assert bench.tick < 20 * HZ
    assert bench.stop_state is StopState.PARK  # nobody knows where it is, so it is neither moved nor dropped
    np.testing.assert_array_equal(bench.servos.position, ROBOT.home_position + 0.1)
    assert bench.servos.calls == []


def test_a_tick_that_fails_in_a_way_that_nobody_foresaw_leaves_the_safe_stop(bench):
    bench.run(60)
    bench.servos.position = bench.servos.position[:5]  # a driver's mistake
    with pytest.raises(ValueError, match="shape"):
        bench.run(1)
    bench.servos.position = ROBOT.home_position.copy()
    bench.control.fail("control: ValueError: shapes")
    bench.shared.request("rearm")  # does not help
    while bench.control.step_down(bench.tick):
        bench.tick += 1
        assert bench.tick < 20 * HZ
    assert bench.stop_state is StopState.OFF and bench.control.faults[-1][1] == "control: ValueError: shapes"
    assert bench.servos.calls == ["disconnect, torque off"]
