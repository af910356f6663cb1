"""A line of Feetech STS servos: requests and replies over the vendor's SDK, each with a short time-out.

The SDK (`feetech-servo-sdk`, extra `feetech`) makes and checks the packets. Three things are ours, because
the SDK's own way costs ticks or lies about the arm:

- the port waits in the kernel instead of spinning, for `timeout` instead of 34 ms and more;
- what lies in the input before a request is thrown away and looked at: it is an echo, or a late reply;
- replies are matched by order, id and length. The protocol has no sequence numbers, so whoever asks should
  vary the length from request to request: it then tells a late reply from a new one.

Nothing here raises while the loop runs: what went wrong comes back in `Replies.problems`.
"""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ideomotor.control.errors import UserError

HEADER = b"\xff\xff"
OVERHEAD = 6  # bytes of a reply besides its data: header (2), id, length, error, checksum
BUS_ERRORS = (OSError, termios.error)  # pyserial's own errors are OSErrors


@dataclass(frozen=True)
class Replies:
    """What came back, only what is whole and was asked for, and what went wrong besides."""

    data: Mapping[int, bytes] = field(default_factory=dict)  # {id: bytes asked for}
    errors: Mapping[int, int] = field(default_factory=dict)  # {id: error byte}
    problems: tuple[tuple[str, int | None], ...] = ()  # (name of control.robots.faults.FAULTS, id if known)

    def late(self) -> set[int | None]:
        """Ids of the servos whose late replies were thrown away; None: one could not be made out."""
        return {servo for name, servo in self.problems if name == "late_reply"}


class StsBus:
    """One serial port with servos on it.

    Attributes:
        timeout: how long the replies to one request may take besides their time on the wire [s].
    """

    def __init__(self, path: str, baud: int, timeout: float) -> None:
        self.path, self.baud, self.timeout = path, baud, timeout
        self._packets = _packet_handler()
        self._port: _Port | None = None

    @property
    def is_open(self) -> bool:
        return self._port is not None

    def open(self) -> None:
        """Opens the port; OSError or termios.error if it is not there."""
        self.close()
        self._port = _Port(self.path, self.baud)

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    def read(self, servo: int, address: int, size: int, timeout: float | None = None) -> Replies:
        """Asks one servo for a piece of its memory table."""
        return self._ask(
            [servo], size, lambda port: self._packets.readTx(port, servo, address, size), timeout
        )

    def sync_read(self, servos: Sequence[int], address: int, size: int) -> Replies:
        """Asks several servos at once for the same piece; they answer in the order of `servos`."""
        ids = list(servos)
        send = self._packets.syncReadTx
        return self._ask(ids, size, lambda port: send(port, address, size, ids, len(ids)))

    def write(self, servo: int, address: int, data: bytes, timeout: float | None = None) -> Replies:
        """Writes a piece of one servo's table; its acknowledgement is in `errors`."""
        send = self._packets.writeTxOnly
        return self._ask([servo], 0, lambda port: send(port, servo, address, len(data), list(data)), timeout)

    def sync_write(self, values: Mapping[int, bytes], address: int) -> Replies:
        """Writes the same piece of several servos' tables, {id: data}; nobody answers."""
        size = len(next(iter(values.values())))
        parameters = [byte for servo, data in values.items() for byte in (servo, *data)]
        send = self._packets.syncWriteTxOnly
        return self._ask([], 0, lambda port: send(port, address, size, parameters, len(parameters)))

    def _ask(self, servos: list[int], size: int, send: Any, timeout: float | None = None) -> Replies:
        if self._port is None:
            return Replies(problems=(("unplugged", None),))
        try:
            return self._exchange(self._port, servos, size, send, timeout or self.timeout)
        except BUS_ERRORS:
            self.close()
            return Replies(problems=(("unplugged", None),))

    def _exchange(self, port: _Port, servos: list[int], size: int, send: Any, timeout: float) -> Replies:
        problems: list[tuple[str, int | None]] = []
        late = port.discard()
        problems += [("late_reply", servo) for servo in _ids_in(late)] or [("late_reply", None)] * bool(late)
        allowed = timeout + (len(servos) * (size + OVERHEAD) + OVERHEAD) * 10 / self.baud
        port.deadline = time.monotonic() + allowed
        port.is_using = False
        if send(port) != 0:  # the adapter does not drain its output
            return Replies(problems=(*problems, *(("no_reply", servo) for servo in servos or [None])))
        port.deadline = time.monotonic() + allowed
        data, errors, waiting = {}, {}, list(servos)
        while waiting and (more := self._receive(port)) is not None:
            servo, error, payload = more
            if servo is None:
                problems.append(("corrupt_reply", None))
            elif servo not in waiting or len(payload) != size:
                problems.append(("late_reply", servo))
            else:
                # Those that were passed over no longer count: servos answer in order.
                del waiting[: waiting.index(servo) + 1]
                data[servo], errors[servo] = payload, error
        for name, servo in problems:
            if name == "late_reply":  # of this servo there were two, and which is the new one?
                data.pop(servo, None)
        if port.echoed:
            problems.append(("echo", None))
            port.echoed = False
        if not any(name == "corrupt_reply" for name, _ in problems):
            problems += [("no_reply", servo) for servo in servos if servo not in data]
        return Replies(data, errors, tuple(problems))

    def _receive(self, port: _Port) -> tuple[int | None, int, bytes] | None:
        """(id, error byte, data) of the next packet; id None: it was damaged; None: time is up."""
        if port.isPacketTimeout():
            return None
        packet, result = self._packets.rxPacket(port)
        if result == 0 and len(packet) >= OVERHEAD:
            return packet[2], packet[4], bytes(packet[5:-1])
        return (None, 0, b"") if packet else None


class _Port:
    """What the SDK's packet handler needs of a port (the interface of its PortHandler)."""

    def __init__(self, path: str, baud: int) -> None:
        import serial

        self._serial: Any = serial.Serial(path, baud, timeout=0, exclusive=True)
        self._serial.reset_input_buffer()
        self._buffer = bytearray()
        self._sent = b""  # the last packet, as long as it may still come back as an echo
        self.echoed = False  # it did
        self.is_using = False
        self.deadline = 0.0  # [s], monotonic

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


def _ids_in(data: bytes) -> list[int]:
    """The ids of the replies that seem to be in some bytes."""
    ids = {data[i + 2] for i in range(len(data) - 2) if data[i : i + 2] == HEADER}
    return sorted(servo for servo in ids if servo < 0xFD)


def _packet_handler() -> Any:
    try:
        import scservo_sdk
        import serial  # noqa: F401
    except ImportError as error:
        raise UserError(
            "robot: its servos need the package feetech-servo-sdk; pip install 'ideomotor[feetech]'"
        ) from error
    return scservo_sdk.PacketHandler(0)  # 0: STS servos are little endian
