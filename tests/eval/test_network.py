"""A policy over a network in lockstep: when it asks, what it is given, and what becomes of lost answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ideomotor.vla
from ideomotor.control.answer_time import AnswerTime
from ideomotor.control.chunk_handover import HANDOVERS
from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.timing import usual_timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.eval.drivers import PolicyRequest
from ideomotor.eval.network import Half, Network, NetworkDriver
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.eval.run import evaluate
from ideomotor.eval.suites import suite
from ideomotor.launch.commands.evaluate.checks import checked_axes
from ideomotor.launch.commands.evaluate.options import EvalOptions

BUNDLED = Path(next(iter(ideomotor.vla.__path__))) / "checkpoints" / "so101"
ROBOT = load_embodiment("so101")
HZ, FRAME = ROBOT.control_hz, ROBOT.frame_ticks


@dataclass
class Played:
    """Requests of an episode, and what the arm was given from them."""

    asked: list[tuple[int, PolicyRequest]] = field(default_factory=list)
    submitted: list[tuple[int, int]] = field(default_factory=list)  # (begins at, there at) [ticks]

    @property
    def plans(self) -> list[int]:
        return [tick for tick, request in self.asked if request.plan is None]

    @property
    def chunks(self) -> list[tuple[int, PolicyRequest]]:
        return [(tick, request) for tick, request in self.asked if request.plan is not None]


def played_over(network: Network, seconds: float, seed: int = 0, method: str = "rtc") -> Played:
    """Drives an arm that stands, with a policy that answers with chunks of 0.8 s."""
    driver = NetworkDriver(network, HANDOVERS[method], usual_timing(ROBOT), (seed,))
    played, controller = Played(), Controller(ROBOT)
    submit = controller.submit
    controller.submit = lambda chunk, at: (  # type: ignore[method-assign]
        played.submitted.append((chunk.starts_at, at)),
        submit(chunk, at),
    )
    for tick in range(0, round(seconds * HZ), FRAME):
        observation = None
        if driver.looks_at(tick):
            observation = Observation(tick / HZ, tick, {}, np.zeros(6, np.float32), "lift")
        requests, answer = driver.drive(tick, observation, controller), None
        while True:
            try:
                request = requests.send(answer)
            except StopIteration:
                break
            played.asked.append((tick, request))
            answer = _answer(tick, request)
    return played


def _answer(tick: int, request: PolicyRequest) -> Any:
    if request.plan is None:
        return LatentPlan(np.zeros((1, 1), np.float32), tick / HZ)
    actions = np.repeat(ROBOT.home_position[None].astype(np.float32), 96, axis=0)
    return ActionChunk(actions, HZ, tick, tick / HZ, request.plan.observed_at)


def test_without_a_distance_it_asks_at_the_pace_of_the_policy() -> None:
    played = played_over(Network(0.0, 0.0, compute_s=0.0), 2.0)
    timing = usual_timing(ROBOT)
    assert np.diff(played.plans).tolist() == [timing.plan_every_ticks] * (len(played.plans) - 1)
    assert {np.diff([tick for tick, _ in played.chunks]).max()} == {timing.act_every_ticks}


def test_answers_come_after_the_round_trip_and_the_prefix_covers_it() -> None:
    played = played_over(Network(0.1, 0.0, jitter=0.0, compute_s=0.03), 4.0)
    assert {at - begins for begins, at in played.submitted} == {math.ceil(0.13 * HZ)}
    assert {len(request.prefix) for _, request in played.chunks[1:]} == {math.ceil(0.13 * HZ) + 1}
    first_plan_comes = math.ceil(0.13 * HZ)
    assert played.chunks[0][0] >= first_plan_comes, "nothing to make a chunk from before"
    assert all(
        request.plan.observed_at <= tick / HZ - 0.13 for tick, request in played.chunks if request.plan
    )


def test_only_one_request_of_each_half_is_under_way() -> None:
    played = played_over(Network(0.3, 0.0, jitter=0.0, compute_s=0.0), 4.0)
    assert np.diff(played.plans).min() >= 0.3 * HZ
    assert np.diff([tick for tick, _ in played.chunks]).min() >= 0.3 * HZ


def test_a_prefix_is_never_longer_than_the_policy_learned() -> None:
    played = played_over(Network(0.4, 0.0), 4.0)
    assert max(len(request.prefix) for _, request in played.chunks) == usual_timing(ROBOT).max_prefix_ticks


def test_naive_chunks_are_given_no_prefix() -> None:
    played = played_over(Network(0.1, 0.0), 2.0, method="naive")
    assert played.chunks and all(len(request.prefix) == 0 for _, request in played.chunks)


def test_a_lost_answer_is_waited_for_a_little_longer_than_usual_then_asked_anew() -> None:
    half = Half(AnswerTime(0.1, 0.5), 16, HZ)
    for tick in range(0, 160, 16):
        assert half.asks(tick) and half.ask(tick, 0.05) == tick + 6
        assert half.settle(tick + 4) is None and half.settle(tick + 8) == 0.05
    assert half.ask(160, math.inf) is None
    waited = math.ceil(0.1 * HZ)
    assert not half.asks(160 + waited - 1) and half.settle(160 + waited) is None
    assert half.asks(160 + waited), "a newer moment is asked about at once"
    assert half.ask(172, math.inf) is None and not half.asks(172 + 2 * waited - 1), "twice as long"


def test_an_answer_later_than_anybody_waits_is_none() -> None:
    half = Half(AnswerTime(0.1, 0.5), 16, HZ)
    assert half.ask(0, 0.6) is None and half.settle(60) is None


def test_losses_follow_from_the_seed_and_their_share_is_as_said() -> None:
    network = Network(0.05, 0.02)
    generator = np.random.default_rng(5)
    lost = np.mean([math.isinf(network.answers_after(generator)) for _ in range(20_000)])
    assert lost == pytest.approx(1 - 0.98**2, abs=0.005)
    one, same, other = (played_over(network, 10.0, seed) for seed in (1, 1, 2))
    assert one.submitted == same.submitted != other.submitted


def test_episodes_over_a_network_are_those_of_the_list_and_repeat() -> None:
    specs = suite("generalization", ["press"], 1, 1_000_000, axes=["network"])
    assert [(spec.axis, spec.strength) for spec in specs] == [
        ("", 0),
        *(("network", i) for i in (1, 2, 3, 4)),
    ]
    once, again = (evaluate([specs[0], specs[3]], PolicySpec(BUNDLED), batch=batch) for batch in (1, 2))
    assert [row.seconds for row in once] == pytest.approx([row.seconds for row in again], abs=0.05)
    assert once[1].seconds != once[0].seconds


def test_who_waits_for_each_chunk_is_not_asked_over_a_network() -> None:
    options = EvalOptions(suite="generalization", axes="network", handover="sync")
    with pytest.raises(UserError, match="handover: 'sync' waits for chunks"):
        checked_axes(options, ["press"], ROBOT)
