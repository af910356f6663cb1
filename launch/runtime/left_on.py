"""Notes of arms whose motors may still be on, so that whoever comes next learns how to let go.

A launch writes one before it switches motors on and removes it when they are off. A note whose process is
gone is shown by every command, whatever ended that process: a closed terminal, Ctrl-C, SIGKILL.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """One arm."""

    robot: str  # its name, or the path of its file
    port: str  # empty: its driver needs none
    since: str  # when it was launched
    process: int
    started: int  # by the kernel's clock, which tells a process from a later one with its number
    why: str = ""  # its motors are on

    @property
    def text(self) -> str:
        """One line for whoever comes."""
        where = f" at {self.port}" if self.port else ""
        why = f" ({self.why})" if self.why else ""
        return (
            f"note: the motors of {self.robot}{where} may still be on since a launch of {self.since}"
            f"{why}: hold the arm, then: {release_command(self.robot, self.port)}"
        )


def release_command(robot: str, port: str) -> str:
    """What lets go of an arm, as a person types it."""
    at = [f"--port {shlex.quote(part)}" for part in [port] if part]
    return " ".join(["ideomotor release", shlex.quote(robot), *at])


def state_folder() -> Path:
    """$XDG_STATE_HOME/ideomotor, or ~/.local/state/ideomotor."""
    base = os.environ.get("XDG_STATE_HOME", "")
    state = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return state / "ideomotor"


def write_note(robot: str, port: str, why: str = "") -> None:
    """Says that this process may leave motors on; a disk that does not take the note changes nothing."""
    process = os.getpid()
    note = Note(robot, port, time.strftime("%Y-%m-%d %H:%M:%S"), process, _started(process) or 0, why)
    path = _path(robot, port)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(note)))
        temporary.replace(path)


def read_note(robot: str, port: str) -> str | None:
    """The note of an arm as it is; None if there is none."""
    try:
        return _path(robot, port).read_text()
    except (OSError, ValueError):
        return None


def put_back(robot: str, port: str, text: str | None) -> None:
    """Undoes `write_note`, with what `read_note` said before."""
    with contextlib.suppress(OSError):
        _path(robot, port).unlink(missing_ok=True) if text is None else _path(robot, port).write_text(text)


def remove_note(robot: str, port: str) -> None:
    """The motors are off, or were never switched on."""
    with contextlib.suppress(OSError):
        _path(robot, port).unlink(missing_ok=True)


def left_on() -> list[Note]:
    """The arms whose motors may be on without a process that looks after them."""
    notes = []
    with contextlib.suppress(OSError):
        for path in sorted(_folder().glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                note = Note(**json.loads(path.read_text()))
                if _started(note.process) != note.started:
                    notes.append(note)
    return notes


def _folder() -> Path:
    return state_folder() / "motors_on"


def _path(robot: str, port: str) -> Path:
    """A note's file: of a device, whatever the robot is called; or of a robot that needs none."""
    what = os.path.realpath(port) if port else f"robot {robot}"
    return _folder() / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"


def _started(process: int) -> int | None:
    """When a process was started [clock ticks since boot]; None if there is none."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, ValueError, IndexError):
        return None
