"""Jobs for test_workers.py, importable by the processes it starts."""

import os
import time


def slow_when_early(job: int) -> tuple[int, int]:
    time.sleep(0.05 if job == 0 else 0.0)
    return job, os.getpid()


def fail_at_two(job: int) -> int:
    if job == 2:
        raise OSError("the simulator broke")
    return job


def die(job: int) -> int:
    os._exit(9)
