"""Who drives an episode: the scripted expert, or a policy that is asked at its own pace.

A policy's driver is a generator that asks for plans and chunks and is given them, so that one batch can
answer several episodes (`batched_rollout`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ideomotor.control.chunk_handover import SYNC_TICKS, Handover
from ideomotor.control.controller import Controller
from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation, Policy, Watcher


@dataclass(frozen=True)
class PolicyRequest:
    """What an episode wants from its policy before it goes on: a plan, or the next chunk made from one."""

    observation: Observation
    plan: LatentPlan | None = None  # None: a plan is wanted
    prefix: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # (d, A) committed commands


Result = TypeVar("Result")
# Of an episode under way: is sent a LatentPlan or an ActionChunk, whichever it asked for.
Requests = Generator[PolicyRequest, Any, Result]


class ExpertDriver:
    """Feeds the expert's targets to the controller, `ahead` at a time."""

    def __init__(self, targets: Iterator[np.ndarray], hz: float, plan_text: Callable[[], str], ahead: int):
        self._targets = targets
        self._ahead = ahead
        self.every_tick = ahead == 1
        self._hz = hz
        self.plan_text = plan_text
        self.confidence = math.nan
        self._last: np.ndarray | None = None

    def looks_at(self, tick: int) -> bool:
        return False

    def drive(
        self, tick: int, observation: Observation | None, controller: Controller
    ) -> Requests[int | None]:
        yield from ()  # it asks nobody
        actions = [self._next() for _ in range(self._ahead)]
        time = tick / self._hz
        controller.submit(ActionChunk(np.array(actions, dtype=np.float32), self._hz, tick, time, time))
        return None  # consecutive pieces of one trajectory, not hand-overs

    def _next(self) -> np.ndarray:
        self._last = next(self._targets, self._last)  # a finished expert stays where it is
        if self._last is None:
            raise ValueError("the expert gave no target at all")
        return self._last


class PolicyDriver:
    """Asks for what a policy's two halves make, at their rates, and delivers it `delay` ticks later."""

    every_tick = False  # frame by frame

    def __init__(
        self, policy: Policy, handover: Handover, seed: int, delay: int, plan_every: int, act_every: int
    ):
        self._policy = policy
        self._handover = handover
        self._seed = seed
        self._delay = delay
        self._plan_every = plan_every
        self._act_every = act_every
        self._watch_every = policy.watch_every_ticks if isinstance(policy, Watcher) else 0
        self.confidence = math.nan  # of the newest chunk
        self._plan: LatentPlan | None = None
        self._coming: list[tuple[int, LatentPlan]] = []  # plans still being thought, with their tick

    def looks_at(self, tick: int) -> bool:
        watches = self._watch_every and tick % self._watch_every == 0
        return bool(watches) or tick % self._plan_every == 0 or tick % self._act_every == 0

    def plan_text(self) -> str:
        return self._plan.text if self._plan else ""

    @property
    def newest_plan(self) -> LatentPlan | None:
        """That is in force."""
        return self._plan

    def drive(
        self, tick: int, observation: Observation | None, controller: Controller
    ) -> Requests[int | None]:
        """Thinks where it is due; returns the tick at which a new chunk has its first say."""
        if observation is None:
            return None
        if self._watch_every and tick % self._watch_every == 0:
            assert isinstance(self._policy, Watcher)
            self._policy.watch(observation)
        if tick % self._plan_every == 0:
            self._coming.append((tick + self._delay, (yield PolicyRequest(observation))))
        while self._coming and (self._coming[0][0] <= tick or self._plan is None):
            self._plan = self._coming.pop(0)[1]  # the first chunk takes the first plan at once
        if tick % self._act_every or self._plan is None:
            return None
        if self._handover.waits and self._delay:
            yield from self._stop_and_think(tick, observation, self._plan, controller)
        else:
            prefix = controller.committed_prefix(tick, self._delay if self._handover.uses_prefix else 0)
            chunk = yield PolicyRequest(observation, self._plan, prefix)
            controller.submit(chunk, tick + self._delay)
            self.confidence = chunk.confidence
        return tick + self._delay

    def _stop_and_think(
        self, tick: int, observation: Observation, plan: LatentPlan, controller: Controller
    ) -> Requests[None]:
        """After the delay the arm executes a part of the chunk, and stands at its end for the next delay."""
        if tick:
            self._policy.reset(self._seed + tick)  # what was sent before no longer leads to here
        chunk: ActionChunk = yield PolicyRequest(observation, plan, controller.committed_prefix(tick, 0))
        self.confidence = chunk.confidence
        executed = chunk.actions[: self._act_every - self._delay]
        embodiment = controller.embodiment
        stand = (
            executed[-1:]
            if embodiment.commands != "deltas"
            else embodiment.home_position[None].astype(executed.dtype)
        )
        actions = np.concatenate([executed, np.repeat(stand, self._delay, axis=0)])
        controller.submit(dataclasses.replace(chunk, starts_at=tick + self._delay, actions=actions))


def paces(timing: Timing, frame_ticks: int, delay_ticks: int, method: Handover) -> tuple[int, int]:
    """Ticks between plans and between chunks. UserError for a delay that the policy cannot be given."""
    if delay_ticks > timing.max_prefix_ticks:
        raise UserError(
            f"delay: got {delay_ticks} ticks, expected at most the policy's {timing.max_prefix_ticks}"
        )
    plan_every, act_every = timing.plan_every_ticks, timing.act_every_ticks
    if plan_every % frame_ticks or act_every % frame_ticks:
        raise UserError(
            f"timing: got {plan_every} and {act_every} ticks, expected multiples of {frame_ticks}"
        )
    busy = -(-delay_ticks // frame_ticks) * frame_ticks  # a half of the policy does one thing at a time
    act_every = max(act_every, SYNC_TICKS) + busy if method.waits and busy else max(act_every, busy)
    return max(plan_every, busy), act_every
