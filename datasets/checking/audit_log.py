"""Who did what with an arm: `launch/audit.jsonl` beside a log's dataset, one line an event, append-only.

Each line has the SHA-256 of the line before it, so that none can be changed, taken out or put in without all
those after it being written anew; `data validate` looks. What it cannot tell is whether lines at the end were
cut off, but for that the last one says how it ended.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

NAME = "launch/audit.jsonl"
FIRST = "0" * 64  # before the first line
BEGAN, ENDED = "began", "ended"


class AuditLog:
    """Appends to the log of a folder, which is there; each line is on the disk before `add` returns.

    Attributes:
        failed: why nothing more is written; empty while all is well.
    """

    def __init__(self, folder: Path) -> None:
        self.failed = ""
        self._path, self._before = folder / NAME, FIRST

    def began(self, **facts: Any) -> None:
        """The first line: who began, and with what."""
        self.add(BEGAN, who=f"{getpass.getuser()}@{socket.gethostname()}", **facts)

    def ended(self, **facts: Any) -> None:
        """The last line: how it ended."""
        self.add(ENDED, **facts)

    def add(self, what: str, **facts: Any) -> None:
        """One event, now. A disk that is full ends the log and nothing else."""
        if self.failed:
            return
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "what": what, **facts, "before": self._before}).encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.failed = f"{error.strerror} ({self._path})"
            return
        self._before = hashlib.sha256(line).hexdigest()


def check_audit_log(folder: Path) -> Iterator[str]:
    """What is wrong with the log of a folder, in words; nothing where there is none."""
    path = folder / NAME
    if not path.exists():
        return
    before, what = FIRST, ""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            event = json.loads(line)
            found, what = event["before"], event["what"]
        except (ValueError, KeyError, TypeError):
            yield f"line {number}: not an event"
            return
        if found != before:
            yield f"line {number}: does not follow the line before it: one was changed, taken out or put in"
            return
        if (number == 1) != (what == BEGAN):
            yield f"line {number}: got {what!r}, expected {BEGAN!r} as the first event and nowhere else"
            return
        before = hashlib.sha256(line).hexdigest()
    if what != ENDED:
        yield "the last event does not say how it ended: the session was cut off, or lines were"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
