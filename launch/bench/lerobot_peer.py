"""LeRobot beside us in a benchmark: a process of its own Python that measures when it is asked to.

LeRobot has an environment of its own, since its pins exclude our torch; `make interop` makes one, and
IDEOMOTOR_LEROBOT_PYTHON names its Python. Requests and answers are one JSON object a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

PYTHON: Final = "IDEOMOTOR_LEROBOT_PYTHON"
PeerCall = Callable[[dict[str, Any]], dict[str, Any]]  # a request -> its answer


@contextmanager
def lerobot(
    script: str, arguments: Sequence[str], output: Output
) -> Iterator[tuple[PeerCall | None, dict[str, Any]]]:
    """Runs a script of this folder with LeRobot's Python, one thread, no network.

    Yields:
        How to ask it and what it said first; (None, {}) and a message where there is no LeRobot.

    Raises:
        UserError: there is one, and it failed; with its last words.
    """
    python = os.environ.get(PYTHON)
    if not python:
        output.text.print(f"without LeRobot: {PYTHON} does not name a Python that has lerobot", markup=False)
        yield None, {}
        return
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory(prefix="ideomotor-peer-") as home:
        away = {"HF_HOME": home, "HF_DATASETS_CACHE": home, "HF_HUB_OFFLINE": "1"}
        log = Path(home) / "lerobot.log"
        try:
            with log.open("w") as said:
                process = subprocess.Popen(
                    [python, str(Path(__file__).with_name(script)), *arguments],
                    env=environment | away | {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                )
        except OSError as error:
            raise UserError(f"{PYTHON}: cannot run {python!r}: {error.strerror}") from None
        assert process.stdin is not None and process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def answer() -> dict[str, Any]:
            line = answers.readline()
            if not line:
                last = (log.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
                raise UserError(f"{PYTHON}: {python}: lerobot failed: {last}")
            return json.loads(line)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            return answer()

        with process:
            try:
                yield ask, answer()
            finally:
                requests.close()
                process.terminate()
