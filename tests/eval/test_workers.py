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
