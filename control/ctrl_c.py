"""What a Ctrl-C does before, while and after a command is at work.

Beside `interrupts.py`, because it is loaded before anything else and loads next to nothing itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130  # exit code


@contextmanager
def loading() -> Generator[None]:
    """Lets a Ctrl-C end the process at once, with exit code 130: where modules load and nothing has begun.

    An exception in the middle of an import may be swallowed by it, or come out as another one.
    """
    if not_ours():
        yield
        return
    previous = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def interruptible() -> Generator[list[int]]:
    """Lets a Ctrl-C raise KeyboardInterrupt, and gives a list that is not empty once there was one.

    So that what the exception became on its way, in somebody else's code, can be known for what it was.
    """
    pressed: list[int] = []
    if not_ours():
        yield pressed
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        pressed.append(number)
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, previous)


def leave(number: int, frame: FrameType | None) -> NoReturn:
    """The handler of a Ctrl-C where nothing has to be tidied up."""
    with suppress(Exception):
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def not_ours() -> bool:
    """Whether Ctrl-C is for another thread, or to be ignored, as in what a script runs in the background."""
    if threading.current_thread() is not threading.main_thread():
        return True
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN
