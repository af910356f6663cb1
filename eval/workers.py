"""Runs independent jobs on several processes and hands the results back in the order of the jobs.

The order is what makes results independent of the number of workers. Processes are spawned, not forked:
each gets its own torch and its own GL context.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int, ray: str = ""
) -> Generator[Result]:
    """Yields `function(job)` for every job, in the jobs' order.

    Args:
        function: a module-level function; it, the jobs and the results must pickle.
        jobs: what to do; at most three jobs per worker are taken ahead of the results.
        workers: number of processes; 1 runs everything in this one.
        ray: address of a Ray cluster whose processors are the workers instead, see `ray_workers`.

    Raises:
        Whatever `function` raises, at that job's turn; later jobs are abandoned. Closing the iterator
        or interrupting it (Ctrl-C) ends the processes at once.
    """
    if ray:
        from ideomotor.eval.ray_workers import in_order_on_ray

        yield from in_order_on_ray(function, jobs, ray)
        return
    if workers <= 1:
        yield from map(function, jobs)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    pending: deque[Future[Result]] = deque()
    finished = False
    try:
        for job in jobs:
            pending.append(_submit_shielded(pool, function, job))
            if len(pending) >= 3 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        finished = True
    finally:
        if not finished:
            for process in multiprocessing.active_children():
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def in_order_grouped(
    function: Callable[[Sequence[Job]], Sequence[Result]],
    jobs: Iterable[Job],
    size: int,
    workers: int,
    ray: str = "",
) -> Generator[Result]:
    """As `in_order`, for a function of up to `size` jobs at a time that returns a result for each."""
    with closing(in_order(function, _groups(iter(jobs), size), workers, ray)) as groups:
        for results in groups:
            yield from results


def _groups(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    while group := list(islice(jobs, size)):
        yield group


def _submit_shielded(
    pool: ProcessPoolExecutor, function: Callable[[Job], Result], job: Job
) -> Future[Result]:
    """Submits with SIGINT blocked: a process started here inherits the mask, so Ctrl-C reaches us only."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _start_worker() -> None:
    """Keeps a worker to one core and ends it when its parent is killed."""
    for name in THREAD_LIMITS:
        os.environ[name] = "1"  # read by the numeric libraries when they are first imported
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
