"""A program for test_killed.py: writers in one dataset folder, killed one after the other.

    python killed_writer.py FOLDER SEED

Each writer is a fork of this process (imports cost a second, a fork nothing) and says after each episode
how many are safe. It is ended by SIGKILL: some at a random moment from outside, the others by themselves
at a given step of their work on files, with half of a file written for example. A fork looks at the
folder after each. The last line is a JSON object of what was done.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets import files
from ideomotor.datasets.checking.checks import validate
from ideomotor.datasets.lerobot.layout import INFO
from ideomotor.datasets.lerobot.reader import Dataset
from ideomotor.datasets.lerobot.writer import DatasetWriter

make_episode = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["sample_episode"]
FRAMES = 4
STEPS = (*range(1, 60, 4), *range(3, 32, 4))  # a commit takes about 28
RANDOM_KILLS = 7


def main(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    moments: list[int | float] = [*STEPS, *(chance.uniform(0.0, 0.2) for _ in range(RANDOM_KILLS))]
    safe, states = 0, 0
    for moment in moments:
        safe = max(safe, killed_at(root, moment))
        states += 1
        if in_a_fork(check, root, safe):
            raise SystemExit(f"after {moment} ({safe} episodes safe)")
    if in_a_fork(resume, root) or in_a_fork(check, root, safe):
        raise SystemExit("after resuming")
    print(json.dumps({"kills": states, "safe": safe}))


def killed_at(root: Path, moment: int | float) -> int:
    """Runs a writer up to a step (int) or for some seconds (float); returns how many episodes it kept."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        if isinstance(moment, int):
            die_at_step(moment)
        write(root, writing)
    os.close(writing)
    if isinstance(moment, float):
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
    with os.fdopen(reading, "rb") as said:
        counts = said.read()  # until the writer is gone
    _, status = os.waitpid(process, 0)
    if os.WTERMSIG(status) != signal.SIGKILL:
        raise SystemExit(f"the writer to be killed at {moment} ended with status {status}")
    return max(counts, default=0)


def write(root: Path, report: int) -> None:
    """Records without end."""
    with DatasetWriter(root, load_embodiment("so101"), resume=True) as writer:
        while True:
            writer.add_episode(make_episode(writer.episodes, FRAMES))
            os.write(report, bytes([writer.episodes]))


def die_at_step(last: int) -> None:
    """From now on SIGKILL comes at this step of this process's work on files."""
    step = 0

    def stepped(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal step
            step += 1
            if step >= last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return run

    def write_in_halves(path: Path, data: bytes) -> None:
        with open(path, "wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            os.fsync(file.fileno())
            file.write(data[len(data) // 2 :])
            os.fsync(file.fileno())

    for name in ("fsync", "mkdir", "replace", "rmdir", "unlink"):
        setattr(os, name, stepped(getattr(os, name)))
    files.write_synced = write_in_halves


def check(root: Path, safe: int) -> None:
    """The folder is a valid dataset of at least the safe episodes, or recording has not begun."""
    if not (root / INFO).exists():
        assert not safe
        return
    assert validate(root) == [], validate(root)
    dataset = Dataset(root)
    assert len(dataset) >= safe, (len(dataset), safe)
    for seed in range(len(dataset)):
        assert (dataset.columns(seed)["action"] == make_episode(seed, FRAMES).action).all()
        assert len(dataset.frames(seed, "front", range(FRAMES))) == FRAMES


def resume(root: Path) -> None:
    DatasetWriter(root, load_embodiment("so101"), resume=True).close()


def in_a_fork(work: Callable[..., object], *arguments: object) -> int:
    """Runs something in a fork; returns its exit status, 0 if it went well."""
    process = os.fork()
    if process == 0:
        try:
            work(*arguments)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(process, 0)[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
