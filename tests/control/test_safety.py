"""The safety filter as a specification: joints' limits always hold, and what keeps them is never touched."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from ruckig import InputParameter, OutputParameter, Result, Ruckig, RuckigError

from ideomotor.control.embodiment import Embodiment, Joint, load_embodiment
from ideomotor.control.safety.filter import SafetyFilter, _stoppable_acceleration

ROBOT = replace(load_embodiment("so101"), geometry=None)  # what is in the way: test_keepout.py
HZ = ROBOT.control_hz
START = (ROBOT.lower + ROBOT.upper) / 2
ARMS = 8
TICKS = 256
EXAMPLES = max(int(os.environ.get("IDEOMOTOR_TICKS", "204800")) // (TICKS * ARMS), 1)  # ticks of one arm


def with_joints(joints: list[Joint], control_hz: int = HZ) -> Embodiment:
    joints = [replace(joint, name=f"joint{i}") for i, joint in enumerate(joints)]
    home = tuple((joint.lower + joint.upper) / 2 for joint in joints)
    return replace(ROBOT, joints=tuple(joints), grippers=(), home=home, control_hz=control_hz)


def run(robot: Embodiment, start: np.ndarray, targets: list[np.ndarray | None]) -> tuple[np.ndarray, list]:
    """Returns the emitted positions (N, A) and the reasons of each tick."""
    safety = SafetyFilter(robot)
    safety.reset(start)
    emitted = [safety.filter(tick, target) for tick, target in enumerate(targets)]
    return np.array([position for position, _ in emitted]), [reasons for _, reasons in emitted]


def assert_within_limits(robot: Embodiment, start: np.ndarray, positions: np.ndarray) -> None:
    """Finite differences at control_hz, from rest; a joint that started outside stays within its start."""
    assert np.isfinite(positions).all()
    slack = 1e-6 * (robot.upper - robot.lower) + 1e-9
    assert (positions <= np.maximum(robot.upper, start) + slack).all()
    assert (positions >= np.minimum(robot.lower, start) - slack).all()
    positions = np.vstack([start, start, start, positions])
    for order, limit in enumerate((robot.max_velocity, robot.max_acceleration, robot.max_jerk), 1):
        rates = np.abs(np.diff(positions, order, axis=0)) * robot.control_hz**order
        assert (rates <= limit * (1 + 1e-6) + 1e-13 * robot.control_hz**order).all(), f"difference {order}"


FINITE = st.floats(allow_nan=False, allow_infinity=False)
STREAMS = st.tuples(
    st.sampled_from(["anything", "jumps", "nyquist", "sine", "walk", "edges", "huge"]),
    st.integers(1, 64),  # ticks between jumps
    st.floats(1e-4, 2.0),  # amplitude, as a share of the range
    st.floats(0.0, 0.1),  # noise, as a share of the range
    st.sampled_from([0.0, 0.02, 0.3]),  # share of ticks without a command
    st.sampled_from([0.0, 0.02]),  # share of ticks with a number that is not finite
)


def adversarial(
    rng: np.random.Generator, robot: Embodiment, ticks: int, stream: tuple
) -> list[np.ndarray | None]:
    kind, period, amplitude, noise, missing, broken = stream
    joints, time = len(robot.joints), np.arange(ticks)[:, None]
    phase = rng.integers(0, period, joints)
    square = np.where((time + phase) // period % 2, 1.0, -1.0)
    center = rng.uniform(0, 1, joints)
    shares = {
        "anything": rng.uniform(-0.5, 1.5, (ticks, joints)),
        "jumps": np.repeat(rng.uniform(-0.2, 1.2, (ticks // period + 1, joints)), period, axis=0)[:ticks],
        "nyquist": center + amplitude * np.where(time % 2, 1.0, -1.0),
        "sine": center + amplitude * np.sin(time * rng.uniform(0, np.pi, joints) + phase),
        "walk": center + amplitude * 0.1 * np.cumsum(rng.normal(size=(ticks, joints)), axis=0),
        "edges": (square + 1) / 2,
        "huge": 1e300 * square,
    }[kind]
    shares = shares + noise * rng.standard_normal((ticks, joints))
    targets: list[np.ndarray | None] = list(robot.lower + (robot.upper - robot.lower) * shares)
    for tick, target in enumerate(targets):
        if rng.random() < missing:
            targets[tick] = None
        elif rng.random() < broken and target is not None:
            target[rng.integers(joints)] = rng.choice([np.nan, np.inf, -np.inf])
    return targets


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 2**32 - 1), st.lists(STREAMS, min_size=1, max_size=4))
def test_no_stream_ever_breaks_a_limit(seed: int, streams: list[tuple]) -> None:
    robot = with_joints([*ROBOT.joints] * ARMS)
    rng = np.random.default_rng(seed)
    ticks = -(-TICKS // len(streams))
    targets = [target for stream in streams for target in adversarial(rng, robot, ticks, stream)][:TICKS]
    margin = 0.05 * rng.integers(0, 2)  # half of the examples start some joints out of range
    start = rng.uniform(robot.lower - margin, robot.upper + margin)
    positions, _ = run(robot, start, targets)
    assert len(positions) == TICKS
    assert_within_limits(robot, start, positions)


@st.composite
def joints(draw: st.DrawFn) -> Joint:
    lower, span = draw(st.floats(-3, 3)), 10 ** draw(st.floats(-2, 0.8))
    velocity = 10 ** draw(st.floats(-1, 1))
    acceleration = velocity / 10 ** draw(st.floats(-2, -0.3))
    jerk = acceleration / 10 ** draw(st.floats(-3.5, -0.5))
    return Joint("", "rad", lower, lower + span, velocity, acceleration, jerk, 1.0)


@settings(max_examples=40)
@given(
    st.lists(joints(), min_size=1, max_size=8),
    st.sampled_from([30, 80, 120, 500]),
    st.integers(0, 2**32 - 1),
    st.lists(STREAMS, min_size=1, max_size=3),
)
def test_no_robot_is_too_odd_for_it(joints: list[Joint], hz: int, seed: int, streams: list[tuple]) -> None:
    robot = with_joints(joints, hz)
    rng = np.random.default_rng(seed)
    targets = [target for stream in streams for target in adversarial(rng, robot, 60, stream)]
    start = rng.uniform(robot.lower, robot.upper)
    positions, _ = run(robot, start, targets)
    assert_within_limits(robot, start, positions)


def test_acceleration_limits_are_only_lowered_for_odd_robots() -> None:
    np.testing.assert_array_equal(_stoppable_acceleration(ROBOT), ROBOT.max_acceleration)
    tiny = with_joints([replace(ROBOT.joints[0], lower=0.0, upper=0.01)])
    assert _stoppable_acceleration(tiny)[0] < tiny.max_acceleration[0]


def ruckig_stream(waypoints: list[np.ndarray], ticks_each: int | None) -> np.ndarray:
    """Time-optimal motion at the robot's full limits, a new waypoint after so many ticks (None: at rest)."""
    joints = len(ROBOT.joints)
    planner, given, out = Ruckig(joints, 1 / HZ), InputParameter(joints), OutputParameter(joints)
    given.max_velocity = list(ROBOT.max_velocity)
    given.max_acceleration = list(ROBOT.max_acceleration)
    given.max_jerk = list(ROBOT.max_jerk)
    given.current_position = list(waypoints[0])
    stream = [waypoints[0]]
    for i, waypoint in enumerate(waypoints[1:], 2):
        given.target_position = list(waypoint)
        last = i == len(waypoints)
        for tick in range(1000):
            try:
                result = planner.update(given, out)
            except RuckigError:  # it finds no way between some states in which both are at rest
                reject()
            assert result in (Result.Working, Result.Finished)
            stream.append(np.array(out.new_position))
            out.pass_to_input(given)
            if result == Result.Finished or (tick == ticks_each and not last):
                break
    return np.array(stream)


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=2, max_size=5))
def test_time_optimal_motion_to_the_very_edges_passes_to_the_bit(shares: list[list[float]]) -> None:
    waypoints = [ROBOT.lower + (ROBOT.upper - ROBOT.lower) * np.array(share) for share in shares]
    waypoints = [np.clip(waypoint, ROBOT.lower, ROBOT.upper) for waypoint in waypoints]
    targets = np.clip(ruckig_stream(waypoints, None), ROBOT.lower, ROBOT.upper)
    positions, reasons = run(ROBOT, targets[0], list(targets))
    np.testing.assert_array_equal(positions, targets)
    assert not any(reasons)


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.floats(0.3, 0.7), min_size=6, max_size=6), min_size=2, max_size=8),
    st.integers(1, 40),
)
def test_motion_with_changing_goals_passes_to_the_bit(shares: list[list[float]], ticks_each: int) -> None:
    waypoints = [ROBOT.lower + (ROBOT.upper - ROBOT.lower) * np.array(share) for share in shares]
    targets = ruckig_stream(waypoints, ticks_each)
    positions, reasons = run(ROBOT, targets[0], list(targets))
    np.testing.assert_array_equal(positions, targets)
    assert not any(reasons)


def moving(ticks: int) -> np.ndarray:
    """A motion from START at rest that is within limits, at some speed most of the time."""
    return START + 0.2 * (1 - np.cos(np.pi * np.arange(ticks)[:, None] / HZ)) * np.ones(6)


@pytest.mark.parametrize("nothing", [None, np.full(6, np.nan)])
def test_without_a_command_it_stops_holds_and_recovers(nothing: np.ndarray | None) -> None:
    targets = moving(500)
    positions, reasons = run(ROBOT, START, [*targets[:60], *[nothing] * 60, *targets[120:]])
    np.testing.assert_array_equal(positions[:60], targets[:60])
    assert set(reasons[60:120]) == {("no_command",) if nothing is None else ("not_finite",)}
    speed = np.abs(np.diff(positions[59:120], axis=0)) * HZ
    assert (speed[24:] < 0.01).all(), "stopped within 0.2 s"
    np.testing.assert_allclose(positions[119], positions[118], atol=1e-9)
    np.testing.assert_array_equal(positions[240:], targets[240:])
    assert not any(reasons[240:])
    assert_within_limits(ROBOT, START, positions)


def test_a_jump_is_made_without_overshoot_and_ends_on_the_target() -> None:
    goal = START + 0.5
    positions, reasons = run(ROBOT, START, [goal] * 120)
    assert reasons[0] == ("velocity", "acceleration", "jerk")
    assert (positions <= goal + 1e-12).all()
    assert (np.abs(positions[60:] - goal) < 2e-3).all(), "as soon as a time-optimal motion, nearly"
    np.testing.assert_array_equal(positions[-1], goal)
    assert reasons[-1] == ()


def test_a_noisy_stream_is_followed_closely() -> None:
    rng, clean = np.random.default_rng(0), moving(600)
    positions, _ = run(ROBOT, clean[0], list(clean + 0.003 * rng.standard_normal(clean.shape)))
    assert np.sqrt(((positions - clean) ** 2).mean()) < 0.006
    assert_within_limits(ROBOT, clean[0], positions)


def test_a_stream_that_jumped_is_met_again_while_it_moves() -> None:
    targets = moving(480)
    targets[100:] += 0.1
    positions, reasons = run(ROBOT, targets[0], list(targets))
    assert reasons[100]
    np.testing.assert_array_equal(positions[220:], targets[220:])
    assert not any(reasons[220:])


def test_targets_out_of_range_stop_at_the_limit_and_say_so() -> None:
    positions, reasons = run(ROBOT, START, [ROBOT.upper + 0.3] * 240)
    np.testing.assert_allclose(positions[-1], ROBOT.upper, atol=1e-9)
    assert all("position" in reason for reason in reasons)
    assert reasons[-1] == ("position",)


def test_full_speed_at_a_limit_is_braked_in_time() -> None:
    """The stream keeps the rates but does not stop: only the position limit is in its way."""
    top = ROBOT.upper[0] + 0.5
    targets = ruckig_stream([START, np.r_[top, START[1:]]], None)
    positions, reasons = run(ROBOT, START, list(targets))
    assert_within_limits(ROBOT, START, positions)
    first = next(tick for tick, reason in enumerate(reasons) if reason)
    assert reasons[first] == ("position",) and targets[first][0] < ROBOT.upper[0]


def test_a_start_out_of_range_is_brought_back_and_said() -> None:
    start = START.copy()
    start[0], start[5] = ROBOT.upper[0] + 0.1, ROBOT.lower[5] - 0.05
    positions, reasons = run(ROBOT, start, [START] * 240)
    assert_within_limits(ROBOT, start, positions)
    assert "position" in reasons[0] and reasons[-1] == ()
    assert (np.diff(positions[:, 0]) <= 0).all() and (np.diff(positions[:, 5]) >= 0).all()
    np.testing.assert_array_equal(positions[-1], START)

    held, reasons = run(ROBOT, start, [start] * 10)
    assert all("position" in reason for reason in reasons)
    assert held[-1][0] < start[0] and held[-1][5] > start[5]
    held, _ = run(ROBOT, start, [None] * 10)
    np.testing.assert_array_equal(held, [start] * 10)


def test_misuse_is_refused() -> None:
    safety = SafetyFilter(ROBOT)
    with pytest.raises(ValueError, match="position: got"):
        safety.reset(np.full(6, np.nan))
    with pytest.raises(ValueError, match="position: got"):
        safety.reset(np.zeros(5))
    safety.filter(3, None)
    with pytest.raises(ValueError, match="tick: got 3, expected more than 3"):
        safety.filter(3, None)
    with pytest.raises(ValueError, match="target: got shape"):
        safety.filter(4, np.zeros(1))


def test_what_it_returns_is_the_callers_own() -> None:
    safety, target = SafetyFilter(ROBOT), ROBOT.home_position.copy()
    position, _ = safety.filter(0, target)
    position[:] = target[:] = 99.0
    np.testing.assert_array_equal(safety.filter(1, None)[0], ROBOT.home_position)
