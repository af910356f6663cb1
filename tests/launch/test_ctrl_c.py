"""Ctrl-C while modules load, and while other processes work: one line, exit code 130, and nothing is left.

Nothing here ends by the clock: what hangs is ended by pytest's own time-out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Interrupts the process as it looks for its nth module: the same moment on a fast and on a busy machine. Its
# own counter's modules, Python's own and those before `launch/__main__.py` are none of the program's.
INTERRUPTER = """
import os, signal, sys

class Interrupter:
    left, begun = int(os.environ["INTERRUPT_AT"]), False
    def find_spec(self, name, path=None, target=None):
        if os.getpid() == os.getpgid(0) and (self.begun or name == "ideomotor.launch.cli"):
            self.begun = True
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
"""


def alive(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def data(ideomotor, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "data"
    assert ideomotor("record", "reach", "--episodes", 1, "--out", out).returncode == 0
    return out


@pytest.fixture
def started(tmp_path: Path):
    """started(arguments…) runs the command as the program does, in a session that ends with the test."""
    processes = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        variables = {**os.environ, "IDEOMOTOR_CACHE": str(tmp_path / "cache"), **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "ideomotor.launch", *arguments],
            env=variables,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        for pid in alive(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "moments"),
    [
        (["tasks"], [1, 3, 20, 300]),
        (["run", "reach"], [2, 7, 700, 2100]),
        (["eval", "--expert", "--tasks", "reach", "--episodes", "1"], [500, 700]),
        (["train", "--data", "data", "--out", "policy"], [500, 1500]),
        (["record", "reach", "--out", "new"], [500]),
        (["data", "view", "data", "--out", "page.html"], [400]),
        (["calibrate", "so101", "--twin"], [100]),
    ],
)
def test_while_modules_load_it_ends_the_command_at_every_moment(arguments, moments, started, data, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTER)
    (tmp_path / "data").symlink_to(data)
    before = sorted(tmp_path.iterdir())
    running = {}
    for moment in moments:
        running[moment] = started(*arguments, PYTHONPATH=str(tmp_path), INTERRUPT_AT=str(moment))
        if len(running) % 2 == 0:
            running[moment].wait()
    for moment, process in running.items():
        _, said = process.communicate()
        assert (process.returncode, said) == (130, "interrupted\n"), f"at import {moment}"
    assert sorted(tmp_path.iterdir()) == before


RENDERING = [
    "--set",
    "workers=2",
    "--set",
    "interpreter.pool.scenes=4000",
    "--set",
    "interpreter.pool.shard=1000",
]
WORKING: dict[str, list[str]] = {
    "train": ["train", "--data", "data", "--out", "policy", "--config", "smoke", *RENDERING],
    "record": ["record", "reach", "lift", "--episodes", "200", "--workers", "2", "--out", "new"],
    "eval": ["eval", "--expert", "--episodes", "200", "--workers", "2", "--out", "results"],
}


def with_workers(process: subprocess.Popen[str], later_s: float = 0.0) -> None:
    """Waits until it has two workers (and the process that multiprocessing keeps beside them)."""
    while len(alive(process.pid)) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(later_s)


def left_behind(folder: Path) -> list[Path]:
    """Files of something that was under way."""
    return [
        path for path in folder.rglob("*") if ".tmp" in path.name or path.name.count("shard-") and path.suffix
    ]


@pytest.mark.parametrize("later_s", [0.0, 2.0])  # while workers load, and while they work
@pytest.mark.parametrize("name", WORKING)
def test_a_pool_of_processes_ends_with_nothing_left_behind(name, later_s, started, data, tmp_path):
    (tmp_path / "data").symlink_to(data)
    process = started(*WORKING[name])
    with_workers(process, later_s)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted" and "Traceback" not in said
    wait_until(lambda: not alive(process.pid))  # multiprocessing's own process ends as its pipe closes
    assert not left_behind(tmp_path)


def wait_until(fact: Callable[[], bool]) -> None:
    while not fact():
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_do_not_outlive_a_command_that_is_killed(number, started):
    process = started(*WORKING["eval"])
    with_workers(process)
    process.send_signal(number)
    assert process.wait() == -number
    wait_until(lambda: not alive(process.pid))
