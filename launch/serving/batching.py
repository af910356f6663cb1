"""One network, asked by several clients: a thread that answers the most urgent requests as one batch.

A request that waits is dropped when the same client asks again (the newest counts), when it is gone, or when
the time that it was wanted by has passed. Requests of other clients that are alike are answered together; the
thread waits for them a little, but never for a client that has not asked lately: one alone never waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ideomotor.control.errors import UserError

LATELY_S = 1.0  # a client that asked within this is expected to ask again
SHARE = 0.2  # of the newest measurement in what a batch is thought to take


@dataclass(frozen=True)
class Dropped:
    """Instead of an answer."""

    reason: str  # "superseded", "late" or "gone"


@dataclass(eq=False)
class Request:
    """What one client wants of the network."""

    client: Hashable
    alike: Hashable  # what can be answered as one batch has this in common
    given: Any  # what the network's function is given of it
    deliver: Callable[[Request, Any], None]  # called in the thread with an answer, a Dropped or a UserError
    deadline: float = float("inf")  # [s] of `clock`
    asked_at: float = 0.0  # [s]
    begun_at: float = 0.0  # [s]
    answered_at: float = 0.0  # [s]
    others: int = 0  # answered with it


@dataclass(frozen=True)
class Network:
    """What a thread runs."""

    name: str
    check: Callable[[Any], None]  # raises UserError for what is given wrongly, so that it spoils no batch
    answer: Callable[[Sequence[Any]], Sequence[Any]]  # of what is given, all alike
    begin: Callable[[], None] = lambda: None  # called once in the thread


@dataclass
class _Estimate:
    """How long a batch takes [s]."""

    value: float = 0.0

    def add(self, seconds: float) -> None:
        self.value = seconds if not self.value else (1 - SHARE) * self.value + SHARE * seconds


@dataclass
class Batcher:
    """The thread.

    Args:
        network: asked.
        max_batch: requests at once.
        wait_s: for others [s].
        observe: called with each batch's size and each dropped request's reason.
    """

    network: Network
    max_batch: int = 16
    wait_s: float = 0.003
    observe: Callable[[int, str], None] = lambda size, reason: None
    clock: Callable[[], float] = time.monotonic
    _waiting: list[Request] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _asked: dict[Hashable, float] = field(default_factory=dict)  # {client: when it last did}
    _ended: bool = False
    _takes: _Estimate = field(default_factory=_Estimate)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.network.name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Drops what waits; returns when the batch under way is done."""
        with self._changed:
            self._ended = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify()
        for request in waiting:
            self._drop(request, "gone")
        if self._thread is not None:
            self._thread.join()

    @property
    def depth(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def submit(self, request: Request) -> None:
        """Takes a request in; one of the same client that still waits is superseded."""
        request.asked_at = self.clock()
        with self._changed:
            older = [each for each in self._waiting if each.client == request.client]
            self._waiting = [each for each in self._waiting if each.client != request.client]
            if not self._ended:
                self._waiting.append(request)
            self._asked[request.client] = request.asked_at
            self._changed.notify()
        for each in older:
            self._drop(each, "superseded")
        if self._ended:
            self._drop(request, "gone")

    def forget(self, client: Hashable) -> None:
        """A client is gone: what waits of it is dropped."""
        with self._changed:
            older = [each for each in self._waiting if each.client == client]
            self._waiting = [each for each in self._waiting if each.client != client]
            self._asked.pop(client, None)
        for each in older:
            self._drop(each, "gone")

    def take(self) -> tuple[list[Request], list[Request], float]:
        """(a batch to answer now, late requests to drop, else how long to wait [s]). With the lock held.

        The batch is that of the most urgent request: the one with the earliest deadline, and of those without
        one the oldest.
        """
        now = self.clock()
        late = [each for each in self._waiting if each.deadline < now]
        self._waiting = [each for each in self._waiting if each not in late]
        if not self._waiting:
            return [], late, float("inf")
        first = min(self._waiting, key=lambda each: (each.deadline, each.asked_at))
        alike = [each for each in self._waiting if each.alike == first.alike]
        alike.sort(key=lambda each: (each is not first, each.asked_at))
        batch = alike[: self.max_batch]
        until = min(first.asked_at + self.wait_s, first.deadline - 2 * self._takes.value)
        if len(batch) < min(self.max_batch, self._expected(now)) and now < until:
            return [], late, until - now
        self._waiting = [each for each in self._waiting if each not in batch]
        return batch, late, 0.0

    def _expected(self, now: float) -> int:
        """How many clients ask at present."""
        self._asked = {client: at for client, at in self._asked.items() if now - at < LATELY_S}
        return len(self._asked)

    def _run(self) -> None:
        self.network.begin()
        while True:
            with self._changed:
                batch, late, wait_s = self.take()
                while not batch and not late and not self._ended:
                    self._changed.wait(None if wait_s == float("inf") else wait_s)
                    batch, late, wait_s = self.take()
                ended = self._ended
            for each in late:
                self._drop(each, "late")
            if batch:
                self._answer(batch)
            elif ended:
                return

    def _answer(self, batch: list[Request]) -> None:
        begun = self.clock()
        right: list[Request] = []
        for request in batch:
            request.begun_at = begun
            try:
                self.network.check(request.given)
                right.append(request)
            except UserError as error:
                request.answered_at = self.clock()
                request.deliver(request, error)
        answers = self._answers(right)
        now = self.clock()
        if right:
            self._takes.add(now - begun)
            self.observe(len(right), "")
        for request, answer in zip(right, answers, strict=True):
            request.answered_at, request.others = now, len(right) - 1
            request.deliver(request, answer)

    def _answers(self, requests: list[Request]) -> list[Any]:
        """Of all together; one by one where that fails, so that each has its own error."""
        if not requests:
            return []
        try:
            return list(self.network.answer([each.given for each in requests]))
        except Exception as error:
            if len(requests) > 1:
                return [self._answers([each])[0] for each in requests]
            return [error if isinstance(error, UserError) else _Defect(self.network.name, error)]

    def _drop(self, request: Request, reason: str) -> None:
        self.observe(0, reason)
        request.deliver(request, Dropped(reason))


class _Defect(UserError):
    """Something that should not happen: the client gets an error, the server goes on."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        self.__cause__ = error
