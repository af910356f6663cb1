"""Whatever is asked for, no command comes near table, walls or the arm itself; what is free passes as it is.

IDEOMOTOR_TICKS=1000000 .venv/bin/pytest tests/control/test_keepout.py     # 4000 by default
"""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.safety.box_distance import box_gap, segment_distance
from ideomotor.control.safety.braking import stop_in_range, stopping_positions
from ideomotor.control.safety.clearance import REASONS, Clearance
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.safety.keepout import SLACK
from ideomotor.control.types import ActionChunk, RobotState

ROBOT = load_embodiment("so101")
assert ROBOT.geometry
CLEARANCE = Clearance(ROBOT, ROBOT.geometry)
HOME = ROBOT.home_position
HZ = ROBOT.control_hz
TICKS = 400
EXAMPLES = max(int(os.environ.get("IDEOMOTOR_TICKS", "4000")) // TICKS, 1)
RATES = (ROBOT.max_velocity, ROBOT.max_acceleration, ROBOT.max_jerk)

POSTURES = np.random.default_rng(0).uniform(ROBOT.lower, ROBOT.upper, (4000, len(HOME)))
REACHED = CLEARANCE(POSTURES)
FORBIDDEN = {
    reason: POSTURES[(REACHED[:, CLEARANCE.reasons == row] < -0.01).any(1)]
    for row, reason in enumerate(REASONS)
}
FREE = POSTURES[(REACHED > 0.03).all(1)]


def still(position: np.ndarray) -> RobotState:
    zeros = np.zeros_like(position)
    return RobotState(0.0, position, zeros, zeros)


def stream(rng: np.random.Generator, kind: str, period: int, size: float, broken: float) -> np.ndarray:
    """Returns targets (TICKS, A), some of them not finite."""
    joints, spread, steps = len(HOME), ROBOT.upper - ROBOT.lower, TICKS // period + 1
    if kind in FORBIDDEN:  # there and back, again and again
        goals = FORBIDDEN[kind][rng.integers(len(FORBIDDEN[kind]), size=steps)]
        goals[::3] = FREE[rng.integers(len(FREE), size=len(goals[::3]))]
        targets = np.repeat(goals, period, axis=0)[:TICKS]
    elif kind == "anything":
        targets = ROBOT.lower + spread * rng.uniform(-0.3, 1.3, (TICKS, joints))
    elif kind == "nyquist":
        middle = POSTURES[rng.integers(len(POSTURES))]
        targets = middle + 0.3 * size * spread * np.where(np.arange(TICKS)[:, None] % 2, 1.0, -1.0)
    elif kind == "walk":
        targets = HOME + 0.05 * size * spread * np.cumsum(rng.normal(size=(TICKS, joints)), axis=0)
    else:
        targets = 1e30 * rng.choice([-1.0, 1.0], (TICKS, joints))  # what float32 chunks can carry
    targets = targets + 0.01 * size * rng.standard_normal(targets.shape)
    targets[rng.random(targets.shape) < broken / joints] = rng.choice([np.nan, np.inf, -np.inf])
    return targets


def deliver(
    rng: np.random.Generator, controller: Controller, targets: np.ndarray, trouble: float
) -> np.ndarray:
    """Runs targets as chunks that come late, twice, in another order or not at all; the commands (T, A)."""
    horizon, every = 24, int(rng.integers(4, 20))
    arrivals: dict[int, list[ActionChunk]] = {}
    for starts in range(0, TICKS, every):
        chunk = ActionChunk(
            targets[starts : starts + horizon].astype(np.float32), HZ, starts, starts / HZ, starts / HZ
        )
        for _ in range(rng.choice([1, 0, 2], p=[1 - trouble, trouble / 2, trouble / 2])):
            late = int(rng.integers(0, 40)) if rng.random() < trouble else 0
            arrivals.setdefault(starts + late, []).append(chunk)
    commands, position = [], HOME
    for tick in range(TICKS):
        for i in rng.permutation(len(arrivals.get(tick, []))):
            controller.submit(arrivals[tick][i])
        position = controller.step(tick, still(position)).position
        commands.append(position)
    return np.array(commands)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([*REASONS, "anything", "nyquist", "walk", "huge"]),
    st.integers(1, 100),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.sampled_from([0.0, 0.3]),
)
@example(6094, "table", 71, 0.625, 0.02, 0.3)  # a stop that left a joint's range was changed, unseen
def test_nothing_makes_it_break_a_limit_or_touch_anything(
    seed: int, kind: str, period: int, size: float, broken: float, trouble: float
) -> None:
    rng = np.random.default_rng(seed)
    controller = Controller(ROBOT)
    controller.reset(still(HOME))
    with np.errstate(over="ignore", invalid="ignore"):
        commands = deliver(rng, controller, stream(rng, kind, period, size, broken), trouble)
    assert np.isfinite(commands).all() and len(commands) == TICKS
    assert (commands >= ROBOT.lower - 1e-9).all() and (commands <= ROBOT.upper + 1e-9).all()
    for order, limit in enumerate(RATES, 1):
        rates = np.abs(np.diff(np.vstack([HOME, HOME, HOME, commands]), order, axis=0)) * HZ**order
        assert (rates <= limit * (1 + 1e-6)).all(), f"difference {order}"
    clearance = CLEARANCE(commands)
    row, column = np.unravel_index(clearance.argmin(), clearance.shape)
    assert clearance[row, column] >= SLACK - 1e-6, f"{CLEARANCE.names[column]} at tick {row}"


@pytest.mark.parametrize("reason", REASONS)
def test_it_stops_before_what_is_forbidden_says_so_and_leaves_again(reason: str) -> None:
    row = REASONS.index(reason)
    for goal in FORBIDDEN[reason][:3]:
        safety = SafetyFilter(ROBOT)
        safety.reset(HOME)
        there = [safety.filter(tick, goal) for tick in range(360)]
        commands = np.array([command for command, _ in there])
        reached = CLEARANCE(commands)
        stopped_by = np.unique(CLEARANCE.reasons[reached[-1] < 5 * SLACK])
        assert len(stopped_by) and set(there[-1][1]) & {REASONS[kind] for kind in stopped_by}
        if list(stopped_by) == [row]:  # else something else was in the way before
            assert reached[-1].min() >= 0.9 * SLACK
        speed = np.abs(np.diff(commands[-60:], axis=0)).max() * HZ
        assert speed < 0.1, "it stands there"
        back = [safety.filter(tick, HOME) for tick in range(360, 1080)]
        np.testing.assert_allclose(back[-1][0], HOME, atol=1e-3)
        assert back[-1][1] == ()


@settings(max_examples=6, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 2**32 - 1))
@example(105)  # the same posture twice in a row
def test_motion_in_free_space_passes_to_the_bit(seed: int) -> None:
    """Smooth streams between free postures, wherever their ways are free."""
    rng = np.random.default_rng(seed)
    posts = np.vstack([HOME, FREE[rng.integers(len(FREE), size=6)]])
    ways = [(a, b) for a, b in zip(posts, posts[1:], strict=False) if (a != b).any()]
    shares = np.linspace(0, 1, 240)[:, None]
    ease = 35 * shares**4 - 84 * shares**5 + 70 * shares**6 - 20 * shares**7
    safety = SafetyFilter(ROBOT)
    for a, b in ways:
        b = a + (b - a) * min(1.0, 1.2 / np.abs(b - a).max())
        way = a + ease * (b - a)
        if CLEARANCE(way).min() < 0.03:
            continue
        safety.reset(a)
        for tick, target in enumerate(way):
            command, reasons = safety.filter(tick, target)
            assert reasons == ()
            np.testing.assert_array_equal(command, target)


def test_an_arm_that_starts_too_close_may_only_move_away() -> None:
    assert ROBOT.geometry
    raised = replace(ROBOT.geometry, table_height=0.04)
    robot = replace(ROBOT, geometry=raised)
    clearance = Clearance(robot, raised)
    low = clearance.reasons == REASONS.index("table")
    reached = clearance(POSTURES)
    depth, others = reached[:, low].min(1), reached[:, ~low].min(1)
    start = POSTURES[(-0.02 < depth) & (depth < -0.01) & (others > 0.02)][0]
    safety = SafetyFilter(robot)
    safety.reset(start)
    rng = np.random.default_rng(0)
    commands = np.array([safety.filter(tick, POSTURES[rng.integers(4000)])[0] for tick in range(300)])
    assert (clearance(commands)[:, low].min(1) >= clearance(start[None])[0, low].min() - 1e-6).all()


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_a_stop_keeps_the_limits_and_ends_at_rest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, a = (rng.uniform(-1, 1, 6) * limit * rng.choice([0.0, 1e-6, 1.0], 6) for limit in RATES[:2])
    dt = 1 / HZ
    stop = stopping_positions(HOME, v, a, RATES[1], RATES[2], dt)
    before = np.array([HOME - dt * (2 * v - dt * a), HOME - dt * v, HOME])
    path = np.vstack([before, stop, stop[-1:], stop[-1:], stop[-1:]])
    for order, limit in ((2, RATES[1]), (3, RATES[2])):
        assert (np.abs(np.diff(path, order, axis=0)) * HZ**order <= limit * (1 + 1e-6)).all()
    assert len(stop) < 0.25 * HZ


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_a_stop_stays_in_the_range_that_the_hardest_braking_keeps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, a = (rng.uniform(0, 1, 6) * limit for limit in RATES[:2])
    dt = 1 / HZ
    braking = np.maximum(a - RATES[2] * dt * np.arange(1, 200)[:, None], -RATES[1])
    peak = (HOME + dt * np.cumsum(v + dt * np.cumsum(braking, axis=0), axis=0)).max(0)
    for side in (1.0, -1.0):
        end = HOME + side * (peak - HOME)  # of the range on this side; the other one is far
        bounds = np.stack([end, 9 - end] if side > 0 else [end + 9, -end]) + 1e-9
        v_side, a_side = side * v, side * a
        stop = stop_in_range(HOME, v_side, a_side, RATES[1], RATES[2], bounds, dt)
        assert (stop <= bounds[0] + 1e-9).all() and (stop >= -bounds[1] - 1e-9).all()
        before = np.array([HOME - dt * (2 * v_side - dt * a_side), HOME - dt * v_side, HOME])
        path = np.vstack([before, stop, stop[-1:], stop[-1:], stop[-1:]])
        for order, limit in ((2, RATES[1]), (3, RATES[2])):
            assert (np.abs(np.diff(path, order, axis=0)) * HZ**order <= limit * (1 + 1e-6)).all()


@pytest.mark.parametrize("joint", range(len(HOME)))
def test_no_clearance_changes_by_more_than_its_reach(joint: int) -> None:
    """The tick's broad look relies on it. True distances of boxes are within `enough` of the gaps."""
    moved = POSTURES[:400] + 0.02 * np.eye(len(HOME))[joint]
    fell = CLEARANCE(moved) < REACHED[:400] - 0.02 * CLEARANCE.reach[:, joint] - 1e-9
    sure = REACHED[:400] - 0.02 * CLEARANCE.reach[:, joint] > CLEARANCE.enough(SLACK)
    planes = CLEARANCE.reasons != REASONS.index("self_collision")
    assert not fell[:, planes].any()
    assert sure.mean() > 0.5 and (CLEARANCE(moved) >= SLACK)[sure].all()


def test_distances_of_capsules_and_boxes() -> None:
    rng = np.random.default_rng(0)
    starts, ends = rng.normal(size=(2, 3, 500)), rng.normal(size=(2, 3, 500))
    one, other = ends - starts
    distance = segment_distance(one, other, starts[0] - starts[1], (one**2).sum(0), (other**2).sum(0))
    shares = np.linspace(0, 1, 101)
    points = [
        start[..., None] + way[..., None] * shares for start, way in zip(starts, (one, other), strict=True)
    ]
    sampled = np.linalg.norm(points[0][..., :, None] - points[1][..., None, :], axis=0).min((1, 2))
    assert (distance <= sampled + 1e-9).all() and (sampled - distance).max() < 0.02

    eye = np.broadcast_to(np.eye(3)[..., None], (3, 3, 1))
    half = np.array([[1.0], [2.0], [3.0]])
    for between, gap in (([4.0, 0, 0], 2.0), ([0, 4.5, 1.0], 0.5), ([1.0, 0, 0], -1.0), ([0, 0, -7.0], 1.0)):
        found = box_gap(eye, half, eye, half, np.array(between)[:, None])
        assert found[0] == pytest.approx(gap, abs=1e-9)
