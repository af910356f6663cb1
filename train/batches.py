"""Batches that a thread makes ahead, and how fast a training gets through them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import torch

BatchAt = Callable[[int], Any]


class Batches:
    """The batches of consecutive steps, each made by a thread while the step before computes."""

    def __init__(self, batch_at: BatchAt, step: int):
        # A thread has a thread count of its own, which it would otherwise take from the number of cores.
        threads = (torch.get_num_threads(),)
        self._thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=threads)
        self._batch_at, self._step = batch_at, step
        self._coming = self._thread.submit(batch_at, step)
        self.waited = 0.0  # [s] for batches, in all

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown()

    def take(self) -> Any:
        """The next one."""
        asked = time.monotonic()
        batch = self._coming.result()
        self.waited += time.monotonic() - asked
        self._step += 1
        self._coming = self._thread.submit(self._batch_at, self._step)
        return batch

    def settle(self) -> None:
        """Returns when the thread rests: it may use what examining and judging use."""
        wait([self._coming])


class Meter:
    """What the rates among the figures are over: the steps since the last figures."""

    def __init__(self, batches: Batches, step: int, samples: int):
        self._batches, self._samples = batches, samples
        self.restart(step)

    def restart(self, step: int) -> None:
        """Counts from here."""
        self._step, self._since, self._waited = step, time.monotonic(), self._batches.waited

    def rates(self, step: int) -> dict[str, float]:
        """Samples a second, and the share of the time that was waited for batches; counts from here again."""
        took, waited = time.monotonic() - self._since, self._batches.waited - self._waited
        done = step - self._step
        self.restart(step)
        if not done:
            return {}
        return {"samples_per_s": done * self._samples / took, "loader_share": waited / took}
