"""What a server does for one connection: reads its messages, asks the networks, answers.

Requests of ours are answered as they become ready: a plan does not wait for a chunk. One of openpi's is a
plan and a chunk in one, answered before the next is read, as its clients expect.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.launch.serving.batching import Batcher, Dropped, Request
from ideomotor.launch.serving.fields import FieldError, Fields
from ideomotor.launch.serving.messages import (
    chunk_map,
    is_sealed,
    plan_map,
    read_observation,
    read_plan,
    seal,
    unseal,
)
from ideomotor.launch.serving.metrics import Metrics
from ideomotor.launch.serving.openpi import KeyMap, openpi_reply, read_openpi
from ideomotor.launch.serving.packing import pack, unpack
from ideomotor.launch.serving.served_policy import CHUNK, PLAN, ClientEpisode, ServedPolicy

OURS, OPENPI = "ideomotor", "openpi"
LOG = logging.getLogger(__name__)
MAX_TASKS = 32  # answers of a client that does not read them; it is then not read from either


class ClientSession:
    """One connection.

    Args:
        number: of the client.
        served: the policy.
        batchers: its networks' threads.
        metrics: counted into.
        keys: of openpi's clients.
        send: writes a message.
        loop: of the server.
    """

    def __init__(
        self,
        number: int,
        served: ServedPolicy,
        batchers: Mapping[str, Batcher],
        metrics: Metrics,
        keys: KeyMap,
        send: Callable[[bytes | str], Awaitable[None]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._number, self._served, self._batchers = number, served, batchers
        self._metrics, self._keys, self._send, self._loop = metrics, keys, send, loop
        self._sizes = served.sizes
        self._episode = ClientEpisode(served)
        self._speaks_ours = False
        self._previous_ms = 0.0  # that the last answer to openpi's client took
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, data: bytes | str, at: float) -> None:
        """Answers a message, at once or when it is ready.

        Args:
            at: when it came [s].
        """
        try:
            if isinstance(data, str):
                raise FieldError("message", "message: a text frame, expected a binary one of msgpack")
            message = unpack(data)
            if not is_sealed(message):
                await self._answer_openpi(message, at)
                return
            self._speaks_ours = True
            fields = unseal(message)
            await self._answer_ours(fields, at)
        except UserError as error:
            await self._refuse(None, "unknown", error)
        except Exception as error:  # a defect of ours: this client gets an error, the others go on
            LOG.exception("a message could not be answered")
            await self._refuse(None, "unknown", UserError(f"message: {type(error).__name__} in the server"))

    def close(self) -> None:
        """The client is gone."""
        for batcher in self._batchers.values():
            batcher.forget(self._number)
        for task in self._tasks:
            task.cancel()

    async def _answer_ours(self, fields: Fields, at: float) -> None:
        number, kind = None, "unknown"
        try:
            number = fields.whole("id")
            kind = fields.text("type")
            if kind == "reset":
                self._episode.reset(fields)
                self._metrics.requests.labels(OURS, kind, "ok").inc()
                await self._send(seal({"type": "done", "id": number}))
                return
            request = self._request(kind, fields)
        except UserError as error:
            await self._refuse(number, kind, error)
            return
        if len(self._tasks) >= MAX_TASKS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = self._loop.create_task(self._answer(number, kind, request, at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _request(self, kind: str, fields: Fields) -> Callable[..., tuple[str, Request]]:
        """What makes (the network's name, the request) of a message, which is read to its end."""
        if kind not in (PLAN, "act"):
            raise fields.error("type", repr(kind[:40]), "reset, plan or act")
        observation = read_observation(fields.fields("observation"), self._sizes)
        milliseconds = fields.number("deadline_ms") if "deadline_ms" in fields else float("inf")
        deadline = time.monotonic() + milliseconds / 1000
        if kind == PLAN:
            fields.end()
            return lambda deliver: (
                PLAN,
                self._episode.plan_request(self._number, observation, deliver=deliver, deadline=deadline),
            )
        plan = read_plan(fields.fields("plan"), self._sizes.plan)
        prefix = fields.array("committed_prefix", (None, self._sizes.joints))
        if len(prefix) > self._served.timing.max_prefix_ticks:
            most = self._served.timing.max_prefix_ticks
            raise fields.error("committed_prefix", f"{len(prefix)} ticks", f"at most {most}")
        fields.end()
        return lambda deliver: (
            CHUNK,
            self._episode.chunk_request(
                self._number, observation, plan, prefix, deliver=deliver, deadline=deadline
            ),
        )

    async def _answer(
        self, number: int, kind: str, make: Callable[..., tuple[str, Request]], at: float
    ) -> None:
        """Asks the network, and sends what it says."""
        answer, request = await self._asked(make)
        head: dict[str, Any] = {"id": number}
        if isinstance(answer, UserError):
            await self._refuse(number, kind, answer)
            return
        if isinstance(answer, Dropped):
            self._metrics.requests.labels(OURS, kind, "dropped").inc()
            await self._send(seal({"type": "dropped", **head, "reason": answer.reason}))
            return
        queue_s, infer_s = request.begun_at - request.asked_at, request.answered_at - request.begun_at
        head["timing_ms"] = {"queue": 1000 * queue_s, "infer": 1000 * infer_s, "batch": request.others + 1}
        made = {"plan": plan_map(answer)} if kind == PLAN else {"chunk": chunk_map(answer)}
        name = PLAN if kind == PLAN else CHUNK
        before = time.monotonic()
        await self._send(seal({"type": name, **head, **made}))
        self._count(OURS, name, request.asked_at - at, before)

    async def _answer_openpi(self, message: Any, at: float) -> None:
        """A plan, a chunk made from it, and both in one answer."""
        seen = read_openpi(message, self._sizes, self._keys, float(self._served.timing.control_hz))
        if not self._served.has_decoder:
            raise UserError("message: this server has the interpreter alone, which makes no actions")
        episode, client = self._episode, self._number
        plan, planned = await self._asked(
            lambda deliver: (PLAN, episode.plan_request(client, seen, deliver=deliver))
        )
        if not isinstance(plan, LatentPlan):
            raise plan if isinstance(plan, UserError) else UserError(f"message: {plan.reason}")
        chunk, request = await self._asked(lambda deliver: (CHUNK, self._chunk_request(seen, plan, deliver)))
        if isinstance(chunk, UserError | Dropped):
            raise chunk if isinstance(chunk, UserError) else UserError(f"message: {chunk.reason}")
        infer_ms = 1000 * sum(each.answered_at - each.begun_at for each in (planned, request))
        before = time.monotonic()
        total_ms = 1000 * (before - at)
        await self._send(pack(openpi_reply(chunk, plan, infer_ms, total_ms, self._previous_ms)))
        self._previous_ms = 1000 * (time.monotonic() - at)
        self._count(OPENPI, "infer", planned.asked_at - at, before)

    def _chunk_request(
        self, seen: Observation, plan: LatentPlan, deliver: Callable[[Request, Any], None]
    ) -> Request:
        none = np.empty((0, self._sizes.joints))
        return self._episode.chunk_request(self._number, seen, plan, none, deliver=deliver)

    async def _asked(self, make: Callable[..., tuple[str, Request]]) -> tuple[Any, Request]:
        """What a network answers, and the request with its times."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def deliver(_: Request, answer: Any) -> None:
            self._loop.call_soon_threadsafe(functools.partial(_settle, answered, answer))

        name, request = make(deliver)
        if name not in self._batchers:
            return UserError("type: this server has the interpreter alone, which makes no chunks"), request
        self._batchers[name].submit(request)
        answer = await answered
        if not isinstance(answer, UserError | Dropped):
            self._stage(name, "queue", request.begun_at - request.asked_at)
            self._stage(name, "infer", request.answered_at - request.begun_at)
        return answer, request

    async def _refuse(self, number: int | None, kind: str, error: UserError) -> None:
        """Says what is wrong, in the protocol that the client speaks."""
        said = " ".join(str(error).split())
        ours = self._speaks_ours
        known = kind if kind in (PLAN, "act", "reset") else "unknown"
        self._metrics.requests.labels(OURS if ours else OPENPI, known, "refused").inc()
        if not ours:
            await self._send(f"error: {said}")
            return
        field = error.field if isinstance(error, FieldError) else said.partition(":")[0]
        await self._send(seal({"type": "error", "id": number, "field": field[:200], "message": said}))

    def _count(self, protocol: str, kind: str, read_s: float, before: float) -> None:
        """One answered request.

        Args:
            read_s: until the network was asked [s].
            before: when its answer began to be written [s].
        """
        self._metrics.requests.labels(protocol, kind, "ok").inc()
        self._stage(kind, "read", read_s)
        self._stage(kind, "write", time.monotonic() - before)

    def _stage(self, kind: str, stage: str, seconds: float) -> None:
        self._metrics.stage_s.labels(kind, stage).observe(max(seconds, 0.0))


def _settle(answered: asyncio.Future[Any], answer: Any) -> None:
    if not answered.done():
        answered.set_result(answer)
