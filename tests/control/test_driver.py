"""Who drives, one tick after another in this process: a person's actions are followed, without a jump."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime.safe_stop import StopState
from ideomotor.control.runtime.shared_state import text_of
from ideomotor.control.teleop.process import ActionPublisher
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction

ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)
HOME = ROBOT.home_position
PAN = np.eye(6)[0]


class Leader:
    """A teleoperator that says what a test gives it."""

    def __init__(self, bench) -> None:
        self.position, self.engaged, self.fault = HOME.copy(), True, ""
        self.publisher, self._bench = ActionPublisher(bench.shared), bench
        self.seen: FollowerState | None = None

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...

    def read(self, state: FollowerState) -> TeleopAction:
        self.seen = state
        if self.fault:
            raise OSError(self.fault)
        return TeleopAction(self._bench.clock.monotonic() - 0.004, self.position.copy(), self.engaged)

    def run(self, ticks: int, moves: bool = True) -> np.ndarray:
        """So many ticks with a new action in each, (ticks, 6) commands."""
        commands = []
        for _ in range(ticks):
            if moves:
                self.publisher.step(self)
            self._bench.run(1)
            commands.append(self._bench.servos.position.copy())
        return np.array(commands)


@pytest.fixture
def teleop(make_bench):
    """A bench that a person drives from the beginning, and their leader."""
    bench = make_bench(driver=DriverName.PERSON)
    bench.feeding = False
    return bench, Leader(bench)


def within_limits(commands: np.ndarray) -> None:
    """Fails if commands (n, 6), the first at rest, break a limit of the robot."""
    rows = np.vstack([np.repeat(commands[:1], 3, axis=0), commands])
    for order, limit in ((1, ROBOT.max_velocity), (2, ROBOT.max_acceleration), (3, ROBOT.max_jerk)):
        assert (np.abs(np.diff(rows, order, axis=0)) * HZ**order <= limit * (1 + 1e-6)).all(), order


def test_a_person_is_followed_once_the_arm_has_come_to_their_pose(teleop):
    bench, leader = teleop
    leader.position = HOME + 0.6 * PAN
    commands = np.vstack([[HOME], leader.run(240)])
    assert bench.stop_state is StopState.RUN and bench.control.faults == []
    np.testing.assert_allclose(commands[-1], leader.position, atol=1e-9)
    assert np.abs(commands[1] - HOME).max() < 1e-3  # no jump at t = 0
    assert bench.control.controller.interventions == {}  # smooth by itself: the filter had nothing to do
    within_limits(commands)
    for tick in range(120):  # arrived: up to 0.6 rad/s and 6 rad/s², and no tick behind
        leader.position = HOME + (0.6 + 0.2 * np.sin(np.pi * tick / HZ) ** 3) * PAN
        assert leader.run(1)[0] == pytest.approx(leader.position, abs=0.008)
    state = bench.shared.state.new()
    assert bench.shared.state.read(state) and text_of(state["driver"]) == "person" and not state["playing"]


def test_a_pose_that_is_too_far_away_is_a_hold_until_it_is_brought_closer(teleop):
    bench, leader = teleop
    leader.position = HOME + 0.9 * PAN
    commands = leader.run(30)
    assert bench.stop_state is StopState.HOLD and np.abs(commands - HOME).max() == 0
    too_far = "shoulder_pan is more than 0.8 rad away from the arm's: bring it closer"
    assert bench.reason == f"teleoperator: {too_far}"
    leader.run(round(2 * HZ))  # longer than any other hold lasts
    assert bench.stop_state is StopState.HOLD
    leader.position = HOME + 0.7 * PAN
    commands = leader.run(300)
    assert bench.stop_state is StopState.RUN and commands[-1][0] == pytest.approx(HOME[0] + 0.7)
    within_limits(commands)


def test_a_grippers_handle_may_be_anywhere(teleop):
    bench, leader = teleop
    leader.position = np.append(HOME[:5], 1.6)
    commands = leader.run(480)
    assert bench.stop_state is StopState.RUN and commands[-1][5] == pytest.approx(1.6)
    within_limits(commands)


def test_a_lost_leader_is_a_hold_with_its_name_and_the_arm_goes_on_when_it_is_back(teleop):
    bench, leader = teleop
    leader.run(20)
    leader.fault = "/dev/ttyACM1 is unplugged"
    leader.run(5)
    assert bench.stop_state is StopState.RUN  # one reading that fails is nothing yet
    bench.clock.sleep(0.12)
    leader.run(3)
    assert bench.stop_state is StopState.HOLD and bench.reason == "teleoperator: /dev/ttyACM1 is unplugged"
    leader.fault, leader.position = "", HOME + 0.3 * PAN
    commands = leader.run(200)
    assert bench.stop_state is StopState.RUN and commands[-1][0] == pytest.approx(HOME[0] + 0.3)
    within_limits(np.vstack([[HOME], commands]))


def test_a_teleoperator_that_says_nothing_is_a_hold(teleop):
    bench, leader = teleop
    bench.run(3)
    assert bench.stop_state is StopState.HOLD and bench.reason == "teleoperator: no pose yet"
    leader.run(5)
    assert bench.stop_state is StopState.RUN
    bench.clock.sleep(0.12)
    bench.run(1)
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("teleoperator: no new pose for 0.1")


def test_a_killed_teleoperator_is_a_hold_at_the_next_tick_and_another_process_takes_its_place(make_bench):
    bench = make_bench(driver=DriverName.PERSON, peers=("teleoperator",))
    bench.feeding, leader = False, Leader(bench)
    row = bench.shared.heartbeats[-1]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        row[:] = process.pid, bench.clock.monotonic_ns()
        leader.run(20)
        assert bench.stop_state is StopState.RUN
        process.kill()
        process.wait()
    leader.run(1)
    assert bench.stop_state is StopState.HOLD
    assert bench.reason == f"teleoperator died: process {row[0]} is gone"
    row[:] = os.getpid(), bench.clock.monotonic_ns()
    leader.run(1)
    assert bench.stop_state is StopState.RUN


def test_who_lets_go_stands_still_and_is_approached_anew(teleop):
    bench, leader = teleop
    for tick in range(100):
        leader.position = HOME + bench.swing(np.array(tick)) * PAN
        leader.run(1)
    leader.engaged, leader.position = False, HOME - 0.2 * PAN  # the hand moves on without the arm
    commands = leader.run(120)
    assert bench.stop_state is StopState.RUN and np.ptp(commands[-20:, 0]) < 1e-4
    assert commands[-1][0] - HOME[0] == pytest.approx(0.055, abs=0.01)  # 0.1, and 0.45 rad/s for 0.1 s
    leader.engaged = True
    commands = leader.run(240)
    assert commands[-1][0] == pytest.approx(HOME[0] - 0.2) and bench.control.faults == []
    within_limits(commands)


def test_a_person_takes_over_from_a_policy_and_hands_back_without_a_jump(bench):
    leader = Leader(bench)
    leader.engaged = False
    before = np.vstack([[HOME], leader.run(70)])  # the policy is swinging at 0.1 rad/s and more
    bench.shared.request("take_over")
    leader.engaged, leader.position = True, HOME + 0.5 * PAN
    over = leader.run(240)
    assert over[-1][0] == pytest.approx(HOME[0] + 0.5) and bench.stop_state is StopState.RUN
    assert leader.seen is not None and leader.seen.driver is DriverName.PERSON
    stood = int(bench.shared.state.read(state := bench.shared.state.new()) and state["policy_tick"])
    np.testing.assert_allclose(state["past_commands"], over[-8:])  # the policy is given what was really sent
    assert not state["playing"]
    bench.shared.request("hand_back")
    leader.engaged, bench.feeding = False, False
    held = leader.run(10)
    np.testing.assert_allclose(
        held[-1], over[-1], atol=1e-9
    )  # chunks from before are void: it waits for a new one
    assert bench.shared.state.read(state) and text_of(state["driver"]) == "policy"
    chunk, epoch = bench.made(began=int(state["policy_tick"]))
    moved = chunk.actions + np.float32(0.5) * PAN.astype(np.float32)
    bench.publish(type(chunk)(moved, HZ, chunk.starts_at, chunk.observed_at, chunk.plan_observed_at), epoch)
    after = leader.run(60)
    assert bench.shared.state.read(state) and state["playing"] and state["policy_tick"] > stood
    assert after[-1][0] == pytest.approx(HOME[0] + 0.5 + bench.swing(np.array(59)), abs=5e-3)
    assert bench.control.faults == []
    within_limits(np.vstack([before, over, held, after]))


def test_a_policy_goes_on_thinking_while_a_person_drives_and_nothing_of_that_is_kept(bench):
    leader = Leader(bench)
    leader.run(20)
    bench.shared.request("take_over")
    leader.run(40)
    bench.feeding = False
    bench.shared.request("hand_back")
    leader.engaged = False
    leader.run(2)
    state = bench.shared.state.new()
    assert bench.shared.state.read(state) and not state["playing"]


def test_a_person_who_begins_to_move_takes_over(bench):
    leader = Leader(bench)
    leader.engaged = False
    leader.run(30)
    leader.engaged = True
    leader.run(3)
    assert leader.seen is not None and leader.seen.driver is DriverName.PERSON
    assert bench.shared.requested_by("take_over") == "the person's motion"


def test_only_who_may_drive_does(make_bench):
    bench = make_bench(driver=DriverName.PERSON, drivers=(DriverName.PERSON,))
    leader = Leader(bench)
    leader.run(5)
    bench.shared.request("hand_back")
    leader.run(5)
    assert leader.seen is not None and leader.seen.driver is DriverName.PERSON


def test_a_persons_stop_ends_as_every_stop_does(teleop):
    bench, leader = teleop
    leader.position = HOME + 0.5 * PAN
    leader.run(200)
    bench.shared.request("finish")
    for _ in range(100):
        if not bench.run(10):
            break
    assert bench.stop_state is StopState.OFF
    np.testing.assert_allclose(bench.servos.position, HOME, atol=1e-6)


def test_the_report_tells_how_late_actions_are_and_how_far_the_arm_is_behind(teleop):
    bench, leader = teleop
    leader.run(50)
    bench.run(2)  # no new action: no delay is counted twice
    report = bench.control.report("", fifo=False)
    assert report.action_delay_s == pytest.approx(np.full(50, 0.004))
    assert len(report.tracking_error_rad) == 52 and report.tracking_error_rad.max() == 0
