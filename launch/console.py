"""What commands show: text and progress for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ideomotor.datasets.outputs import check_output, write_output

STANDARD_OUTPUT = Path("-")


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
        """A progress bar with the time left, on standard error; silent where that is not a terminal."""
        console = Console(stderr=True)
        return Progress(
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
