"""Ctrl-C at a moment when nothing is half done.

It lives in `control` because every room may import `control`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Generator[None]:
    """Lets a Ctrl-C wait until the block is done; threads but the main one are never interrupted anyway.

    Raises:
        KeyboardInterrupt: after the block, if there was one in it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if waiting:
        raise KeyboardInterrupt
