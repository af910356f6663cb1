"""One tick after another in this process: a robot that supervises itself, and re-arming it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import Cause, StopConfig, StopState
from ideomotor.control.runtime.tick import ControlTick
from ideomotor.control.runtime.watchdog import StalenessLimits
from ideomotor.control.safety.effort import EffortLimit
from ideomotor.control.types import ActionChunk, Command, RobotState

pytestmark = pytest.mark.realtime

ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)
STALENESS = StalenessLimits(chunk_s=600.0, plan_s=600.0)  # ticks here are not a 120th of a second
STOP = StopConfig(park_after_s=0.5, park_speed=2.0, off_after_s=0.1, end_after_s=0.1)


@dataclass(frozen=True)
class Kind:
    stops: bool
    latched: bool = False


@dataclass(frozen=True)
class Fault:
    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass
class Servos:
    """A line of servos as `KeepTorqueOn` expects it: `disconnect` lets the arm sink by default."""

    position: np.ndarray = field(default_factory=lambda: ROBOT.home_position.copy())
    time: float = 0.0
    wrong: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refusal: str = ""
    effort: np.ndarray = field(default_factory=lambda: np.zeros(6))
    silent: bool = False
    broken: bool = False
    frozen: bool = False  # its first joint

    def connect(self) -> None:
        self.calls.append("connect")

    def read(self) -> RobotState:
        self.time += 0.0 if self.silent else 1 / HZ
        position = np.full(6, np.nan) if self.silent else self.position.copy()
        return RobotState(self.time, position, np.zeros(6), self.effort)

    def write(self, command: Command) -> None:
        if self.broken:
            raise TimeoutError("no answer")
        self.position[self.frozen :] = command.position[self.frozen :]

    def hold(self) -> None:
        self.calls.append("hold")

    def disconnect(self, torque_off: bool = True) -> None:
        self.calls.append(f"disconnect, torque {'off' if torque_off else 'on'}")

    def goal(self) -> np.ndarray:
        return self.position.copy()

    def faults(self) -> list[Fault]:
        return self.wrong

    def rearm(self) -> None:
        if self.refusal:
            raise UserError(self.refusal)
        self.wrong = []
        self.calls.append("rearm")


def swing(ticks: np.ndarray) -> np.ndarray:
    """[rad] of the joint that the chunks move."""
    return 0.2 * np.sin(np.pi * ticks / HZ)


class Bench:
    """Control, ticked by hand, with a decoder that publishes a slow swing every 16 ticks."""

    def __init__(
        self, servos: Servos, shared: shared_state.SharedState, speed: float = 1.0, robot: Embodiment = ROBOT
    ) -> None:
        self.servos, self.shared, self.tick = servos, shared, 0
        config = ControlConfig(
            priority=0, stop=STOP, staleness=STALENESS, peers=(), effort=EffortLimit(for_s=0.02), speed=speed
        )
        self.control = ControlTick(shared, robot, KeepTorqueOn(servos), config, EStop())
        self._record = shared.chunk.new()
        self.feeding = True

    def run(self, ticks: int) -> bool:
        going = True
        for _ in range(ticks):
            if self.feeding and self.tick % 16 == 0:
                self.feed()
            going = self.control.step(self.tick)
            self.tick += 1
        return going

    def made(self, began: int | None = None) -> tuple[ActionChunk, int]:
        """A chunk from the newest state on, as the decoder makes it, and the epoch it is valid in.

        Args:
            began: tick of the policy's time at which the swing began; by default its first.
        """
        state = self.shared.state.new()
        number = self.shared.state.read(state)
        epoch, tick = (int(state["epoch"]), int(state["policy_tick"])) if number else (1, 0)
        ticks = np.arange(tick, tick + 96) - (began or 0)
        actions = ROBOT.home_position + swing(ticks)[:, None] * np.eye(6)[0]
        now = time.monotonic()
        return ActionChunk(actions.astype(np.float32), HZ, tick, now, now), epoch

    def publish(self, chunk: ActionChunk, epoch: int) -> None:
        shared_state.pack_chunk(self._record, chunk, epoch)
        self.shared.chunk.write(self._record)

    def feed(self) -> None:
        """Publishes a chunk from the newest state on."""
        self.publish(*self.made())

    @property
    def reason(self) -> str:
        state = self.shared.state.new()
        assert self.shared.state.read(state)
        return shared_state.text_of(state["reason"])

    @property
    def stop_state(self) -> StopState:
        return self.control.safe_stop.stop_state


@pytest.fixture
def bench() -> Iterator[Bench]:
    shared = shared_state.create(ROBOT)
    bench = Bench(Servos(), shared)
    yield bench
    bench.control.close()
    shared.close()


@pytest.fixture
def impatient() -> Iterator[Bench]:
    """One that calls a joint stuck after 0.1 rad and hundredths of a second."""
    near = tuple(replace(joint, max_following_error=0.1) for joint in ROBOT.joints)
    shared = shared_state.create(ROBOT)
    bench = Bench(Servos(), shared, robot=replace(ROBOT, joints=near, following_s=0.02))
    yield bench
    bench.control.close()
    shared.close()


def test_a_healthy_robot_follows_the_chunks(bench):
    bench.run(120)
    assert bench.stop_state is StopState.RUN and bench.reason == ""
    expected = ROBOT.home_position[0] + swing(np.array(119))
    assert bench.servos.position[0] == pytest.approx(expected, abs=1e-5)


def test_a_fault_that_passes_holds_and_lets_go_on(bench):
    bench.run(60)
    bench.servos.wrong = [
        Fault(Kind(stops=False), "echo"),
        Fault(Kind(stops=True), "over_temperature (wrist)"),
    ]
    bench.run(30)
    assert bench.stop_state is StopState.HOLD and bench.reason == "robot: over_temperature (wrist)"
    bench.servos.wrong = []
    bench.run(30)
    assert bench.stop_state is StopState.RUN


def test_a_latched_fault_needs_rearming_which_the_robot_may_refuse(bench):
    bench.run(60)
    bench.servos.wrong = [Fault(Kind(stops=True, latched=True), "torque_lost (wrist)")]
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
    time.sleep(0.12)
    bench.run(2)
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("stale state")
    assert np.isfinite(bench.servos.position).all()


def test_a_robot_that_cannot_be_written_to_is_a_fault(bench):
    bench.run(60)
    bench.servos.broken = True
    bench.run(3)
    assert bench.stop_state is StopState.HOLD
    assert bench.control.faults[-1][1] == "robot: could not be written to (no answer)"


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
    expected = ROBOT.home_position[0] + swing(state["policy_tick"])
    assert bench.stop_state is StopState.RUN and bench.servos.position[0] == pytest.approx(expected, abs=1e-3)


def test_torque_goes_off_at_the_end_of_the_ladder_only(bench):
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


def test_an_arm_that_pushes_too_hard_is_stopped_until_rearmed(bench):
    bench.run(60)
    bench.servos.effort = np.eye(6)[1] * 2.9
    until = time.monotonic() + 5.0
    while bench.stop_state is StopState.RUN and time.monotonic() < until:
        bench.run(1)
        time.sleep(0.005)
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
    until = time.monotonic() + 20.0
    while bench.control.safe_stop.cause is Cause.FAULT and time.monotonic() < until:
        bench.run(1)
        time.sleep(0.005)
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
        time.sleep(0.001)
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
        time.sleep(0.001)
    assert bench.control.safe_stop.ended and bench.stop_state is StopState.HOLD
    assert "disconnect, torque off" not in bench.servos.calls


def test_what_a_robot_says_of_itself_goes_before_what_it_does_not_follow(impatient):
    bench = impatient
    bench.run(30)
    bench.servos.frozen = True
    bench.servos.wrong = [Fault(Kind(stops=True, latched=True), "torque_lost (shoulder_pan)")]
    for _ in range(60):
        bench.run(1)
        time.sleep(0.002)
    assert bench.reason == "robot: torque_lost (shoulder_pan)"


def test_a_first_target_far_away_is_a_fault_and_nothing_moves_there(bench):
    bench.feeding = False
    bench.run(5)
    before = bench.servos.position.copy()
    far = np.repeat((ROBOT.home_position + np.eye(6)[0] * 1.5)[None], 96, axis=0)
    now = time.monotonic()
    record = bench.shared.chunk.new()
    shared_state.pack_chunk(record, ActionChunk(far, HZ, bench.tick, now, now), 1)
    bench.shared.chunk.write(record)
    bench.run(20)
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith(
        "start: shoulder_pan: the first target is 1.5"
    )
    np.testing.assert_array_equal(bench.servos.position, before)


@pytest.mark.parametrize("speed", [1.0, 0.3])
def test_a_first_chunk_that_is_late_is_entered_at_its_beginning(speed):
    shared = shared_state.create(ROBOT)
    bench = Bench(Servos(), shared, speed)
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
    expected = ROBOT.home_position[0] + swing(played)
    np.testing.assert_allclose(commands, expected, atol=0.015)  # its speed is not there at once
    assert commands[-1] == pytest.approx(expected[-1], abs=2e-3)
    bench.control.close()
    shared.close()


def test_at_a_lower_speed_the_same_path_takes_longer_and_is_as_smooth():
    shared = shared_state.create(ROBOT)
    bench = Bench(Servos(), shared, speed=0.25)
    commands = []
    for tick in range(480):
        bench.feeding = tick % 64 == 0
        if bench.feeding:
            bench.publish(*bench.made(began=0))
        bench.feeding = False
        bench.run(1)
        commands.append(bench.servos.position[0] - ROBOT.home_position[0])
    state = shared.state.new()
    assert shared.state.read(state) and state["policy_tick"] == 119 and state["playing"]
    assert commands[40::4] == pytest.approx(swing(np.arange(10, 120)), abs=1e-6)  # once its speed is reached
    assert commands[40:] == pytest.approx(swing(np.arange(40, 480) / 4), abs=1e-5)
    hardest = 0.2 * (np.pi / 4) ** 2  # acceleration of the swing at this speed [rad/s²]
    assert np.abs(np.diff(commands[40:], 2)).max() * HZ**2 < 2 * hardest
    assert bench.control.controller.interventions.get("velocity", 0) == 0
    bench.control.close()
    shared.close()


def test_after_a_stop_the_policys_time_goes_on_where_it_was_with_the_next_chunk(bench):
    bench.run(60)
    bench.servos.wrong = [Fault(Kind(stops=True), "over_temperature (wrist)")]
    bench.feeding = False
    bench.run(40)
    state = bench.shared.state.new()
    assert bench.shared.state.read(state) and not state["playing"]
    stood = int(state["policy_tick"])
    bench.servos.wrong = []
    bench.feed()
    bench.run(5)
    assert bench.shared.state.read(state) and state["playing"] and state["policy_tick"] == stood + 4


def test_a_start_in_the_table_is_refused():
    shared = shared_state.create(ROBOT)
    servos = Servos(position=np.array([0.0, 1.6, 0.5, 0.5, 0.0, 0.3]))
    with pytest.raises(UserError, match="^start: .*table"):
        ControlTick(shared, ROBOT, KeepTorqueOn(servos), ControlConfig(peers=()), EStop())
    shared.close()


def test_an_arm_that_is_never_measured_goes_down_the_ladder_where_its_motors_were_told_to_be():
    shared = shared_state.create(ROBOT)
    bench = Bench(Servos(silent=True, position=ROBOT.home_position + 0.1), shared)
    bench.run(1)
    assert bench.stop_state is StopState.HOLD and bench.reason.startswith("robot: no position of joint 0, 1")
    while bench.run(10):
        assert bench.tick < 20 * HZ
    assert bench.stop_state is StopState.PARK  # nobody knows where it is, so it is neither moved nor dropped
    np.testing.assert_array_equal(bench.servos.position, ROBOT.home_position + 0.1)
    assert bench.servos.calls == []
    bench.control.close()
    shared.close()


def test_a_tick_that_fails_in_a_way_that_nobody_foresaw_leaves_the_ladder(bench):
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
