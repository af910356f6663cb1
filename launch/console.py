"""What commands show: text and progress for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ideomotor.control.durations import in_words
from ideomotor.datasets.outputs import check_output, write_output

STANDARD_OUTPUT = Path("-")
LINE_S = 60.0  # between two lines of what goes on, where there is no terminal [s]


class Bar(Progress):
    """A progress bar; disabled, as where there is no terminal, it prints a line a minute instead."""

    _shown_at = -float("inf")

    def add_task(self, *given: Any, **fields: Any) -> TaskID:
        self._shown_at = self._begun = time.monotonic()
        return super().add_task(*given, **fields)

    def update(self, task_id: TaskID, **fields: Any) -> None:
        super().update(task_id, **fields)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        now, task = time.monotonic(), self.tasks[self.task_ids.index(task_id)]
        if not self.disable or now - self._shown_at < LINE_S or not task.completed:
            return
        self._shown_at = now
        of = ""
        if task.total is not None:
            left = (now - self._begun) / task.completed * (task.total - task.completed)
            of = f" of {task.total:.0f}, {in_words(left)} left"
        print(f"{task.description}: {task.completed:.0f}{of}", file=sys.stderr, flush=True)


class Output:
    """Where one command writes: `text` and `progress` to people, `result` to the `--json` target."""

    def __init__(self, json_target: Path | None):
        """Args:
            json_target: file for the JSON object; "-" is standard output, which then carries nothing
                else (text goes to standard error); None writes no JSON.

        Raises:
            UserError: the file cannot be written. Said now, not after an hour of work.
        """
        if json_target not in (None, STANDARD_OUTPUT):
            check_output("json", json_target)
        self._json_target = json_target
        self.text = Console(stderr=json_target == STANDARD_OUTPUT, highlight=False, soft_wrap=True)

    def progress(self) -> Progress:
        """A progress bar with the time left, on standard error; without a terminal there, a line a minute."""
        console = Console(stderr=True)
        return Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def result(self, result: dict[str, Any]) -> None:
        """Writes the JSON object, if one was asked for; to be called before anything is said about it."""
        if self._json_target is None:
            return
        line = json.dumps(result, allow_nan=False)
        if self._json_target == STANDARD_OUTPUT:
            print(line, file=sys.stdout, flush=True)
        else:
            write_whole(self._json_target, line + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes an output, see `datasets.outputs`."""
    write_output(path, text.encode())
