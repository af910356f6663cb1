import multiprocessing
import os
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from ideomotor.eval.workers import in_order


@pytest.fixture
def jobs(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import jobs

    return jobs


def test_results_come_in_the_order_of_the_jobs_from_other_processes(jobs):
    results = list(in_order(jobs.slow_when_early, range(12), workers=2))
    assert [job for job, _ in results] == list(range(12))
    assert os.getpid() not in {pid for _, pid in results}


def test_one_worker_is_this_process(jobs):
    assert [pid for _, pid in in_order(jobs.slow_when_early, range(3), workers=1)] == [os.getpid()] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_at_its_jobs_turn(workers, jobs):
    done = []
    with pytest.raises(OSError, match="the simulator broke"):
        for result in in_order(jobs.fail_at_two, range(100), workers):
            done.append(result)
    assert done == [0, 1]


def test_a_worker_that_dies_is_an_error(jobs):
    with pytest.raises(BrokenExecutor):
        list(in_order(jobs.die, range(3), workers=2))


def test_jobs_are_taken_lazily(jobs):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield taken[-1]

    results = in_order(jobs.slow_when_early, endless(), workers=2)
    next(results)
    results.close()
    assert len(taken) <= 7


def test_jobs_and_results_may_be_larger_than_a_pipe_holds(jobs):
    given = [bytes([number]) * 1_000_000 for number in range(7)]
    assert list(in_order(jobs.large, given, workers=2)) == [bytes(500_000) + job for job in given]


def test_what_cannot_be_sent_back_is_an_error_that_says_so(jobs):
    with pytest.raises(Exception, match="[Pp]ickle"):
        list(in_order(jobs.not_to_be_sent, [0], workers=2))
    with pytest.raises(RuntimeError, match="ValueError: with what no pickle holds"):
        list(in_order(jobs.not_to_be_sent, [1], workers=2))


def test_a_worker_has_one_thread(jobs, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert list(in_order(jobs.threads, range(2), workers=2)) == ["1", "1"]


def test_closing_in_the_middle_of_large_results_ends_every_process(jobs):
    """Killed while it sends, a worker leaves half a result, whose rest nobody must wait for."""
    for number in range(4):
        before = set(multiprocessing.active_children())
        results = in_order(jobs.slow_and_large, range(100), workers=2)
        for _ in range(1 + number):
            next(results)
        results.close()
        assert set(multiprocessing.active_children()) <= before
