"""A policy that is asked over a network, in lockstep: its answers come late, unevenly, or not at all.

The two halves of a policy ask as the two processes of a launch do (`launch/runtime/policy_processes.py`),
with the same estimates of the delay and of how long to wait: each has one request under way, gives the
decoder as many committed commands as the slowest of the newest answers took, and asks about a newer moment
when no answer came in time. Delays are drawn from the episode's seed, so a result depends on nothing of the
machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.answer_time import AnswerTime, chunk_time, plan_time
from ideomotor.control.chunk_handover import DelayEstimate, Handover
from ideomotor.control.controller import Controller
from ideomotor.control.timing import Timing
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.eval.drivers import PolicyRequest, Requests

if TYPE_CHECKING:
    from ideomotor.eval.episode_spec import EpisodeSpec

CHUNK_S = 0.8  # that a chunk lasts, before one came


@dataclass(frozen=True)
class Network:
    """What lies between a robot and its policy."""

    round_trip_s: float
    loss: float  # probability of each message to be lost, each way
    jitter: float = 0.1  # standard deviation of each way's delay, as a share of it; a delay is never below 0
    compute_s: float = 0.03  # the server's, for a plan or a chunk

    def answers_after(self, generator: np.random.Generator) -> float:
        """Seconds from a request to its answer; infinity if either is lost."""
        way_s = self.round_trip_s / 2
        ways = way_s * (1 + self.jitter * generator.normal(size=2))
        lost = generator.random(2) < self.loss
        return math.inf if lost.any() else self.compute_s + float(np.maximum(ways, 0.0).sum())


def network_for(spec: EpisodeSpec) -> Network | None:
    """What an episode's policy is asked over; None where it is beside the robot."""
    from ideomotor.sim.generalization.axes import AXES

    if spec.axis != "network":
        return None
    round_trip_ms, loss = AXES[spec.axis].values[spec.strength - 1]
    return Network(round_trip_ms / 1000, loss)


class Half:
    """The one request that a half of the policy has under way.

    Args:
        expected: how long to wait for an answer.
        every: ticks from one request that was answered to the next.
        hz: ticks a second.
    """

    def __init__(self, expected: AnswerTime, every: int, hz: float) -> None:
        self.expected, self._every, self._hz = expected, every, hz
        self._due = 0
        self._free_at = 0  # tick from which another may be asked
        self._answer_s: float | None = None  # of the request under way; None: there is none, or it is lost
        self._under_way = False

    def settle(self, tick: int) -> float | None:
        """Looks whether the request under way is over; returns how long its answer took, if one came [s]."""
        if not self._under_way or tick < self._free_at:
            return None
        self._under_way = False
        if self._answer_s is None:
            self.expected.missed()
        else:
            self.expected.add(self._answer_s)
        return self._answer_s

    def asks(self, tick: int) -> bool:
        """Whether it is time for a request."""
        return tick >= max(self._due, self._free_at)

    def ask(self, tick: int, answer_s: float) -> int | None:
        """Begins a request; returns the tick from which its answer can be used, None if none will come."""
        waits_s = self.expected.seconds()
        comes = answer_s <= waits_s
        self._under_way, self._answer_s = True, answer_s if comes else None
        self._free_at = tick + math.ceil(min(answer_s, waits_s) * self._hz)
        if comes:
            self._due = tick + self._every
        return self._free_at if comes else None


class NetworkDriver:
    """Asks for what a policy's two halves make, and delivers it when the network has brought it.

    Args:
        network: between them and the arm.
        handover: of chunks.
        timing: of the policy.
        seed: what delays and losses follow from.
    """

    every_tick = False  # frame by frame

    def __init__(self, network: Network, handover: Handover, timing: Timing, seed: tuple[int, ...]) -> None:
        hz = float(timing.control_hz)
        self._network, self._handover = network, handover
        self._generator = np.random.default_rng(seed)
        self._plans = Half(plan_time(), timing.plan_every_ticks, hz)
        self._chunks = Half(chunk_time(CHUNK_S), timing.act_every_ticks, hz)
        self._delay = DelayEstimate(hz, timing.max_prefix_ticks)
        self._plan: LatentPlan | None = None
        self._coming: tuple[int, LatentPlan] | None = None  # the tick from which a plan is there
        self.confidence = math.nan  # of the newest chunk

    def looks_at(self, tick: int) -> bool:
        return self._plans.asks(tick) or self._chunks.asks(tick)

    def plan_text(self) -> str:
        return self._plan.text if self._plan else ""

    def drive(
        self, tick: int, observation: Observation | None, controller: Controller
    ) -> Requests[int | None]:
        """Asks where it is due; returns the tick at which a new chunk has its first say."""
        if observation is None:
            return None
        self._plans.settle(tick)
        if (took := self._chunks.settle(tick)) is not None:
            self._delay.add(took)
        if self._coming and self._coming[0] <= tick:
            self._plan, self._coming = self._coming[1], None
        if self._plans.asks(tick):
            at = self._plans.ask(tick, self._network.answers_after(self._generator))
            if at is not None:
                self._coming = (at, (yield PolicyRequest(observation)))
        if self._plan is None or not self._chunks.asks(tick):
            return None
        at = self._chunks.ask(tick, self._network.answers_after(self._generator))
        if at is None:
            return None
        prefix = controller.committed_prefix(tick, self._delay.ticks() if self._handover.uses_prefix else 0)
        chunk = yield PolicyRequest(observation, self._plan, prefix)
        controller.submit(chunk, at)
        self.confidence = chunk.confidence
        return at
