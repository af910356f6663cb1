"""The safe stop by itself."""

import dataclasses

import numpy as np
import pytest

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime.safe_stop import Cause, SafeStop, StopConfig, StopState
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.types import RobotState

ROBOT = load_embodiment("so101")
HZ = ROBOT.control_hz
CONFIG = StopConfig(park_after_s=0.5, off_after_s=0.25, end_after_s=0.25)
START = (ROBOT.lower + ROBOT.upper) / 2


class Arm:
    """A perfect arm under controller and safe stop, moving as fast as joint 0 may when the stop comes."""

    def __init__(self, can_relax: bool = True, config: StopConfig = CONFIG) -> None:
        self.controller = Controller(ROBOT)
        self.safe_stop = SafeStop(ROBOT, config, can_relax)
        self.commands = [START] * 4
        self.stop_states: list[StopState] = []
        self.controller.reset(self.state())
        for tick in range(60):
            self.step(
                self.controller.follow(tick, self.state(), START + np.eye(6)[0] * 2.5 * tick / HZ).position
            )
        self.tick = 60

    def state(self) -> RobotState:
        return RobotState(0.0, self.commands[-1], np.zeros(6), np.zeros(6))

    def step(self, command: np.ndarray, finishing: bool = False) -> None:
        self.commands.append(command)
        self.safe_stop.advance(command, finishing)
        self.stop_states.append(self.safe_stop.stop_state)

    def run(self, seconds: float, finishing: bool = False) -> None:
        for _ in range(round(seconds * HZ)):
            target = (
                self.safe_stop.target()
                if self.safe_stop.stop_state is not StopState.RUN
                else self.commands[-1]
            )
            self.step(self.controller.follow(self.tick, self.state(), target).position, finishing)
            self.tick += 1

    @property
    def moving(self) -> bool:
        return bool(np.abs(self.commands[-1] - self.commands[-2]).max() > 1e-4)

    def assert_within_limits(self) -> None:
        positions = np.array(self.commands)
        assert (positions >= ROBOT.lower - 1e-9).all() and (positions <= ROBOT.upper + 1e-9).all()
        for order, limit in enumerate((ROBOT.max_velocity, ROBOT.max_acceleration, ROBOT.max_jerk), 1):
            assert (np.abs(np.diff(positions, order, axis=0)) * HZ**order <= limit * (1 + 1e-6)).all()


def test_a_fault_goes_down_the_whole_ladder_within_the_limits():
    arm = Arm()
    assert arm.moving
    arm.safe_stop.trip(Cause.FAULT, "decoder died")
    arm.run(0.4)
    assert arm.safe_stop.stop_state is StopState.HOLD and not arm.moving
    arm.run(20)
    assert arm.safe_stop.stop_state is StopState.OFF and arm.safe_stop.ended
    assert arm.safe_stop.reason == "decoder died"
    order = list(dict.fromkeys(arm.stop_states))
    assert order == [StopState.RUN, StopState.HOLD, StopState.PARK, StopState.OFF]
    np.testing.assert_allclose(arm.commands[-1], ROBOT.home_position, atol=1e-6)
    parking = np.array(arm.commands)[-arm.stop_states.count(StopState.OFF) - 300 :]
    assert np.abs(np.diff(parking, axis=0)).max() * HZ <= CONFIG.park_speed * 1.01
    arm.assert_within_limits()


def test_torque_stays_on_where_it_cannot_be_taken_off():
    arm = Arm(can_relax=False)
    arm.safe_stop.trip(Cause.FINISH, "time is up")
    arm.run(20)
    assert arm.safe_stop.stop_state is StopState.PARK and arm.safe_stop.ended


def test_what_was_stale_goes_on_by_itself_from_holding_only():
    arm = Arm()
    arm.safe_stop.trip(Cause.STALE, "stale chunk")
    arm.run(0.3)
    arm.safe_stop.clear(Cause.STALE)
    assert arm.safe_stop.stop_state is StopState.RUN and arm.safe_stop.reason == ""
    arm.safe_stop.trip(Cause.STALE, "stale chunk")
    arm.run(1.5)
    assert arm.safe_stop.stop_state is StopState.PARK
    arm.safe_stop.clear(Cause.STALE)
    assert arm.safe_stop.stop_state is StopState.PARK
    arm.safe_stop.rearm()
    assert arm.safe_stop.stop_state is StopState.RUN
    arm.assert_within_limits()


def test_for_a_policy_elsewhere_only_what_may_pass_by_itself_is_waited_for_longer():
    waiting = dataclasses.replace(CONFIG, stale_after_s=5.0)
    lost, stuck, broken = Arm(config=waiting), Arm(config=waiting), Arm(config=waiting)
    lost.safe_stop.trip(Cause.STALE, "no chunk since 1 s")
    stuck.safe_stop.trip(Cause.NOT_FOLLOWING, "elbow")
    broken.safe_stop.trip(Cause.FAULT, "decoder died")
    for arm in (lost, stuck, broken):
        arm.run(3)
    assert lost.safe_stop.stop_state is StopState.HOLD and not lost.safe_stop.ended
    assert stuck.safe_stop.stop_state is StopState.HOLD and stuck.safe_stop.ended
    assert StopState.PARK in broken.stop_states
    lost.run(4)
    assert StopState.PARK in lost.stop_states


def test_to_begin_again_the_arm_goes_home_and_runs_on_unless_something_graver_happens():
    arm = Arm()
    arm.safe_stop.begin()  # of what has not been asked for
    arm.safe_stop.trip(Cause.AGAIN, "home, to begin again")
    arm.safe_stop.clear(Cause.STALE)
    arm.run(20)
    assert (
        arm.safe_stop.stop_state is StopState.PARK and not arm.safe_stop.ended
    )  # waits for the things to be put back
    np.testing.assert_allclose(arm.commands[-1], ROBOT.home_position, atol=1e-6)
    arm.safe_stop.begin()
    arm.run(0.1)
    assert list(dict.fromkeys(arm.stop_states)) == [StopState.RUN, StopState.HOLD, StopState.PARK]
    assert (
        arm.safe_stop.stop_state is StopState.RUN and arm.safe_stop.reason == "" and not arm.safe_stop.ended
    )
    arm.safe_stop.trip(Cause.AGAIN, "home, to begin again")
    arm.safe_stop.begin()  # before it is there: it goes on at once when it is
    arm.run(20)
    assert arm.safe_stop.stop_state is StopState.RUN
    arm.safe_stop.trip(Cause.AGAIN, "home, to begin again")
    arm.safe_stop.trip(Cause.FAULT, "decoder died")
    arm.run(20)
    assert arm.safe_stop.stop_state is StopState.OFF and arm.safe_stop.reason == "decoder died"
    arm.assert_within_limits()


def test_an_emergency_stop_never_moves_the_arm_again_by_itself():
    arm = Arm()
    arm.safe_stop.trip(Cause.ESTOP, "emergency stop: SIGINT")
    arm.run(0.5)
    held = arm.commands[-1]
    arm.run(10)
    assert arm.safe_stop.stop_state is StopState.HOLD and not arm.safe_stop.ended
    np.testing.assert_allclose(arm.commands[-1], held, atol=1e-3)
    arm.safe_stop.clear(Cause.STALE)
    arm.safe_stop.trip(Cause.FAULT, "decoder died")
    assert arm.safe_stop.reason == "emergency stop: SIGINT"
    arm.run(1, finishing=True)
    assert arm.safe_stop.ended and arm.safe_stop.stop_state is StopState.HOLD


def test_an_emergency_stop_interrupts_parking():
    arm = Arm()
    arm.safe_stop.trip(Cause.FAULT, "decoder died")
    while arm.safe_stop.stop_state is not StopState.PARK:
        arm.run(0.1)
    arm.run(1)
    assert arm.moving
    arm.safe_stop.trip(Cause.ESTOP, "button")
    arm.run(0.5)
    assert arm.safe_stop.stop_state is StopState.HOLD and not arm.moving
    arm.assert_within_limits()


def test_another_filter_goes_on_with_the_motion_of_a_dead_one():
    arm = Arm()
    successor = SafetyFilter(ROBOT)
    successor.resume(np.array(arm.commands[-3:]))
    for tick in range(120):
        arm.commands.append(successor.filter(tick, None)[0])
    assert not arm.moving
    arm.assert_within_limits()
    with pytest.raises(ValueError, match="commands"):
        successor.resume(np.full((3, 6), np.nan))


def test_a_stop_for_a_joint_that_does_not_follow_stays_where_it_is_and_ends():
    arm = Arm()
    arm.safe_stop.trip(Cause.NOT_FOLLOWING, "not following: shoulder_pan")
    arm.run(0.5)
    assert not arm.moving and arm.safe_stop.target() is None
    there = arm.commands[-1] - 0.2 * np.eye(6)[0]
    arm.safe_stop.rest_at(there)
    arm.run(0.5)
    np.testing.assert_allclose(arm.commands[-1], there, atol=1e-3)
    arm.run(2.0)
    assert arm.safe_stop.ended and set(arm.stop_states[60:]) == {StopState.HOLD}
    arm.assert_within_limits()


def test_a_way_home_on_which_a_joint_gets_stuck_ends_there():
    arm = Arm()
    arm.safe_stop.trip(Cause.FINISH, "time is up")
    while arm.safe_stop.stop_state is not StopState.PARK:
        arm.run(0.1)
    arm.run(0.1)
    arm.safe_stop.trip(Cause.NOT_FOLLOWING, "not following: shoulder_pan")
    arm.run(3.0)
    assert arm.safe_stop.ended and arm.safe_stop.stop_state is StopState.HOLD
    arm.safe_stop.trip(Cause.ESTOP, "button")  # graver, and holds as well
    assert arm.safe_stop.cause is Cause.ESTOP and arm.safe_stop.stop_state is StopState.HOLD
