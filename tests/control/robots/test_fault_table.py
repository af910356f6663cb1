"""Each fault of a line of servos x what must happen, over a pseudo-terminal with the vendors' SDKs.

The arm moves all the time, and the twin is asked where its joints really are before and after each reading: a
position must be one that the joint really had since `RobotState.time`, whatever goes wrong.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.faults import FAULTS
from ideomotor.control.robots.servo_arm import TIMEOUT, ServoArm
from ideomotor.control.types import Command, RobotState
from ideomotor.sim.twin.process import Twin

pytestmark = pytest.mark.realtime

SDKS = {"so101": "scservo_sdk", "koch": "dynamixel_sdk"}  # of the arms; both have the same joints and ids
NAMES = load_embodiment("so101").joint_names
TOLERANCE = 0.015  # [rad], ten counts; the joints move at up to 1.5 rad/s, so 75 ms of staleness is 0.11 rad
# For machines where the twin's process has to wait for its turn: longer than what a robot is used with.
SLOW_REPLIES = {"timeout": 0.05, "stale_after": 0.3}  # [s]
STALL_S = 0.08  # a tick that takes longer than the faults explain says that the machine stood still
WELL_S = 0.1  # without a fault, and it counts as well again


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: str
    names: set[str]  # faults that must be named
    blind: set[str] = field(default_factory=set)  # joints that must become NaN; all others must not
    stops: bool = False  # whether what is named must stop the arm
    latched: set[str] = field(default_factory=set)  # what stays until the operator re-arms the arm
    seconds: float = 0.5  # that it is watched


EVERY = set(NAMES)
TABLE = [
    Row("delay id=3 ms=80 count=1", {"no_reply", "late_reply"}),
    Row("delay id=3 ms=80", {"no_reply", "late_reply", "servo_silent"}, {"elbow_flex"}, stops=True),
    Row("delay ms=75 for=0.5", {"no_reply", "late_reply", "bus_silent"}, EVERY, stops=True, seconds=0.6),
    Row("drop id=2 count=1", {"no_reply"}, seconds=0.3),
    Row("corrupt id=3 count=2", {"corrupt_reply"}, seconds=0.3),
    Row("corrupt id=5", {"corrupt_reply", "servo_silent"}, {"wrist_roll"}, stops=True),
    Row("noise count=10", set(), seconds=0.3),
    Row("echo", {"echo"}, seconds=0.3),
    Row("dead id=4", {"no_reply", "servo_silent"}, {"wrist_flex"}, stops=True),
    Row("dead id=2 chain=1", {"no_reply", "servo_silent"}, {"shoulder_lift"}, stops=True),
    Row("jump id=1 counts=1900 for=0.15", {"implausible_position"}, seconds=0.4),
    Row("hot id=2 celsius=68", {"over_temperature"}, stops=True, seconds=0.4),
    Row("brownout volts=4.2", {"brown_out"}, stops=True, seconds=0.4),
    Row("brownout volts=3 for=0.2", {"bus_silent", "torque_lost"}, EVERY, True, {"torque_lost"}, 0.9),
    Row("shutdown id=3 bits=32", {"overload", "torque_lost"}, set(), True, {"torque_lost"}, 0.4),
    Row("unplug for=0.4", {"unplugged"}, EVERY, stops=True, seconds=0.8),
]  # fmt: skip
HOT = "hot id=2 celsius=80 for=0.2"
DYNAMIXEL = [  # a shut-down one stays off until a reboot, and all stop by themselves when nobody speaks
    Row(HOT, {"over_temperature", "torque_lost"}, set(), True, {"torque_lost"}, 0.5),
    Row("unplug for=1.2", {"unplugged", "bus_watchdog"}, EVERY, True, {"bus_watchdog"}, 1.9),
]  # fmt: skip


@pytest.fixture(scope="module")
def line(request: pytest.FixtureRequest) -> Iterator[tuple[ServoArm, Twin]]:
    """An arm that is driven, and its twin, for all tests of one robot."""
    pytest.importorskip(SDKS[request.param])
    with Twin(request.param) as twin:
        robot = connected(ServoArm(load_embodiment(request.param), twin.port, **SLOW_REPLIES))
        yield robot, twin
        robot.disconnect()


@pytest.fixture
def arm(line: tuple[ServoArm, Twin]) -> ServoArm:
    """That arm without faults, whatever the test before did."""
    robot, twin = line
    twin.inject("clear")
    if any(fault.kind.latched for fault in robot.faults()):
        rearmed(robot, twin)
    if stopping(robot):
        recovered(robot, twin)
    return robot


@pytest.fixture
def twin(line: tuple[ServoArm, Twin]) -> Twin:
    return line[1]


def of(*arms: str):
    """For which robots a test is."""
    return pytest.mark.parametrize("line", arms, indirect=True)


def connected(robot: ServoArm) -> ServoArm:
    """Tries more than once, for machines that stand still now and then."""
    for _ in range(9):
        try:
            robot.connect()
            return robot
        except UserError:
            time.sleep(0.2)
    robot.connect()
    return robot


def rearmed(robot: ServoArm, twin: Twin) -> None:
    """The operator re-arms the arm as soon as its servos are there again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            robot.rearm()
            return
        except UserError:
            assert time.monotonic() < deadline, robot.faults()
            drive(robot, twin, WELL_S)


@dataclass
class Observed:
    """What happened tick by tick."""

    states: list[RobotState] = field(default_factory=list)
    truths: list[tuple[float, np.ndarray]] = field(default_factory=list)  # (time, (A,) positions)
    faults: set[tuple[str, str]] = field(default_factory=set)  # (name, joint)
    stopped: bool = False  # some fault asked for a stop
    longest: float = 0.0  # tick [s]

    @property
    def blind(self) -> set[str]:
        lost = np.isnan([state.position for state in self.states]).any(0)
        return {name for name, gone in zip(NAMES, lost, strict=True) if gone}

    def untrue(self) -> list[str]:
        """Readings that no joint had between `RobotState.time` and the reading."""
        wrong = []
        times = np.array([moment for moment, _ in self.truths])
        positions = np.array([position for _, position in self.truths])
        for i, state in enumerate(self.states):
            after = 2 * i + 1  # the truth asked for right after this reading
            before = min(np.searchsorted(times, state.time) - 1, 2 * i)
            if before < 0 or np.diff(times[before : after + 1]).max() > 0.025:
                continue  # what the joints did in between is not known
            had = positions[before : after + 1]
            low, high = had.min(0) - TOLERANCE, had.max(0) + TOLERANCE
            off = (state.position < low) | (state.position > high)  # False for NaN
            wrong += [f"tick {i}, {NAMES[j]}: {state.position[j]:.3f}" for j in np.flatnonzero(off)]
        return wrong


def drive(robot: ServoArm, twin: Twin, seconds: float) -> Observed:
    """Moves all joints to and fro around the home pose, 120 times a second."""
    seen, start, tick = Observed(), time.monotonic(), 0
    while (now := time.monotonic()) < start + seconds:
        seen.truths.append((now, twin.where()))
        state = robot.read()
        seen.states.append(state)
        seen.truths.append((time.monotonic(), twin.where()))
        swing = 0.15 * np.sin(10 * now) * np.ones(len(NAMES))
        robot.write(Command(tick, robot.embodiment.home_position + swing))
        faults = robot.faults()
        seen.faults |= {(fault.name, fault.joint) for fault in faults}
        seen.stopped |= any(fault.kind.stops for fault in faults)
        tick += 1
        seen.longest = max(seen.longest, time.monotonic() - now)
        time.sleep(max(0.0, now + 1 / 120 - time.monotonic()))
    return seen


def watched(robot: ServoArm, twin: Twin, seconds: float, fault: str = "") -> Observed:
    """Drives an arm that is well with a fault; once more if the machine stood still, which proves nothing."""
    for _ in range(5):
        twin.inject(fault)
        seen = drive(robot, twin, seconds)
        assert seen.untrue() == []  # however slow the machine is
        slow = any(name == "bus_slow" for name, _ in seen.faults)  # no fault of the table is this slow
        if seen.longest < SLOW_REPLIES["timeout"] + STALL_S and not slow:
            return seen
        twin.inject("clear")
        if any(fault.kind.latched for fault in robot.faults()):
            rearmed(robot, twin)
        recovered(robot, twin)
    pytest.skip("this machine is too busy to judge a fault of 0.1 s")


def recovered(robot: ServoArm, twin: Twin) -> None:
    """Drives the arm until it has been well for a while."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen = drive(robot, twin, WELL_S)
        if not seen.blind and not stopping(robot):
            return
    pytest.fail(f"not well again: {robot.faults()}")


def stopping(robot: ServoArm) -> set[str]:
    return {fault.name for fault in robot.faults() if fault.kind.stops}


@of(*SDKS)
def test_a_healthy_arm_follows_and_says_where_it_is(arm: ServoArm, twin: Twin) -> None:
    seen = watched(arm, twin, 0.7)
    assert not seen.stopped and not seen.blind
    assert seen.untrue() == []
    moved = np.ptp([state.position for state in seen.states], axis=0)
    assert (moved > 0.2).all()  # of 0.3
    assert np.nanmin(arm.voltage) > 4.9 and np.nanmax(arm.temperature) < 60
    measured = [np.isfinite(servo.model.current_unit) for servo in arm.layout.servos]
    assert (np.isfinite(arm.current) == measured).all()
    position, velocity = (
        np.array([getattr(s, name) for s in seen.states]) for name in ("position", "velocity")
    )
    assert (np.abs(velocity).max(0) > 0.7).all() and (np.abs(velocity).max(0) < 5).all()  # of 1.5
    assert ((np.diff(position, axis=0) * velocity[1:]).sum(0) > 0).all()


@of(*SDKS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
def test_a_fault_is_named_and_never_a_wrong_position(arm: ServoArm, twin: Twin, row: Row) -> None:
    happens(arm, twin, row)


@of("koch")
@pytest.mark.parametrize("row", DYNAMIXEL, ids=lambda row: row.fault)
def test_so_are_the_faults_that_only_dynamixel_servos_have(arm: ServoArm, twin: Twin, row: Row) -> None:
    happens(arm, twin, row)


def happens(arm: ServoArm, twin: Twin, row: Row) -> None:
    """A fault, all that must follow from it, and afterwards the arm moves as before."""
    seen = watched(arm, twin, row.seconds, row.fault)
    assert row.names <= {name for name, _ in seen.faults}
    assert seen.blind == row.blind
    assert seen.stopped == row.stops

    twin.inject("clear")
    if row.latched:
        drive(arm, twin, WELL_S)
        assert {fault.name for fault in arm.faults() if fault.kind.latched} == row.latched
        rearmed(arm, twin)
    recovered(arm, twin)
    seen = watched(arm, twin, 0.25)
    assert (np.ptp([state.position for state in seen.states], axis=0) > 0.05).all()  # of at least 0.1


def test_the_table_names_every_fault_that_a_line_of_servos_can_have() -> None:
    elsewhere = {"not_finite", "torque_left_on", "over_voltage", "over_current", "sensor", "bus_slow"}
    assert set.union(*(row.names for row in TABLE + DYNAMIXEL)) == set(FAULTS) - elsewhere


@of("so101")  # the others' twins know no gravity
def test_motors_that_lost_power_do_not_start_by_themselves(arm: ServoArm, twin: Twin) -> None:
    drive(arm, twin, 0.3)
    twin.inject("brownout volts=3 for=0.1")
    drive(arm, twin, 0.9)
    elbow = NAMES.index("elbow_flex")
    while twin.where()[elbow] < arm.embodiment.home_position[elbow] + 0.3:  # it sinks while commands go on
        drive(arm, twin, 0.2)
    assert {fault.joint for fault in arm.faults() if fault.name == "torque_lost"} == set(NAMES)


@of(*SDKS)
def test_a_dead_servo_costs_no_more_than_its_time_out_now_and_then(arm: ServoArm, twin: Twin) -> None:
    """With the vendors' own time-outs each tick would last 34 ms and more."""
    arm.bus.timeout = TIMEOUT
    usual = _median_tick(arm)
    twin.inject("dead id=3")
    # Thrice the usual, where this machine has no time for the twin's process.
    took = _median_tick(arm)
    arm.bus.timeout = SLOW_REPLIES["timeout"]
    assert took < max(1 / 120, 3 * usual)


def _median_tick(robot: ServoArm) -> float:
    took = []
    for tick in range(40):
        start = time.perf_counter()
        robot.read()
        robot.write(Command(tick, robot.embodiment.home_position))
        took.append(time.perf_counter() - start)
        time.sleep(max(0.0, 1 / 120 - took[-1]))
    return float(np.median(took))
