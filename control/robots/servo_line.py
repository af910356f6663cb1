"""A line of servos: requests and replies over the vendor's SDK, each with a short time-out.

The SDK (extra `feetech` or `dynamixel`) makes and checks the packets. Three things are ours, because the
SDKs' own way costs ticks or lies about the arm:

- the port waits in the kernel instead of spinning, for `timeout` instead of 34 ms and more;
- what lies in the input before a request is thrown away and looked at: it is an echo, or a late reply;
- replies are matched by order, id and length. The protocols have no sequence numbers, so whoever asks should
  vary the length from request to request: it then tells a late reply from a new one.

Nothing here raises while the loop runs: what went wrong comes back in `Replies.problems`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ideomotor.control.robots.serial_port import BUS_ERRORS, SerialPort

Reply = tuple[int | None, int, bytes]  # (id, error byte, data); id None: it was damaged


class Packets(Protocol):
    """One protocol, as its vendor's SDK speaks it. What sends returns 0 if all bytes went out."""

    overhead: int  # bytes of a reply besides its data

    def read(self, port: SerialPort, servo: int, address: int, size: int) -> int: ...
    def sync_read(self, port: SerialPort, servos: Sequence[int], address: int, size: int) -> int: ...
    def write(self, port: SerialPort, servo: int, address: int, data: bytes) -> int: ...
    def sync_write(self, port: SerialPort, values: Mapping[int, bytes], address: int) -> int: ...
    def reboot(self, port: SerialPort, servo: int) -> int: ...
    def ping_all(self, port: SerialPort) -> int: ...

    def receive(self, port: SerialPort) -> Reply | None:
        """The next reply; None if there is not even a piece of one before the port's deadline."""
        ...

    def ids_in(self, data: bytes) -> list[int]:
        """The ids of the replies that seem to be in some bytes."""
        ...


@dataclass(frozen=True)
class Replies:
    """What came back, only what is whole and was asked for, and what went wrong besides."""

    data: Mapping[int, bytes] = field(default_factory=dict)  # {id: bytes asked for}
    errors: Mapping[int, int] = field(default_factory=dict)  # {id: error byte}
    problems: tuple[tuple[str, int | None], ...] = ()  # (name of control.robots.faults.FAULTS, id if known)

    def late(self) -> set[int | None]:
        """Ids of the servos whose late replies were thrown away; None: one could not be made out."""
        return {servo for name, servo in self.problems if name == "late_reply"}


@dataclass(frozen=True)
class Asked:
    """A request that is on its way: what `ServoLine.answers` waits for.

    Attributes:
        deadline: of the replies [s], monotonic.
    """

    servos: tuple[int, ...] = ()
    size: int = 0
    problems: tuple[tuple[str, int | None], ...] = ()
    deadline: float = 0.0
    sent: bool = False


class ServoLine:
    """One serial port with servos on it.

    Attributes:
        timeout: how long the replies to one request may take besides their time on the wire [s].
    """

    def __init__(self, path: str, baud: int, timeout: float, packets: Packets) -> None:
        self.path, self.baud, self.timeout = path, baud, timeout
        self._packets = packets
        self._port: SerialPort | None = None

    @property
    def is_open(self) -> bool:
        return self._port is not None

    @property
    def descriptor(self) -> int | None:
        """Of the open port, to wait for what it receives."""
        return self._port.descriptor if self._port is not None else None

    def open(self) -> None:
        """Opens the port; OSError or termios.error if it is not there."""
        self.close()
        self._port = SerialPort(self.path, self.baud)

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    def read(self, servo: int, address: int, size: int, timeout: float | None = None) -> Replies:
        """Asks one servo for a piece of its memory table."""
        return self._ask([servo], size, lambda port: self._packets.read(port, servo, address, size), timeout)

    def sync_read(self, servos: Sequence[int], address: int, size: int) -> Replies:
        """Asks several servos at once for the same piece; they answer in the order of `servos`."""
        return self._ask(servos, size, lambda port: self._packets.sync_read(port, servos, address, size))

    def write(self, servo: int, address: int, data: bytes, timeout: float | None = None) -> Replies:
        """Writes a piece of one servo's table; its acknowledgement is in `errors`."""
        return self._ask([servo], 0, lambda port: self._packets.write(port, servo, address, data), timeout)

    def sync_write(self, values: Mapping[int, bytes], address: int) -> Replies:
        """Writes the same piece of several servos' tables, {id: data}; nobody answers."""
        return self._ask([], 0, lambda port: self._packets.sync_write(port, values, address))

    def reboot(self, servo: int, timeout: float | None = None) -> Replies:
        """Restarts one servo, whose motor is off then; it does not listen for a while after its reply."""
        return self._ask([servo], 0, lambda port: self._packets.reboot(port, servo), timeout)

    def ping_all(self, wait_s: float) -> list[tuple[int | None, bytes]]:
        """Asks every servo at once what it is, of a family whose servos then answer in turn.

        Returns:
            (id, what it said) of each reply within `wait_s`; id None: one was damaged, as when two answer at
            the same time. Nothing if the adapter is gone.
        """
        if self._port is None:
            return []
        found = []
        try:
            self._port.discard()
            self._port.is_using = False
            self._port.deadline = time.monotonic() + wait_s
            if self._packets.ping_all(self._port) == 0:
                while (reply := self._next(self._port)) is not None:
                    found.append((reply[0], reply[2]))
        except BUS_ERRORS:
            self.close()
        return found

    def ask(self, servo: int, address: int, size: int) -> Asked:
        """Sends what `read` sends, and does not wait: `answers` does."""
        return self._send([servo], size, lambda port: self._packets.read(port, servo, address, size))

    def ask_all(self, servos: Sequence[int], address: int, size: int) -> Asked:
        """Sends what `sync_read` sends, and does not wait: `answers` does."""
        return self._send(servos, size, lambda port: self._packets.sync_read(port, servos, address, size))

    def answers(self, asked: Asked, least_s: float = 0.0) -> Replies:
        """Returns what came back; nothing else may have been asked meanwhile.

        Args:
            asked: the newest request.
            least_s: of waiting, even if its deadline has passed: what is in already gets read [s].
        """
        if self._port is None or not asked.sent:
            return Replies(problems=asked.problems or (("unplugged", None),))
        self._port.deadline = max(asked.deadline, time.monotonic() + least_s)
        try:
            return self._collect(self._port, asked)
        except BUS_ERRORS:
            self.close()
            return Replies(problems=(("unplugged", None),))

    def _ask(
        self,
        servos: Sequence[int],
        size: int,
        send: Callable[[SerialPort], int],
        timeout: float | None = None,
    ) -> Replies:
        return self.answers(self._send(servos, size, send, timeout))

    def _send(
        self,
        servos: Sequence[int],
        size: int,
        send: Callable[[SerialPort], int],
        timeout: float | None = None,
    ) -> Asked:
        port = self._port
        if port is None:
            return Asked(problems=(("unplugged", None),))
        try:
            late = port.discard()
            whose: list[int | None] = [*self._packets.ids_in(late)] or [None] * bool(late)
            problems: list[tuple[str, int | None]] = [("late_reply", servo) for servo in whose]
            overhead = self._packets.overhead
            on_the_wire = (len(servos) * (size + overhead) + overhead) * 10 / self.baud
            allowed = (timeout or self.timeout) + on_the_wire
            port.deadline = time.monotonic() + allowed
            port.is_using = False
            if send(port) != 0:  # the adapter does not drain its output
                return Asked(problems=(*problems, *(("no_reply", servo) for servo in servos or [None])))
            deadline = time.monotonic() + allowed
            return Asked(tuple(servos), size, tuple(problems), deadline, sent=True)
        except BUS_ERRORS:
            self.close()
            return Asked(problems=(("unplugged", None),))

    def _collect(self, port: SerialPort, asked: Asked) -> Replies:
        problems, servos = list(asked.problems), asked.servos
        data, errors, waiting = {}, {}, list(servos)
        while waiting and (more := self._next(port)) is not None:
            servo, error, payload = more
            if servo is None:
                problems.append(("corrupt_reply", None))
            elif servo not in waiting or len(payload) != asked.size:
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

    def _next(self, port: SerialPort) -> Reply | None:
        return None if port.isPacketTimeout() else self._packets.receive(port)
