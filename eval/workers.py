"""Runs independent jobs on processes, here or on a Ray cluster (extra `ray`), results in the jobs' order.

Ray runs a job again when its worker or its machine dies, on another one; results are taken by job, so none is
lost or doubled. Jobs are deterministic, so it does not matter where, or how often, one ran. Every machine
needs the same release of this package, and what jobs name by path (a checkpoint) under the same path.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from types import ModuleType
from typing import Any, TypeVar

from ideomotor.control.errors import UserError
from ideomotor.control.worker_pool import THREAD_LIMITS, in_processes

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT_S = 5.0  # that a Ray cluster is given to answer
RETRIES = 10  # times that a job's worker may die


def in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int, ray: str = ""
) -> Generator[Result]:
    """Yields `function(job)` for every job, in the jobs' order.

    Args:
        function: a module-level function; it, the jobs and the results must pickle.
        jobs: what to do; at most three jobs per worker are taken ahead of the results.
        workers: number of processes; 1 runs everything in this one.
        ray: address of a Ray cluster whose processors are the workers instead, see `in_order_on_ray`.

    Raises:
        Whatever `function` raises, at that job's turn; later jobs are abandoned. Closing the iterator
        or interrupting it (Ctrl-C) ends the processes at once.
    """
    if ray:
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
    with contextlib.closing(in_order(function, _groups(iter(jobs), size), workers, ray)) as groups:
        for results in groups:
            yield from results


def _groups(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    while group := list(islice(jobs, size)):
        yield group


def in_order_on_ray(
    function: Callable[[Job], Result], jobs: Iterable[Job], address: str
) -> Generator[Result]:
    """Yields `function(job)` for every job, in the jobs' order, computed on the cluster's processors.

    Args:
        function: a module-level function, or a partial one of it; it, the jobs and the results must pickle.
        jobs: what to do; at most three jobs per processor are taken ahead of the results.
        address: of the cluster: HOST:PORT, ray://HOST:PORT, or auto for the one that runs on this machine.

    Raises:
        UserError: there is no Ray, or no cluster.
        RuntimeError: the workers that a job was given to died again and again.
        Whatever `function` raises, at that job's turn; later jobs are abandoned, as they are when the
            iterator is closed or interrupted.
    """
    ray = _ray()

    def run(job: Job) -> Result:
        return function(job)

    with _connected(ray, address):
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(run)
        pending: deque[Any] = deque()
        try:
            for job in jobs:
                pending.append(remote.remote(job))
                if len(pending) >= 3 * max(1, int(ray.cluster_resources().get("CPU", 1))):
                    yield _result(ray, pending.popleft())
            while pending:
                yield _result(ray, pending.popleft())
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)


def _result(ray: ModuleType, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # raised by the function
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"the workers of a job died {RETRIES + 1} times: {error}") from error


@contextlib.contextmanager
def _connected(ray: ModuleType, address: str) -> Generator[None]:
    try:
        if address != "auto":  # Ray itself would wait for minutes
            _, colon, port = address.rpartition(":")
            host = address.removeprefix("ray://").removesuffix(colon + port)
            socket.create_connection((host, int(port)), CONNECT_S).close()
        one_thread = {"env_vars": dict.fromkeys(THREAD_LIMITS, "1")}
        ray.init(address, runtime_env=one_thread, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        expected = "a running cluster's HOST:PORT, ray://HOST:PORT or auto"
        raise UserError(f"ray: got {address!r}, expected {expected} ({reason})") from error
    try:
        yield
    finally:
        ray.shutdown()


def _ray() -> ModuleType:
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError:
        raise UserError("ray: needs the extra 'ray': pip install 'ideomotor[ray]'") from None
    return ray
