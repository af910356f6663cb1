"""Sounds at the beginning and the end of an episode, for a person who looks at the arm and not at the screen.

Words are spoken where a program for that is installed (speech-dispatcher, espeak-ng, macOS's say), otherwise
the terminal's bell rings: once at a beginning, twice when an episode is saved, three times when one is
dropped. Nobody waits for either, and neither can fail anything.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

SPEAKERS = ("spd-say", "espeak-ng", "espeak", "say")  # programs that speak their argument
BELLS = {"recording": 1, "saved": 2, "dropped": 3, "over": 1}
BELL = "\a"


class Sound:
    """Says or rings what happens."""

    def __init__(
        self,
        find: Callable[[str], str | None] = shutil.which,
        start: Callable[[Sequence[str]], object] | None = None,
        ring: Callable[[str], None] | None = None,
    ) -> None:
        """Args:
        find: the path of a program; None: it is not installed.
        start: starts a command and does not wait.
        ring: writes to the terminal.
        """
        self._speaker = next(filter(None, map(find, SPEAKERS)), None)
        self._start, self._ring = start or self._begin, ring or _to_terminal
        self._speaking: subprocess.Popen[bytes] | None = None

    def say(self, what: str, episode: int) -> None:
        """Says one of `BELLS` of an episode.

        A word that is still being spoken is given up for the next one.
        """
        if self._speaker is None:
            self._ring(BELL * BELLS[what])
            return
        words = what if what == "over" else f"episode {episode} {what}"
        with contextlib.suppress(OSError):
            self._start([self._speaker, words])

    def _begin(self, command: Sequence[str]) -> None:
        if self._speaking is not None and self._speaking.poll() is None:
            self._speaking.terminate()
        silent = subprocess.DEVNULL
        self._speaking = subprocess.Popen(
            list(command), stdin=silent, stdout=silent, stderr=silent, start_new_session=True
        )


def _to_terminal(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr and sys.stderr.isatty():
            sys.stderr.write(text)
            sys.stderr.flush()
