"""The emergency stop: a latch that anything may trip and only an explicit re-arming releases.

What can trip it: every signal that would end or stop the process (Ctrl-C, a closed terminal, Ctrl-Z, kill), a
file descriptor that becomes readable (a button's device, a pipe, a socket, whose closing counts as well), and
`trip`, a callback for any thread. It only remembers; the control loop looks at it every tick and stops the
arm within its limits (control/runtime/safe_stop.py). It is software on an ordinary computer: a switch that
cuts the motors' power must be within reach all the same.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Generator
from types import FrameType

from ideomotor.control.interrupts import STOPPING, handled, name_of


class EStop:
    """The latch.

    Attributes:
        reason: what tripped it first; empty while it is armed.
        repeated: a signal came although it was tripped already: the user wants to leave.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.repeated = False
        self._watched: dict[int, str] = {}  # file descriptor: what it is
        self._poll = select.poll()

    def trip(self, reason: str) -> None:
        """Stops the robot, for this reason. Callable from threads and signal handlers."""
        if not self.reason:
            self.reason = reason

    def watch(self, descriptor: int, name: str) -> None:
        """Trips as soon as the descriptor is readable, or its other end is closed."""
        self._watched[descriptor] = name
        self._poll.register(descriptor, select.POLLIN)

    def check(self) -> str:
        """Looks at the watched descriptors, without waiting; returns the reason, empty if armed."""
        if self._watched:
            for descriptor, _ in self._poll.poll(0):
                self.trip(f"emergency stop: {self._watched[descriptor]}")
        return self.reason

    def rearm(self) -> str:
        """Releases the latch; returns why it cannot be, empty if it was.

        What a descriptor has said so far is read away. One that still has something to say afterwards,
        a button still pressed or a closed connection, keeps the latch.
        """
        for descriptor, _ in self._poll.poll(0):
            with contextlib.suppress(OSError):
                os.read(descriptor, 4096)
        for descriptor, _ in self._poll.poll(0):
            return f"{self._watched[descriptor]} still asks for a stop"
        self.reason, self.repeated = "", False
        return ""

    @contextlib.contextmanager
    def on_signals(self) -> Generator[None]:
        """Trips on every signal that would end or stop the process while the block runs. Main thread only."""

        def trip(number: int, _: FrameType | None) -> None:
            self.repeated = self.repeated or bool(self.reason)
            self.trip(f"emergency stop: {name_of(number)}")

        with handled(trip):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # a parent may have shielded our start
            yield
