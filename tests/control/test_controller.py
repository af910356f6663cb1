"""The controller with a fake policy: chunks late, missing, reordered or doubled never break a limit."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import ActionChunk, Command, RobotState

ROBOT = load_embodiment("so101")
HZ = ROBOT.control_hz
HORIZON = 24
START = ROBOT.home_position - [0.2, 0.2, 0.2, 0.4, 0.2, 0.0]


def state(position: np.ndarray) -> RobotState:
    return RobotState(0.0, position, np.zeros_like(position), np.zeros_like(position))


def motion(tick: int) -> np.ndarray:
    """A motion within all limits that starts at START at rest."""
    phase = np.pi * tick / HZ
    return START + 0.2 * (1 - np.cos(phase)) * np.ones(len(ROBOT.joints))


def fake_policy(starts_at: int, horizon: int = HORIZON) -> ActionChunk:
    actions = np.array([motion(starts_at + i) for i in range(horizon)])
    return ActionChunk(actions, HZ, starts_at, starts_at / HZ, starts_at / HZ)


@dataclass
class Run:
    """A controller stepped from START with a perfect robot, which is where it was last commanded to be."""

    controller: Controller = field(default_factory=lambda: Controller(ROBOT))
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.controller.reset(state(START))

    def step(self, tick: int) -> np.ndarray:
        position = self.commands[-1].position if self.commands else START
        self.commands.append(self.controller.step(tick, state(position)))
        return self.commands[-1].position

    def assert_within_limits(self) -> None:
        positions = np.array([START] * 3 + [command.position for command in self.commands])
        assert (positions >= ROBOT.lower - 1e-9).all() and (positions <= ROBOT.upper + 1e-9).all()
        for order, limit in enumerate((ROBOT.max_velocity, ROBOT.max_acceleration, ROBOT.max_jerk), 1):
            assert (np.abs(np.diff(positions, order, axis=0)) * HZ**order <= limit * (1 + 1e-6)).all()


def test_a_good_policy_is_executed_to_the_bit_whatever_its_delay() -> None:
    for delay in (0, 6, 12):
        run = Run()
        for tick in range(240):
            if tick % 12 == 0:
                run.controller.submit(fake_policy(tick), available_at=tick + delay if tick else None)
            np.testing.assert_array_equal(run.step(tick), motion(tick))
        assert run.controller.interventions == {} and run.controller.holds == 0
        assert [command.tick for command in run.commands] == list(range(240))


def test_it_holds_when_chunks_run_out_and_recovers_by_itself() -> None:
    run = Run()
    run.controller.submit(fake_policy(0, 60))
    for tick in range(120):
        run.step(tick)
    assert run.controller.holds == 1
    assert run.controller.interventions == {"no_command": 60}
    np.testing.assert_allclose(run.commands[-1].position, run.commands[-10].position, atol=1e-6)
    for tick in range(120, 360):
        run.controller.submit(fake_policy(tick, 12))
        run.step(tick)
    np.testing.assert_array_equal(run.commands[-1].position, motion(359))
    assert run.controller.holds == 1
    run.assert_within_limits()


def test_waiting_for_the_first_chunk_is_neither_a_hold_nor_an_intervention() -> None:
    run = Run()
    for tick in range(12):
        np.testing.assert_array_equal(run.step(tick), START)
    assert run.controller.holds == 0 and run.controller.interventions == {}


def test_interventions_are_counted_by_reason() -> None:
    run = Run()
    beyond = np.tile(ROBOT.upper + 1.0, (30, 1))
    run.controller.submit(ActionChunk(beyond, HZ, 0, 0.0, 0.0))
    run.controller.submit(ActionChunk(np.full((10, len(ROBOT.joints)), np.nan), HZ, 30, 0.0, 0.0))
    for tick in range(45):
        run.step(tick)
    assert run.controller.interventions["position"] == 30
    assert run.controller.interventions["not_finite"] == 10
    assert run.controller.interventions["no_command"] == 5
    assert {"velocity", "acceleration", "jerk"} <= set(run.controller.interventions)
    run.assert_within_limits()


def test_it_holds_while_the_state_is_not_finite() -> None:
    run = Run()
    run.controller.submit(fake_policy(0, 200))
    for tick in range(100):
        run.step(tick)
    unknown = np.full(len(ROBOT.joints), np.nan)
    run.commands += [run.controller.step(tick, state(unknown)) for tick in range(100, 140)]
    assert run.controller.holds == 1 and run.controller.interventions == {"no_command": 40}
    np.testing.assert_allclose(run.commands[-1].position, run.commands[-5].position, atol=1e-4)
    run.assert_within_limits()


def test_committed_is_what_will_be_commanded() -> None:
    run = Run()
    np.testing.assert_array_equal(run.controller.committed_prefix(0, 3), np.tile(START, (3, 1)))
    run.controller.submit(fake_policy(0))
    for tick in range(12):
        run.step(tick)
    prefix = run.controller.committed_prefix(12, 15)
    np.testing.assert_array_equal(prefix[:12], [motion(tick) for tick in range(12, 24)])
    np.testing.assert_array_equal(prefix[12:], [motion(23)] * 3)
    np.testing.assert_array_equal([run.step(tick) for tick in range(12, 24)], prefix[:12])


def test_reset_forgets_everything() -> None:
    run = Run()
    run.controller.submit(fake_policy(0, 5))
    for tick in range(20):
        run.step(tick)
    start = START + 0.1
    run.controller.submit(fake_policy(0))
    run.controller.reset(state(start))
    assert run.controller.interventions == {} and run.controller.holds == 0
    np.testing.assert_array_equal(run.controller.committed_prefix(0, 1), [start])
    np.testing.assert_array_equal(run.controller.step(0, state(start)).position, start)


def test_a_chunk_for_another_robot_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(H, 6\)"):
        Controller(ROBOT).submit(ActionChunk(np.zeros((4, 7)), HZ, 0, 0.0, 0.0))
    with pytest.raises(ValueError, match="chunk.hz: got 30"):
        Controller(ROBOT).submit(ActionChunk(np.zeros((4, 6)), 30, 0, 0.0, 0.0))


arrivals = st.lists(
    st.tuples(
        st.integers(0, 20),  # observed at this tenth of a second
        st.integers(0, 60),  # delay in ticks
        st.integers(1, 40),  # horizon
        st.floats(-0.5, 0.5),  # jump of the whole chunk
        st.integers(1, 2),  # copies
    ),
    max_size=20,
)


@settings(max_examples=30)
@given(arrivals)
def test_any_arrival_of_chunks_keeps_the_limits(arrivals: list[tuple[int, int, int, float, int]]) -> None:
    run = Run()
    for observed, delay, horizon, jump, copies in arrivals:
        chunk = fake_policy(12 * observed, horizon)
        moved = ActionChunk(chunk.actions + jump, HZ, chunk.starts_at, chunk.observed_at, chunk.observed_at)
        for _ in range(copies):
            run.controller.submit(moved, available_at=12 * observed + delay)
    for tick in range(360):
        run.step(tick)
    run.assert_within_limits()
    np.testing.assert_allclose(run.commands[-1].position, run.commands[-2].position, atol=1e-3)


def test_it_remembers_what_it_sent_and_starts_at_rest():
    run = Run()
    assert (run.controller.past_commands == START).all()
    run.controller.submit(fake_policy(0))
    sent = [run.step(tick) for tick in range(5)]
    length = usual_timing(ROBOT).past_command_ticks  # as the decoder is given them
    assert np.array_equal(run.controller.past_commands, [*[START] * (length - 5), *sent])
