"""Signals: which of them stop a robot, which a terminal sends to all of its processes, when they may come.

It lives in `control` because every room may import `control`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

from ideomotor.control.ctrl_c import not_ours

TERMINAL = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)  # Ctrl-C, closed, Ctrl-\, Ctrl-Z
BACKGROUND = (signal.SIGTTIN, signal.SIGTTOU)  # stop who reads or writes a terminal that is not its own
_CRASHES = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}
_IGNORED = {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGPIPE", "SIGXFSZ"}  # the last two by Python
_CANNOT = {"SIGKILL", "SIGSTOP"}


def name_of(number: int) -> str:
    """SIGINT, or for a real-time signal its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


STOPPING = tuple(  # every signal that would end or stop a process and can be caught
    number
    for number in sorted(signal.valid_signals())
    if name_of(number) not in _CRASHES | _IGNORED | _CANNOT and number not in BACKGROUND
)


@contextmanager
def shielded() -> Generator[None]:
    """Children started in this block never receive what a terminal sends to all of its processes.

    Not even before their first line: they inherit that these signals are blocked. A child that wants one
    unblocks it. multiprocessing's own helper is started here as well, or it would die with the terminal.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)  # starting that one has unblocked SIGINT
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Calls `handler` for every signal that would end or stop this process. Main thread only.

    One that is ignored stays so: `nohup` means it.
    """
    ours = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in ours}
    before |= {number: signal.signal(number, signal.SIG_IGN) for number in BACKGROUND}
    try:
        yield
    finally:
        for number, previous in before.items():
            if previous is not None:  # else it was not set from Python, and cannot be from here
                signal.signal(number, previous)


@contextmanager
def as_interrupts() -> Generator[None]:
    """Whatever would end or stop this process raises KeyboardInterrupt, so that it can clean up.

    Main thread only; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(name_of(number))

    with handled(interrupt):
        yield


@contextmanager
def uninterrupted() -> Generator[None]:
    """Lets a Ctrl-C wait until the block is done; threads but the main one are never interrupted anyway.

    Raises:
        KeyboardInterrupt: after the block, if there was one in it.
    """
    if not_ours():
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
