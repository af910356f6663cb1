"""A policy behind a server of ours: `control.types.Policy` over a link.

In an evaluation every answer is waited for, and the rows are those of the policy here, to the bit. While an
arm is driven an answer is waited for no longer than it is of use, and without one `NoAnswer` says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ideomotor.control.answer_time import AnswerTime, chunk_time, plan_time
from ideomotor.control.errors import NoAnswer, UserError
from ideomotor.control.timing import Timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.launch.serving.fields import FieldError, Fields
from ideomotor.launch.serving.link import Link
from ideomotor.launch.serving.messages import (
    chunk_map,
    observation_map,
    plan_map,
    read_chunk,
    read_plan,
)

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import DrivingPolicy

Read = TypeVar("Read")
ALWAYS_S = 120.0  # for an answer in an evaluation: a server on a slow machine may be busy with others


class RemotePolicy:
    """Implements `control.types.Policy` by asking a server.

    Args:
        link: to it.
        timing: of the policy.
        horizon: of its chunks [ticks].
        sampling: how chunks are to be drawn, where not as the checkpoint says; fields of a `reset`.
        jpeg: quality of pictures; None sends them as they are.
        live: an arm is driven.
        calibrated: whether its confidence is a chance of success.
    """

    def __init__(
        self,
        link: Link,
        timing: Timing,
        horizon: int,
        sampling: Mapping[str, Any],
        jpeg: int | None,
        live: bool,
        calibrated: bool = False,
    ) -> None:
        self.calibrated = calibrated
        self._link, self._timing, self._jpeg, self._live = link, timing, jpeg, live
        self._sampling = dict(sampling)
        self._without: tuple[str, ...] = ()
        self._seed = 0
        self._begun: Any = None  # the websocket through which the episode was begun
        self._plan_time = plan_time()
        self._chunk_time = chunk_time(horizon / timing.control_hz)
        if not live:
            self._reset()  # what cannot be had so is refused now

    @property
    def timing(self) -> Timing:
        return self._timing

    def run_without(self, senses: Iterable[str]) -> None:
        """As `EpisodePolicy.run_without`. UserError for an unknown sense."""
        self._without = tuple(sorted(senses))
        self._reset()

    def reset(self, seed: int) -> None:
        self._seed = seed
        self._reset()

    def plan(self, observation: Observation) -> LatentPlan:
        """UserError for an observation that the policy cannot use, NoAnswer if none came in time."""
        answer = self._asked({"type": "plan", "observation": self._sent(observation)}, self._plan_time)
        plan = _whole(lambda: read_plan(answer.fields("plan")))
        if plan.observed_at != observation.time:
            raise NoAnswer("policy: a plan of another moment came")
        return plan

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        """As `plan`."""
        prefix = np.asarray(committed_prefix)
        body = {
            "type": "act",
            "observation": self._sent(observation),
            "plan": plan_map(plan),
            "committed_prefix": prefix.reshape(len(prefix), len(observation.state))
            if not prefix.size
            else prefix,
        }
        answer = self._asked(body, self._chunk_time)
        chunk = _whole(lambda: read_chunk(answer.fields("chunk"), prefix.shape[1]))
        if not _continues(chunk, observation, prefix, self._timing):
            raise NoAnswer("policy: a chunk of another moment came")
        return chunk

    def _sent(self, observation: Observation) -> dict[str, Any]:
        return observation_map(observation, self._jpeg)

    def _asked(self, body: dict[str, Any], expected: AnswerTime) -> Fields:
        if not self._live:
            return self._link.ask(body, ALWAYS_S)
        seconds, began = expected.seconds(), time.monotonic()
        try:
            socket = self._link.present()
            if self._begun is not socket:
                self._link.post(self._beginning(), socket)
                self._begun = socket
            answer = self._link.ask({**body, "deadline_ms": 1000 * seconds}, seconds, socket)
        except NoAnswer:
            if time.monotonic() - began >= seconds:
                expected.missed()
            raise
        except UserError as error:
            if "damaged" in str(error):
                raise NoAnswer(str(error)) from None
            raise
        expected.add(time.monotonic() - began)
        return answer

    def _reset(self) -> None:
        """Begins an episode: at once where every answer counts, else with the next request."""
        if self._live:
            self._begun = None
        else:
            self._link.ask(self._beginning(), ALWAYS_S)

    def _beginning(self) -> dict[str, Any]:
        return {"type": "reset", "seed": self._seed, "without": list(self._without), **self._sampling}


class SplitPolicy:
    """Implements `control.types.Policy`: plans come from one policy, chunks from another of its weights."""

    def __init__(self, planner: DrivingPolicy, actor: DrivingPolicy) -> None:
        self._planner, self._actor = planner, actor

    @property
    def timing(self) -> Timing:
        return self._actor.timing

    def run_without(self, senses: Iterable[str]) -> None:
        senses = list(senses)
        self._planner.run_without(senses)
        self._actor.run_without(senses)

    def reset(self, seed: int) -> None:
        self._planner.reset(seed)
        self._actor.reset(seed)

    def plan(self, observation: Observation) -> LatentPlan:
        return self._planner.plan(observation)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        return self._actor.act(observation, plan, committed_prefix)


def _whole(read: Callable[[], Read]) -> Read:
    """What is read of an answer; NoAnswer where it is not as it should be."""
    try:
        return read()
    except FieldError as error:
        raise NoAnswer(f"policy: an answer came that is none ({error})") from None


def _continues(chunk: ActionChunk, observation: Observation, prefix: np.ndarray, timing: Timing) -> bool:
    """Whether a chunk was made from this observation, behind these commands."""
    head = chunk_map(chunk)["actions"][: len(prefix)]
    return (
        chunk.starts_at == observation.tick
        and chunk.observed_at == observation.time
        and chunk.hz == timing.control_hz
        and len(chunk.actions) > len(prefix)
        and np.array_equal(head, prefix.astype(np.float32).reshape(head.shape))
    )
