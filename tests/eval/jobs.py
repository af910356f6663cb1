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


def large(job: bytes) -> bytes:
    return bytes(len(job) // 2) + job


def slow_and_large(job: int) -> bytes:
    time.sleep(0.02)
    return bytes(3_000_000)


def not_to_be_sent(job: int) -> object:
    if job == 1:
        error = ValueError("with what no pickle holds")
        error.what = lambda: None  # type: ignore[attr-defined]
        raise error
    return lambda: job


def threads(job: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")
