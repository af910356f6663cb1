"""A serial port as the servo makers' SDKs want it, that waits in the kernel and knows its own echo.

The packet handlers of `scservo_sdk` and `dynamixel_sdk` (one goes back to the other) ask a port for the
methods with capital letters here. Their own ports spin, for 34 ms and more; this one sleeps until `deadline`.
"""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Sequence
from typing import Any

from ideomotor.control.robots.latency_timer import shorten

BUS_ERRORS = (OSError, termios.error)  # pyserial's own errors are OSErrors


class SerialPort:
    """One open device.

    Attributes:
        deadline: until when a read may wait [s], monotonic.
        echoed: what was sent came back, and was taken out of the input.
        is_using: of the SDK, which keeps its own requests apart with it.
    """

    def __init__(self, path: str, baud: int) -> None:
        import serial

        self._serial: Any = serial.Serial(path, baud, timeout=0, exclusive=True)
        shorten(path, self._serial)
        self._serial.reset_input_buffer()
        self._buffer = bytearray()
        self._sent = b""  # the last packet, as long as it may still come back as an echo
        self.echoed = False
        self.is_using = False
        self.deadline = 0.0

    @property
    def descriptor(self) -> int:
        """Of the device's file."""
        return self._serial.fileno()

    def close(self) -> None:
        try:
            self._serial.close()
        except BUS_ERRORS:
            pass  # it is gone already

    def discard(self) -> bytes:
        """Empties the input and returns what was in it, without an echo of the last packet."""
        self._take()
        left = bytes(self._buffer)
        self._buffer.clear()
        self._sent = b""
        return left

    def clearPort(self) -> None:
        """The SDK waits here until everything is sent; the kernel does that by itself."""

    def writePort(self, packet: Sequence[int]) -> int:
        self._sent = bytes(packet)
        try:
            # Not pyserial's write: it takes a pause of this process for a time-out of the port.
            return os.write(self._serial.fileno(), self._sent)
        except BlockingIOError:
            return 0

    def readPort(self, length: int) -> bytes:
        """Up to `length` bytes; waits for the first one, but no longer than the deadline."""
        if len(self._buffer) < length or self._may_be_echo():
            wait = max(0.0, self.deadline - time.monotonic())
            if select.select([self._serial.fileno()], [], [], wait)[0]:
                self._take()
        if self._may_be_echo():
            return b""
        data = bytes(self._buffer[: max(length, 0)])
        del self._buffer[: len(data)]
        return data

    def setPacketTimeout(self, packet_length: int) -> None:
        """The SDK's time-outs are far too long; `deadline` is set before a packet is sent."""

    def isPacketTimeout(self) -> bool:
        return time.monotonic() >= self.deadline

    def _take(self) -> None:
        waiting = self._serial.in_waiting
        ready = waiting or select.select([self._serial.fileno()], [], [], 0)[0]
        if ready:  # ready and nothing there: unplugged, which read() turns into an error
            self._buffer += self._serial.read(max(waiting, 1))
        if self._sent and self._buffer.startswith(self._sent):
            del self._buffer[: len(self._sent)]
            self._sent, self.echoed = b"", True
        elif not self._may_be_echo():
            self._sent = b""

    def _may_be_echo(self) -> bool:
        """Whether all that has come so far is the beginning of what was sent."""
        return bool(self._sent) and self._sent.startswith(bytes(self._buffer))
