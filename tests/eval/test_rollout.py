"""The lockstep loop, over a world and a policy small enough to reason about."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.chunk_handover import HANDOVERS
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import ActionChunk, Command, LatentPlan, Observation, RobotState
from ideomotor.eval.rollout import rollout


class FakeWorld:
    """Moves one joint from home to `goal`; solved once the command has been there for ten ticks."""

    detouring = False

    def __init__(self, seed: int = 0, goal: float = 0.2, max_ticks: int = 240):
        self.embodiment = load_embodiment("so101")
        self.seed = seed
        self.instruction = "move to the goal"
        self.max_ticks = max_ticks
        self.tick = 0
        self.success = False
        self.observed_at: list[int] = []
        self._position = self.embodiment.home_position.copy()
        self._goal = goal
        self._there_for = 0

    def state(self) -> RobotState:
        zeros = np.zeros_like(self._position)
        return RobotState(self.tick / 120, self._position.copy(), zeros, zeros)

    def observe(self) -> Observation:
        self.observed_at.append(self.tick)
        image = np.full((4, 4, 3), self.tick % 256, np.uint8)
        return Observation(
            self.tick / 120,
            self.tick,
            {"front": image, "wrist": image},
            self._position.astype(np.float32),
            self.instruction,
        )

    def step(self, command: Command) -> None:
        assert command.tick == self.tick
        self._position = command.position.copy()
        self.tick += 1
        self._there_for = self._there_for + 1 if abs(self._moved() - self._goal) < 1e-3 else 0
        self.success = self._there_for >= 10

    def expert(self, noise: float = 0.0, past_commands: np.ndarray | None = None) -> Iterator[np.ndarray]:
        for share in 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 120)):
            yield self.embodiment.home_position + np.eye(6)[0] * self._goal * share

    def progress(self) -> float:
        return min(abs(self._moved() / self._goal), 1.0)

    def subtask(self) -> str:
        return "move"

    def plan_text(self) -> str:
        return "now: move" if self.progress() < 0.5 else "now: nearly there"

    def referred(self) -> dict[str, np.ndarray]:
        return {"target": np.array([0.1, 0.2, 0.3])}

    def keypoints(self) -> dict[str, tuple[str, float, float]]:
        return {"target": ("front", 0.25, 0.75)}

    def _moved(self) -> float:
        return float(self._position[0] - self.embodiment.home_position[0])


class HoldPolicy:
    """Stays where it is: every chunk repeats the last row of its prefix. Remembers what it was given."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.planned_at: list[int] = []
        self.acted: list[tuple[int, float, int]] = []  # (tick, time of the plan's observation, prefix length)
        self.instructions: set[str] = set()

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)

    def plan(self, observation: Observation) -> LatentPlan:
        self.planned_at.append(observation.tick)
        self.instructions.add(observation.instruction)
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time, text=f"plan {len(self.planned_at)}")

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        tick = observation.tick
        self.acted.append((tick, plan.observed_at, len(committed_prefix)))
        actions = np.concatenate([committed_prefix, np.repeat(committed_prefix[-1:], 48, axis=0)]).astype(
            np.float32
        )
        return ActionChunk(actions, 120.0, tick, observation.time, plan.observed_at)


def test_the_expert_solves_the_task_through_the_controller():
    world = FakeWorld()
    result = rollout(world, None)
    assert result.success
    assert result.progress == pytest.approx(1, abs=0.01)
    assert result.seconds == len(result.commands) / 120 == world.tick / 120
    assert result.commands[-1, 0] - world.embodiment.home_position[0] == pytest.approx(0.2, abs=1e-3)
    assert [text for _, text in result.plan_texts] == ["now: move", "now: nearly there"]
    assert world.observed_at == []  # no camera is looked through where nobody looks


def test_an_episode_ends_at_the_time_limit():
    world = FakeWorld(max_ticks=50)
    result = rollout(world, None)
    assert not result.success
    assert len(result.commands) == 50


def test_every_camera_frame_comes_with_its_four_commands():
    world, frames = FakeWorld(), []
    result = rollout(world, None, on_frame=frames.append)
    assert world.observed_at == list(range(0, len(result.commands), 4))
    assert np.array_equal(np.concatenate([frame.commands for frame in frames]), result.commands)
    assert [frame.observation.tick for frame in frames] == world.observed_at
    assert all(later.progress >= earlier.progress for earlier, later in zip(frames, frames[1:], strict=False))


def test_a_policy_is_seeded_planned_and_asked_at_its_rates():
    world, policy = FakeWorld(seed=7, max_ticks=64), HoldPolicy()
    result = rollout(world, policy)
    assert policy.seeds == [7]
    assert policy.planned_at == [0, 12, 24, 36, 48, 60]
    assert policy.acted == [(0, 0, 0), (16, 12 / 120, 0), (32, 24 / 120, 0), (48, 48 / 120, 0)]
    assert result.boundaries == [0, 16, 32, 48]
    assert world.observed_at == sorted({*policy.planned_at, *(tick for tick, *_ in policy.acted)})
    assert result.holds == 0
    assert np.ptp(result.commands, axis=0).max() < 1e-6


class LookingBackPolicy(HoldPolicy):
    """Wants to see a frame every 8 ticks."""

    watch_every_ticks = 8

    def __init__(self) -> None:
        super().__init__()
        self.watched_at: list[int] = []

    def watch(self, observation: Observation) -> None:
        self.watched_at.append(observation.tick)


@pytest.mark.parametrize("filmed", [False, True])
def test_a_policy_that_looks_back_is_shown_the_frames_between_its_chunks(filmed):
    policy = LookingBackPolicy()
    rollout(FakeWorld(max_ticks=48), policy, on_frame=(lambda frame: None) if filmed else None)
    assert policy.watched_at == [0, 8, 16, 24, 32, 40]
    assert [tick for tick, *_ in policy.acted] == [0, 16, 32]


def test_with_a_delay_the_prefix_grows_and_the_plan_ages():
    policy = HoldPolicy()
    rollout(FakeWorld(max_ticks=48), policy, delay_ticks=12)
    assert policy.acted == [(0, 0, 12), (16, 0, 12), (32, 12 / 120, 12)]


class SwingPolicy(HoldPolicy):
    """Swings joint 0 by a chunk's own clock: each chunk starts where the arm is and goes one way or back."""

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        chunk = super().act(
            observation, plan, committed_prefix if len(committed_prefix) else observation.state[None]
        )
        way = 1 if len(self.acted) % 2 else -1
        actions = chunk.actions + 0.002 * way * np.arange(len(chunk.actions))[:, None] * np.eye(6)[0]
        actions[: len(committed_prefix)] = committed_prefix
        return ActionChunk(actions.astype(np.float32), 120.0, chunk.starts_at, observation.time, 0.0)


def test_a_delay_beyond_what_the_policy_can_be_given_is_refused_before_the_first_tick():
    world, policy = FakeWorld(max_ticks=48), HoldPolicy()
    with pytest.raises(UserError, match="delay: got 31 ticks, expected at most the policy's 30"):
        rollout(world, policy, delay_ticks=31)

    class Quick(HoldPolicy):
        timing = replace(usual_timing(world.embodiment), max_prefix_ticks=4, act_every_ticks=8)

    policy = Quick()
    with pytest.raises(UserError, match="delay: got 5 ticks"):
        rollout(world, policy, delay_ticks=5)
    assert world.tick == 0
    rollout(world, policy, delay_ticks=4)
    assert [tick for tick, *_ in policy.acted[:3]] == [0, 8, 16]  # as its own timing says


def test_every_hand_over_starts_a_chunk_after_the_delay():
    ran = {}
    for handover in HANDOVERS:
        policy = SwingPolicy()
        ran[handover] = rollout(FakeWorld(max_ticks=112), policy, delay_ticks=12, handover=handover)
        assert {length for *_, length in policy.acted} == ({12} if handover == "rtc" else {1})
    assert ran["rtc"].boundaries == ran["naive"].boundaries == [12, 28, 44, 60, 76, 92, 108]
    assert ran["sync"].boundaries == [12, 72]  # 48 ticks executed, 12 waited for
    assert not np.allclose(ran["naive"].commands, ran["ensemble"].commands)
    joint = ran["sync"].commands[:, 0]
    last = joint[0] + 0.002 * 48  # of the rows that are executed, where it stands while the next is made
    np.testing.assert_allclose(joint[:12], joint[0], atol=1e-9)
    assert abs(joint[59] - last) < 0.003 and abs(joint[71] - last) < 0.003
    assert ran["rtc"].holds == 0


def test_without_delay_only_averaging_differs():
    runs = {
        name: rollout(FakeWorld(max_ticks=96), SwingPolicy(), handover=name).commands for name in HANDOVERS
    }
    np.testing.assert_array_equal(runs["rtc"], runs["naive"])
    np.testing.assert_array_equal(runs["rtc"], runs["sync"])
    assert not np.allclose(runs["rtc"], runs["ensemble"])


def test_no_half_of_the_policy_begins_before_it_is_done():
    policy = HoldPolicy()
    rollout(FakeWorld(max_ticks=80), policy, delay_ticks=22)
    assert policy.planned_at == [0, 24, 48, 72]
    assert [tick for tick, *_ in policy.acted] == [0, 24, 48, 72]


def test_the_expert_goes_on_from_where_a_policy_left_the_robot():
    world, policy, frames = FakeWorld(max_ticks=200), HoldPolicy(), []
    result = rollout(world, policy, expert_from=64, on_frame=frames.append)
    assert result.success
    assert [tick for tick, *_ in policy.acted] == [0, 16, 32, 48]
    assert [frame.detouring for frame in frames] == [frame.observation.tick < 64 for frame in frames]
    assert [text for _, text in result.plan_texts][-1] == "now: nearly there"


def test_every_frame_that_a_policy_drives_can_have_the_experts_label():
    world, policy, frames, asked = FakeWorld(max_ticks=200), HoldPolicy(), [], []

    def label(observation):
        asked.append(world.tick)
        return np.full((4, observation.past_commands.shape[1]), world.tick, np.float32)

    rollout(world, policy, expert_from=64, label=label, on_frame=frames.append)
    assert not any(frame.detouring for frame in frames)
    mine, experts = frames[:16], frames[16:]
    assert asked == [frame.observation.tick for frame in mine] == [*range(0, 64, 4)]
    assert all((frame.expert == frame.observation.tick).all() for frame in mine)
    assert experts and all(frame.expert is None for frame in experts)


def test_what_the_policy_is_told_can_differ_from_what_is_judged():
    policy = HoldPolicy()
    rollout(FakeWorld(max_ticks=8), policy, instruction="do the other thing")
    assert policy.instructions == {"do the other thing"}


def test_an_environment_error_is_not_a_failed_task():
    class Broken(FakeWorld):
        def step(self, command):
            raise RuntimeError("contact solver diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        rollout(Broken(), None)


def test_a_clock_paces_every_tick():
    class Clock:
        times = []

        def now(self):
            return 5.0

        def sleep_until(self, time):
            self.times.append(time)

    rollout(FakeWorld(max_ticks=4), None, clock=Clock())
    assert Clock.times == pytest.approx([5 + tick / 120 for tick in range(4)])
