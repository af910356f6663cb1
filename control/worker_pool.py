"""Runs independent jobs in processes and hands the results back in the order of the jobs.

The order is what makes results independent of the number of workers. Processes are spawned, not forked: each
gets its own torch and its own GL context. None of them outlives the pool, however it ends: a Ctrl-C reaches
the parent alone, which then kills them, and they end by themselves when the parent was killed.

Not `concurrent.futures`: its pool waits for ever for the rest of a result whose sender was killed.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

from ideomotor.control.interrupts import shielded, uninterrupted

Job = TypeVar("Job")
Result = TypeVar("Result")

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
AHEAD = 3  # jobs for each worker that are taken ahead of the results
SMALL = 16_384  # [bytes] a job of which a pipe has room for, so that it can wait there while another is done
END_S = 5.0  # that an idle worker may take to end


def in_processes(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Generator[Result]:
    """Yields `function(job)` for every job, in the jobs' order.

    Args:
        function: a module-level function; it, the jobs and the results must pickle.
        jobs: what to do; at most three jobs per worker are taken ahead of the results.
        workers: number of processes.

    Raises:
        BrokenExecutor: a process died.
        Whatever `function` raises, at that job's turn; later jobs are abandoned. Closing the iterator or
            interrupting it (Ctrl-C) kills the processes at once, in the middle of their jobs.
    """
    team: list[_Worker] = []
    done: dict[int, tuple[Any, Exception | None, str]] = {}
    source = map(ForkingPickler.dumps, jobs)
    waiting, given, finished = next(source, None), 0, False  # the next job, and how many there were before it
    try:
        for turn in count():
            while turn not in done:
                while waiting is not None and given - turn < AHEAD * workers:
                    worker = _free(team, workers, function, small=len(waiting) < SMALL)
                    if worker is None:
                        break
                    worker.give(given, waiting)
                    waiting, given = next(source, None), given + 1
                busy = {worker.connection: worker for worker in team if worker.given}
                if not busy:
                    finished = True
                    return
                for connection in wait(list(busy)):
                    number, outcome = busy[connection].take()  # type: ignore[index]
                    done[number] = outcome
            result, error, where = done.pop(turn)
            if error is not None:
                raise error from _RemoteError(where)
            yield result
    finally:
        with uninterrupted():  # a second Ctrl-C waits for what the first one began
            for worker in team:
                worker.end(at_once=not finished)


class _RemoteError(Exception):
    """The traceback of an error in another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Worker:
    """A process, and the numbers of the jobs that it has been given."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.given: list[int] = []
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        try:
            with uninterrupted(), shielded():  # a process that is half started would be nobody's
                self._process.start()
                theirs.close()
            self.connection.send(function)
        except BaseException:
            self.end(at_once=True)
            raise

    def give(self, number: int, job: memoryview) -> None:
        """A pickled job, to be done when those before it are."""
        self.given.append(number)
        try:
            self.connection.send_bytes(job)
        except OSError:
            raise self._broken() from None

    def take(self) -> tuple[int, tuple[Any, Exception | None, str]]:
        """Number of the job that was given first, and its result, error and traceback."""
        try:
            outcome = self.connection.recv()
        except (EOFError, OSError):
            raise self._broken() from None
        return self.given.pop(0), outcome

    def end(self, at_once: bool) -> None:
        if at_once:
            self._process.kill()
        self.connection.close()
        self._process.join(END_S)
        self._process.kill()
        self._process.join()

    def _broken(self) -> BrokenExecutor:
        self._process.join(1.0)
        return BrokenExecutor(f"a worker process has died (exit code {self._process.exitcode})")


def _free(team: list[_Worker], workers: int, function: Callable[[Any], Any], small: bool) -> _Worker | None:
    """A worker for the next job: an idle one, a new one, or for a small job one that is at its last.

    A job that does not fit into a pipe is not sent to a worker that may be sending a result.
    """
    least = min(team, key=lambda worker: len(worker.given), default=None)
    if (least is None or least.given) and len(team) < workers:
        team.append(_Worker(function))
        return team[-1]
    return least if least is not None and len(least.given) < 1 + small else None


def _work(connection: Connection) -> None:
    """A worker, of one core: does what comes, until nothing more will."""
    for name in THREAD_LIMITS:
        os.environ[name] = "1"  # read by the numeric libraries, which load with the function
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        function = connection.recv()
    except EOFError:
        os._exit(1)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            os._exit(0)
        try:
            data = ForkingPickler.dumps((function(job), None, ""))
        except Exception as error:
            where = traceback.format_exc()
            try:
                data = ForkingPickler.dumps((None, error, where))
            except Exception:  # what cannot be sent is said
                data = ForkingPickler.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), where))
        connection.send_bytes(data)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
