"""A command in a terminal of its own, as a person has it, that can be closed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path

GIVE_UP_S = 240.0  # for anything at all, on a busy machine


class Terminal:
    """Runs a program as the leader of a session on a new terminal, and reads all that it shows."""

    def __init__(self, command: Sequence[object]) -> None:
        self._ours, theirs = pty.openpty()
        self.shown, self._lock = "", threading.Lock()
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "COLUMNS": "200", "LINES": "50", "OMP_NUM_THREADS": "1"},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """Until it has shown this after what was waited for before."""
        until = time.monotonic() + GIVE_UP_S
        while text not in self.shown:
            assert self.process.poll() is None or not self._reader.is_alive(), self.shown
            if self.process.poll() is not None:
                self._reader.join(5.0)
                assert text in self.shown, f"it ended without {text!r}: {self.shown[-3000:]}"
            assert time.monotonic() < until, f"waited for {text!r}: {self.shown[-3000:]}"
            time.sleep(0.01)
        with self._lock:
            self.shown = self.shown.split(text, 1)[1]

    def hang_up(self) -> None:
        """Closes the terminal's window: the kernel sends SIGHUP, then the shell once more."""
        os.close(self._ours)
        self._ours = -1
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGHUP)

    def wait(self) -> int:
        return self.process.wait(GIVE_UP_S)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:
                return
            if not piece:
                return
            with self._lock:
                self.shown += piece.decode(errors="replace")


def state_of(process: int) -> str:
    """R, S, T (stopped), Z …"""
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
