"""Asks a policy of LeRobot's that runs in a process of its own, with the Python of its own environment."""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.launch.bench.lerobot_peer import PYTHON
from ideomotor.launch.serving.framing import BrokenMessage, receive, send

LOAD_S, ANSWER_S = 900.0, 120.0  # that it may take
HOST = "lerobot_host.py"


def lerobot_python(chosen: Path | str | None) -> str:
    """The Python of the environment with lerobot: the user's, or that of IDEOMOTOR_LEROBOT_PYTHON.

    Raises:
        UserError: there is none.
    """
    python = str(chosen or os.environ.get(PYTHON, ""))
    if not python:
        raise UserError(
            f"lerobot.python: missing, expected the Python of an environment that has lerobot, or {PYTHON} "
            "to name it; `make interop` makes one"
        )
    if not os.access(python, os.X_OK) or Path(python).is_dir():
        raise UserError(f"lerobot.python: got {python!r}, expected a Python that has lerobot")
    return python


def lerobot_environment() -> dict[str, str]:
    """The variables of a process of that environment: none of ours leads to our packages."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | kept | {"PYTHONSAFEPATH": "1"}


class LeRobotProcess:
    """A checkpoint of LeRobot's, loaded. It ends with this process, whatever ends that.

    Attributes:
        facts: what it says of itself: version, type, parameters, device.
    """

    def __init__(self, python: str, folder: Path) -> None:
        """UserError if it cannot be loaded, with its last words."""
        self._name = f"{folder}"
        log: IO[bytes] = tempfile.TemporaryFile(prefix="ideomotor-lerobot-")  # noqa: SIM115
        self._log = log
        try:
            self._process = subprocess.Popen(
                [python, str(Path(__file__).with_name(HOST)), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=lerobot_environment(),
                start_new_session=True,  # Ctrl-C is ours to answer
            )
        except OSError as error:
            raise UserError(f"lerobot.python: cannot run {python!r}: {error.strerror}") from None
        self._end = weakref.finalize(self, _end, self._process, log)
        atexit.register(self._end)
        self.facts, _ = self._answer(LOAD_S)

    def ask(
        self, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """The arrays of its answer. UserError if there is none."""
        assert self._process.stdin is not None
        try:
            send(self._process.stdin.fileno(), head, arrays)
        except BrokenMessage as error:
            raise self._failed(str(error)) from None
        return self._answer(ANSWER_S)[1]

    def close(self) -> None:
        """Ends it."""
        self._end()

    def _answer(self, seconds: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        assert self._process.stdout is not None
        try:
            head, arrays = receive(self._process.stdout.fileno(), seconds)
        except BrokenMessage as error:
            raise self._failed(str(error)) from None
        if "error" in head:
            raise self._failed(str(head["error"]))
        return head, arrays

    def _failed(self, why: str) -> UserError:
        self._log.seek(0)
        said = [
            line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()
        ]
        self.close()
        last = f" ({said[-1]})" if said and why not in said[-1] else ""
        return UserError(f"policy: lerobot: {self._name}: {' '.join(why.split())}{last}")


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()
