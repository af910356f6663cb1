"""Emulated STS3215 servos behind a pseudo-terminal: `python sts_emulator.py OPTIONS`; standard library only.

Feetech's protocol (sts_packet.py): PING, READ, WRITE, REG WRITE, ACTION, SYNC READ, SYNC WRITE. A reply
starts when the line is free, after the servo's return delay and whatever latency a test gives it, and takes
its time on the wire; a USB adapter's latency timer may hold it back (62 bytes or the timer, as an FTDI chip
does).

Tests use it through `emulated_arm.EmulatedArm`, which sends [method, arguments] as lines of JSON on standard
input; each is answered by one line.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import tempfile
import termios
import time
import tty
from collections import deque
from pathlib import Path
from typing import Any

from sts_packet import next_packet, packed
from sts_servo import REGISTERS, Servo

PING, READ, WRITE, REG_WRITE, ACTION, SYNC_READ, SYNC_WRITE = 1, 2, 3, 4, 5, 0x82, 0x83
EVERYBODY = 0xFE
BAUDS = (1_000_000, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)  # by the register's value
SPEEDS = {getattr(termios, f"B{baud}"): baud for baud in BAUDS if hasattr(termios, f"B{baud}")}
BYTE_S = 1e-5  # on the wire at 1 Mbit/s
FULL = 62  # [bytes] that an FTDI chip sends on without waiting for its timer
IDLE_S, HISTORY, PRIORITY = 0.005, 400_000, 42  # joints move on when nobody asks; writes remembered; FIFO


class Emulator:
    """The servos, their line, and what a test may do (the public methods)."""

    def __init__(self, ids: list[int], angles: list[float], port: Path) -> None:
        self.servos = {number: Servo(number, angle) for number, angle in zip(ids, angles, strict=True)}
        self.path = port
        self._ends: tuple[int, int] | None = None
        self._input = bytearray()
        self._output: deque[tuple[float, bytes]] = deque()  # (when it is on this side of the adapter, bytes)
        self._held: list[tuple[float, bytes]] = []  # in the adapter
        self._timer_s = 0.0
        self._free_at = self._now = time.monotonic()
        self._hand: dict[int, list[tuple[float, float]]] = {}
        self._history: deque[tuple[float, int, str, int]] = deque(maxlen=HISTORY)
        self._draw = random.Random(0)
        self.counts = {"requests": 0, "replies": 0}
        self.plug_in()

    # What a test may do.

    def get(self, number: int, name: str) -> int:
        return self.servos[number].get(name)

    def put(self, number: int, name: str, value: int, kept: bool = True) -> None:
        """Sets a register as if another program had, for good if it is one that is kept."""
        servo = self.servos[number]
        servo.put(name, value)
        if kept and REGISTERS[name][0] < 40:
            servo.kept = bytes(servo.table[:40])
        servo.sense(0.0)

    def table(self, number: int) -> dict[str, int]:
        return {name: self.servos[number].get(name) for name in REGISTERS}

    def circumstances(self, numbers: list[int], changes: dict[str, Any]) -> None:
        for number in numbers or self.servos:
            for key, value in changes.items():
                if not hasattr(self.servos[number].circumstances, key):
                    raise KeyError(key)
                setattr(self.servos[number].circumstances, key, value)

    def adapter(self, timer_s: float) -> None:
        """Sets the latency timer of the USB adapter [s]; 0: none."""
        self._timer_s = timer_s

    def place(self, angles: dict[str, float]) -> None:
        """Puts joints somewhere, in counts of the encoder."""
        for number, angle in angles.items():
            servo = self.servos[int(number)]
            servo.angle = servo.lowest = servo.highest = float(angle)
            servo.speed = 0.0
            servo.sense(0.0)

    def hand(self, paths: dict[str, list[tuple[float, float]]]) -> None:
        """Somebody moves joints whose motors are off: {id: [(seconds from now, counts of the encoder)]}."""
        now = time.monotonic()
        self._hand = {
            int(n): [(now, self.servos[int(n)].angle), *((now + t, a) for t, a in path)]
            for n, path in paths.items()
        }

    def state(self) -> dict[str, dict[str, float]]:
        """{id: what it is}; `lowest` and `highest` of the encoder since the last call."""
        seen = {}
        for number, servo in self.servos.items():
            seen[str(number)] = {
                "torque": servo.get("torque_enable"),
                "position": servo.get("position"),
                "angle": servo.angle,
                "lowest": servo.lowest,
                "highest": servo.highest,
            }
            servo.lowest = servo.highest = servo.angle
        return seen

    def history(self, name: str | None = None) -> list[tuple[float, int, str, int]]:
        """(monotonic time, id, register, value) of the writes that servos took."""
        return [row for row in self._history if name in (None, row[2])]

    def power_cycle(self, numbers: list[int] | None = None) -> None:
        for number in numbers or self.servos:
            self.servos[number].power_on()

    def plug_in(self) -> None:
        if self._ends is None:
            ours, theirs = os.openpty()  # theirs stays open: else reading ours fails between two masters
            tty.setraw(theirs)
            os.set_blocking(ours, False)
            self._ends = (ours, theirs)
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(os.ttyname(theirs))

    def unplug(self) -> None:
        self.path.unlink(missing_ok=True)
        for end in self._ends or ():
            os.close(end)
        self._ends = None
        self._input.clear()
        self._output.clear()
        self._held.clear()

    # The line.

    def serve(self) -> None:
        """Until standard input ends."""
        commands = b""
        while True:
            wake = min([self._now + IDLE_S, *(at for at, _ in self._output), *self._timer_ends()])
            watched = [0] if self._ends is None else [0, self._ends[0]]
            ready = select.select(watched, [], [], max(0.0, wake - time.monotonic()))[0]
            self._advance()
            if self._ends is not None and self._ends[0] in ready:
                self._receive()
            self._send()
            if 0 in ready:
                data = os.read(0, 65536)
                if not data:
                    return
                *lines, commands = (commands + data).split(b"\n")
                for line in lines:
                    print(json.dumps(self._answer(line)), flush=True)

    def _answer(self, line: bytes) -> dict[str, Any]:
        method, arguments = json.loads(line)
        try:
            return {"value": getattr(self, method)(*arguments)}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _advance(self) -> None:
        now = time.monotonic()
        dt, self._now = min(now - self._now, 0.25), now
        for number, servo in self.servos.items():
            path = self._hand.get(number)
            if path and servo.get("torque_enable") != 1:
                before = max((p for p in path if p[0] <= now), key=lambda p: p[0])
                after = min((p for p in path if p[0] > now), key=lambda p: p[0], default=before)
                part = (now - before[0]) / (after[0] - before[0]) if after is not before else 0.0
                servo.angle = before[1] + part * (after[1] - before[1])
            servo.advance(dt)

    def _receive(self) -> None:
        assert self._ends is not None
        try:
            self._input += os.read(self._ends[0], 4096)
        except OSError:
            return
        while (packet := next_packet(self._input)) is not None:
            self.counts["requests"] += 1
            self._obey(*packet)

    def _obey(self, to: int, instruction: int, parameters: bytes) -> None:
        if instruction == SYNC_READ:
            for number in parameters[2:]:
                for servo in self._called(number):
                    self._reply(servo, self._piece(servo, *parameters[:2]))
            return
        if instruction == SYNC_WRITE:
            address, size = parameters[:2]
            for at in range(2, len(parameters) - size, size + 1):
                for servo in self._called(parameters[at]):
                    self._take(servo, address, parameters[at + 1 : at + 1 + size])
            return
        for servo in self._called(to):
            data = b""
            if instruction == READ:
                data = self._piece(servo, *parameters)
            elif instruction == WRITE:
                self._take(servo, parameters[0], parameters[1:])
            elif instruction == REG_WRITE:
                servo.pending = parameters[0], parameters[1:]
            elif instruction == ACTION and servo.pending:
                self._take(servo, *servo.pending)
                servo.pending = None
            elif instruction not in (PING, ACTION):
                continue
            if to != EVERYBODY and (servo.get("response_level") or instruction in (PING, READ)):
                self._reply(servo, data)

    def _called(self, number: int) -> list[Servo]:
        """The servos that hear a packet for an id: those of the line's baud rate."""
        assert self._ends is not None
        baud = SPEEDS.get(termios.tcgetattr(self._ends[1])[5])
        return [
            servo
            for servo in self.servos.values()
            if number in (servo.get("id"), EVERYBODY)
            and not servo.circumstances.silent
            and BAUDS[servo.get("baud")] == baud
        ]

    def _take(self, servo: Servo, address: int, data: bytes) -> None:
        number = next(number for number, other in self.servos.items() if other is servo)
        for name, value in servo.write(address, data):
            self._history.append((self._now, number, name, value))

    @staticmethod
    def _piece(servo: Servo, address: int, size: int) -> bytes:
        return bytes(servo.table[address : address + size]).ljust(size, b"\0")

    def _reply(self, servo: Servo, data: bytes) -> None:
        if servo.circumstances.silent:
            return
        packet = packed(servo.get("id"), servo.get("status"), data)
        starts = max(self._free_at, self._now) + servo.get("return_delay") * 2e-6
        starts += self._draw.uniform(*servo.circumstances.latency_s)
        self._free_at = starts + len(packet) * BYTE_S
        self.counts["replies"] += 1
        if self._timer_s:
            self._held.append((self._free_at, packet))
        else:
            self._output.append((self._free_at, packet))

    def _timer_ends(self) -> list[float]:
        """When the adapter sends on what it holds: its timer's end, or when it is full."""
        if not self._held:
            return []
        size = 0
        for at, packet in self._held:
            size += len(packet)
            if size >= FULL:
                return [min(at, self._held[0][0] + self._timer_s)]
        return [self._held[0][0] + self._timer_s]

    def _send(self) -> None:
        now = time.monotonic()
        while (ends := self._timer_ends()) and ends[0] <= now:
            there = [packet for at, packet in self._held if at <= ends[0]]
            self._held = self._held[len(there) :]
            self._output.append((ends[0], b"".join(there)))
        data = b""
        while self._output and self._output[0][0] <= now:
            data += self._output.popleft()[1]
        if data and self._ends is not None:
            try:
                os.write(self._ends[0], data)
            except OSError:  # nobody reads: an adapter would lose it too
                termios.tcflush(self._ends[1], termios.TCIFLUSH)


def main() -> None:
    options = json.loads(sys.argv[1])
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        pass  # it answers later on a busy machine
    with tempfile.TemporaryDirectory(prefix="sts-emulator-") as folder:
        emulator = Emulator(options["ids"], options["angles"], Path(folder) / "port")
        print(emulator.path, flush=True)
        emulator.serve()
        emulator.unplug()


if __name__ == "__main__":
    main()
