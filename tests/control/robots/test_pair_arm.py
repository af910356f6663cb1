"""Two arms as one robot: read together, named in faults, on together and off together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration, split_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.robots.drivers import driver_of
from ideomotor.control.robots.faults import Fault, FaultLog
from ideomotor.control.robots.pair_arm import PairArm
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.runtime.shared_state import text_of
from ideomotor.control.runtime.tick import ControlTick
from ideomotor.control.types import Command, RobotState

PAIR = load_embodiment("so101_pair")
SIDES = ("left", "right")
PATIENT = {"timeout": 0.1, "stale_after": 0.5}  # [s], for emulated servos on a busy machine


@pytest.fixture
def ports(emulated_arm: Callable[..., Any]) -> dict[str, Any]:
    """{arm: its emulated servos}."""
    pytest.importorskip("scservo_sdk")
    return {side: emulated_arm() for side in SIDES}


def pair_of(ports: dict[str, Any], look: Callable[[], dict[str, bool]] | None = None) -> PairArm:
    """Arms whose timeouts a busy machine keeps; `look` stands in for what looks them over."""
    parts = split_calibration(PAIR, default_calibration(PAIR))
    arms = {
        arm.name: ServoArm(arm.embodiment, ports[arm.name].port, parts[arm.name], **PATIENT)
        for arm in PAIR.arms
    }
    return PairArm(PAIR, arms, look or (lambda: dict.fromkeys(SIDES, False)))


def settled(pair: PairArm) -> RobotState:
    """A state of which every joint was measured."""
    for _ in range(50):
        state = pair.read()
        if np.isfinite(state.position).all():
            return state
    raise AssertionError("some joints were never measured")


def motors(ports: dict[str, Any]) -> dict[str, set[bool]]:
    return {side: set(arm.torque().values()) for side, arm in ports.items()}


def test_a_pair_is_read_and_driven_as_one_robot(ports: dict[str, Any]) -> None:
    port = ",".join(f"{side}={arm.port}" for side, arm in ports.items())
    driver, calibration = driver_of(PAIR), default_calibration(PAIR)
    statuses = driver.inspect(PAIR, port, calibration)
    assert [status.joint for status in statuses] == list(PAIR.joint_names)
    assert not driver.differences(PAIR, port, calibration)
    pair = driver.make(PAIR, port, calibration)
    pair.connect()
    assert motors(ports) == {"left": {True}, "right": {True}}
    target = PAIR.home_position + np.repeat([0.1, -0.1], 6)
    pair.write(Command(0, target))
    np.testing.assert_allclose(pair.goal(), target, atol=0.002)
    for side, arm in ports.items():  # each arm has got its own part
        goals = [row[3] for row in arm.history("goal_position")[-6:]]
        sign = {"left": 1, "right": -1}[side]
        aims = 2048 + (PAIR.home_position[:6] + sign * 0.1) * 4096 / (2 * np.pi)
        np.testing.assert_allclose(sorted(goals), sorted(aims), atol=1)
    pair.disconnect(torque_off=False)
    assert motors(ports) == {"left": {True}, "right": {True}}
    assert driver.let_go(PAIR, port)
    assert motors(ports) == {"left": {False}, "right": {False}}


def test_if_the_second_arm_cannot_be_switched_on_the_first_goes_off_again(ports: dict[str, Any]) -> None:
    ports["right"].set(3, silent=True)
    with pytest.raises(UserError, match=r"^right arm: bus: no answer .* from elbow_flex \(id 3\)") as refused:
        pair_of(ports).connect()
    assert not isinstance(refused.value, MotorsOnError)
    assert motors(ports)["left"] == {False}
    assert {row[3] for row in ports["left"].history("torque_enable")} == {0, 1}  # it had been on
    assert not any(row[3] for row in ports["right"].history("torque_enable"))


def test_an_arm_that_stood_before_stands_after_the_other_was_refused(ports: dict[str, Any]) -> None:
    first = pair_of(ports)
    first.connect()
    first.disconnect(torque_off=False)
    ports["right"].set(3, silent=True)
    with pytest.raises(MotorsOnError, match=r"^right arm: "):
        pair_of(ports, lambda: {"left": True, "right": True}).connect()
    assert motors(ports)["left"] == {True}


def test_one_arm_that_is_not_well_is_found_before_either_is_on(ports: dict[str, Any]) -> None:
    ports["right"].set(2, celsius=85)
    port = ",".join(f"{side}={arm.port}" for side, arm in ports.items())
    with pytest.raises(UserError, match=r"^right arm: shoulder_lift: temperature: got 85 °C"):
        driver_of(PAIR).make(PAIR, port, default_calibration(PAIR)).connect()
    assert not any(row[3] for arm in ports.values() for row in arm.history("torque_enable"))


def test_arms_that_are_in_each_others_way_are_not_switched_on(ports: dict[str, Any]) -> None:
    stretched = np.array([0.0, 0.3, 0.0, 0.0, 0.0, 0.3])
    for side, arm in ports.items():  # both stretched towards each other
        turned = stretched + [{"left": 1.5, "right": -1.5}[side], 0, 0, 0, 0, 0]
        arm.place({i + 1: 2048 + q * 4096 / (2 * np.pi) for i, q in enumerate(turned)})
    port = ",".join(f"{side}={arm.port}" for side, arm in ports.items())
    with pytest.raises(UserError, match=r"^start: left_\w+, right_\w+: \d+ mm closer than allowed"):
        driver_of(PAIR).make(PAIR, port, default_calibration(PAIR)).connect()
    assert not any(row[3] for arm in ports.values() for row in arm.history("torque_enable"))


def test_a_line_that_is_unplugged_leaves_the_other_arm_its_own(ports: dict[str, Any]) -> None:
    pair = pair_of(ports)
    pair.connect()
    before = settled(pair)
    ports["left"].unplug()
    pair.read()
    state = pair.read()
    right = pair.arms["right"].read()
    assert right.time > before.time and np.isfinite(right.position).all()
    assert state.time <= before.time + 0.1  # the oldest joint counts
    assert any(str(fault).startswith("unplugged (left arm): no answer") for fault in pair.faults())
    assert not any("right" in fault.joint for fault in pair.faults())
    pair.write(Command(1, PAIR.home_position))  # the other one is still commanded
    second = pair_of(ports)
    pair.arms["right"].bus.close()
    second.take_over()  # as the guardian does: one arm is better than none
    second.hold()
    second.disconnect(torque_off=True)
    assert motors(ports)["right"] == {False}


class Line:
    descriptor = None


class FakeArm:
    """What `PairArm` needs of an arm, as a few numbers."""

    def __init__(self, clock: Any) -> None:
        self.bus, self.log, self.clock = Line(), FaultLog(), clock
        self.position, self.silent, self.on, self.time = PAIR.home_position[:6].copy(), False, True, 0.0

    def connect(self) -> None:
        self.on = True

    def reading(self, least_s: float) -> Iterator[float]:
        yield 0.0
        self.time += 0.0 if self.silent else 1 / 120
        position = np.full(6, np.nan) if self.silent else self.position.copy()
        return RobotState(self.time, position, np.zeros(6), np.zeros(6))

    def write(self, command: Command) -> None:
        self.position = command.position.copy()

    def hold(self) -> None:
        pass

    def goal(self) -> np.ndarray:
        return self.position

    def disconnect(self, torque_off: bool = True) -> None:
        self.on &= not torque_off

    def faults(self) -> tuple[Fault, ...]:
        return self.log.active(self.clock.monotonic())

    def rearm(self) -> None:
        self.log.release()


class PairBench:
    """Control of a pair, ticked by hand; a person drives both arms."""

    def __init__(self, clock: Any) -> None:
        self.clock, self.tick = clock, 0
        self.arms = {side: FakeArm(clock) for side in SIDES}
        pair = PairArm(PAIR, self.arms, lambda: dict.fromkeys(SIDES, False))
        self.shared = shared_state.create(PAIR)
        stop = StopConfig(park_after_s=0.5, park_speed=2.0, off_after_s=0.1, end_after_s=0.1)
        config = ControlConfig(
            priority=0, stop=stop, peers=(), driver="person", drivers=("person",), following=False
        )
        self.control = ControlTick(self.shared, PAIR, KeepTorqueOn(pair), config, EStop())
        self.action, self.state = self.shared.teleop.new(), self.shared.state.new()

    def run(self, ticks: int, wanted: float = 0.0) -> None:
        for _ in range(ticks):
            self.action["time"], self.action["engaged"] = self.clock.monotonic(), True
            self.action["position"] = PAIR.home_position + wanted
            self.shared.teleop.write(self.action)
            self.control.step(self.tick)
            self.tick += 1
            self.clock.sleep(1 / 120)

    @property
    def where(self) -> tuple[str, str]:
        """(state of the safe stop, why)."""
        self.shared.state.read(self.state)
        return text_of(self.state["stage"]), self.control.safe_stop.reason


@pytest.fixture
def pair_bench(clock: Any) -> Iterator[PairBench]:
    bench = PairBench(clock)
    yield bench
    bench.control.close()
    bench.shared.close()


def test_a_fault_of_one_arm_holds_both_and_both_go_on(pair_bench: PairBench) -> None:
    pair_bench.run(120, wanted=0.1)
    left, right = pair_bench.arms.values()
    np.testing.assert_allclose(left.position - PAIR.home_position[:6], 0.1, atol=1e-3)
    np.testing.assert_allclose(right.position - PAIR.home_position[6:], 0.1, atol=1e-3)
    right.log.report("over_temperature", "wrist_flex", pair_bench.clock.monotonic(), "66 °C")
    pair_bench.run(30, wanted=0.2)
    assert pair_bench.where == ("hold", "robot: over_temperature (right_wrist_flex): 66 °C")
    stood = left.position.copy()
    pair_bench.run(20, wanted=0.2)
    np.testing.assert_array_equal(left.position, stood)  # the well one stands too
    right.log.settle("over_temperature", "wrist_flex")
    pair_bench.run(240, wanted=0.2)
    assert pair_bench.where[0] == "run"
    np.testing.assert_allclose(left.position - PAIR.home_position[:6], 0.2, atol=1e-3)


def test_a_latched_fault_of_one_arm_parks_both_and_switches_both_off(pair_bench: PairBench) -> None:
    pair_bench.run(60, wanted=0.1)
    left, right = pair_bench.arms.values()
    left.log.report("torque_lost", "elbow_flex", pair_bench.clock.monotonic())
    pair_bench.run(30, wanted=0.1)
    assert pair_bench.where[0] == "hold"
    assert pair_bench.where[1].startswith("robot: torque_lost (left_elbow_flex): ")
    pair_bench.run(240, wanted=0.1)
    assert pair_bench.where[0] == "off" and not left.on and not right.on
    np.testing.assert_allclose(right.position, PAIR.home_position[6:], atol=1e-3)


def test_an_arm_that_says_nothing_makes_the_state_of_both_stale(pair_bench: PairBench) -> None:
    pair_bench.run(60, wanted=0.1)
    pair_bench.arms["left"].silent = True
    pair_bench.run(30, wanted=0.2)
    state, why = pair_bench.where
    assert state == "hold" and why.startswith("stale state")
    pair_bench.arms["left"].silent = False
    pair_bench.run(10, wanted=0.2)
    assert pair_bench.where[0] == "run"
