"""Runs independent jobs on processes, here or on a Ray cluster, and hands the results back in their order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TypeVar

from ideomotor.control.worker_pool import in_processes

Job = TypeVar("Job")
Result = TypeVar("Result")


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
    elif workers <= 1:
        yield from map(function, jobs)
    else:
        yield from in_processes(function, jobs, workers)


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
