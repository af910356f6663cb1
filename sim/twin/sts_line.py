"""A line of STS servos as its master sees it: bytes in, bytes out, at the right times.

Instructions as in Feetech's protocol manual: FF FF id length instruction parameters checksum, the checksum
the complement of the sum of all bytes after the header. Understands PING, READ, WRITE, REG WRITE, ACTION,
SYNC READ and SYNC WRITE. Knows nothing of pseudo-terminals or real time: `now` is given.
"""

from __future__ import annotations

import heapq

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.robots import sts_registers as reg
from ideomotor.sim.twin.faults import FaultPlan
from ideomotor.sim.twin.hand import Hand
from ideomotor.sim.twin.plant import Plant, make_plant
from ideomotor.sim.twin.sts_servo import RESTART_VOLTS, StsServo

PING, READ, WRITE, REG_WRITE, ACTION, SYNC_READ, SYNC_WRITE = 1, 2, 3, 4, 5, 0x82, 0x83
EVERYBODY = 0xFE
USUAL_VOLTS = 7.4
RESTART_S = 0.3  # [s] that a servo is silent after its supply is back
LONGEST_GAP_S = 0.25  # [s]: a plant that was not looked at for longer only moves on by this much


class StsLine:
    """Servos, the arm that they move, and the faults of both."""

    def __init__(
        self,
        embodiment: Embodiment,
        now: float,
        assembly: tuple[int, ...] = (),
        plant: Plant | None = None,
    ) -> None:
        """Args:
        embodiment: with a section `bus` of protocol feetech.
        now: [s], the twin's clock.
        assembly: by how many counts each servo was mounted away from where it should be; () is none.
        plant: what the servos move; by default the robot alone.
        """
        assert embodiment.bus is not None
        layout = embodiment.bus.servos
        self.faults = FaultPlan()
        self._embodiment = embodiment
        self._hand: Hand | None = None
        self._plant = plant or make_plant(embodiment)
        off = assembly or (0,) * len(layout)
        self.servos = {
            servo.id: StsServo(servo, counts, USUAL_VOLTS) for servo, counts in zip(layout, off, strict=True)
        }
        self._now = now
        self._awake_at = now  # of servos that restart
        self._input = bytearray()
        self._output: list[tuple[float, int, bytes]] = []  # (when, order, bytes), a heap
        self._count = 0
        no_motor = np.zeros(len(layout), dtype=bool)
        self._motion = self._plant.step(embodiment.home_position, no_motor, embodiment.max_effort, 0)
        self._sense(0.0)

    @property
    def position(self) -> np.ndarray:
        """(A,) [rad or m], where the joints really are."""
        return self._motion.position

    def hand(self, what: str, now: float) -> None:
        """Somebody moves the arm: to the "middle" of its range, in a "sweep" to all stops, or "off" it."""
        at = self._motion.position
        self._hand = None if what == "off" else Hand(what, self._embodiment, at, now)

    def receive(self, data: bytes, now: float) -> None:
        """Takes in what the master sent; answers appear in `output`."""
        self.advance(now)
        if data and self.faults.now("echo", 0, now):
            self._put(data, now)
        self._input += data
        while (packet := self._packet()) is not None:
            self._obey(packet)

    def output(self, now: float) -> bytes:
        """Returns what has come out of the line by `now` and was not fetched yet."""
        out = b""
        while self._output and self._output[0][0] <= now:
            out += heapq.heappop(self._output)[2]
        return out

    def next_output(self) -> float:
        """Returns when something comes out next; infinity if nothing is under way."""
        return self._output[0][0] if self._output else float("inf")

    def forget_output(self) -> None:
        """The adapter is gone, and what was under way with it."""
        self._output.clear()
        self._input.clear()

    def advance(self, now: float) -> None:
        """Lets the arm move until `now`."""
        if now - self._now > LONGEST_GAP_S:
            self._now = now - LONGEST_GAP_S
        self._supply(now)
        servos = list(self.servos.values())
        step_s = self._plant.step_s
        steps = int((now - self._now) / step_s + 1e-6)
        if steps > 0:
            self._now += steps * step_s
        if self._hand is not None and self._hand.lets_go and all(servo.on for servo in servos):
            self._hand = None
        if self._hand is not None:
            self._motion = self._plant.by_hand(self._hand.position(now))
        elif steps > 0:
            target = np.array([servo.target for servo in servos])
            on = np.array([servo.on for servo in servos])
            limit = np.array([servo.torque_limit * servo.servo.gear_ratio for servo in servos])
            self._motion = self._plant.step(target, on, limit, steps)
        self._sense(steps * step_s)

    def _sense(self, dt: float) -> None:
        motion = zip(self._motion.position, self._motion.velocity, self._motion.effort, strict=True)
        for servo, (position, velocity, effort) in zip(self.servos.values(), motion, strict=True):
            servo.sense(float(position), float(velocity), float(effort), dt)

    def _supply(self, now: float) -> None:
        for servo_id, servo in self.servos.items():
            low = self.faults.now("brownout", servo_id, now)
            servo.volts = low.values["volts"] if low else USUAL_VOLTS
            if servo.volts < RESTART_VOLTS:
                servo.restart()
                self._awake_at = now + RESTART_S
            hot = self.faults.now("hot", servo_id, now)
            servo.heated = hot.values["celsius"] if hot else None
            jump = self.faults.now("jump", servo_id, now)
            servo.jump = int(jump.values["counts"]) if jump else 0

    def _packet(self) -> bytes | None:
        """The next whole instruction of the input, from its id to its last parameter; None: not there yet."""
        data = self._input
        while True:
            start = data.find(b"\xff\xff")
            if start < 0:
                del data[: max(0, len(data) - 1)]
                return None
            del data[:start]
            if len(data) > 2 and data[2] == 0xFF:  # three in a row: the header begins one later
                del data[0]
                continue
            if len(data) < 4 or len(data) < 4 + data[3]:
                return None
            end = 4 + data[3]
            body, check = bytes(data[2 : end - 1]), data[end - 1]
            if data[3] < 2 or (~sum(body) & 0xFF) != check:
                del data[0]  # damaged on its way here: no servo obeys it
                continue
            del data[:end]
            return body

    def _obey(self, body: bytes) -> None:
        to, instruction, parameters = body[0], body[2], body[3:]
        if instruction == SYNC_READ and len(parameters) >= 2:
            self._sync_read(parameters[0], parameters[1], parameters[2:])
        elif instruction == SYNC_WRITE and len(parameters) >= 2:
            address, size = parameters[:2]
            for at in range(2, len(parameters) - size, size + 1):
                self._write(parameters[at], address, parameters[at + 1 : at + 1 + size])
        elif to == EVERYBODY:
            for servo_id, servo in self.servos.items():
                if instruction == WRITE and parameters:
                    self._write(servo_id, parameters[0], parameters[1:])
                elif instruction == ACTION and self._answers(servo_id):
                    servo.action()
        elif self._answers(to):
            self._one(self.servos[to], instruction, parameters)

    def _one(self, servo: StsServo, instruction: int, parameters: bytes) -> None:
        data = b""
        if instruction == READ and len(parameters) == 2:
            data = self._piece(servo, *parameters)
        elif instruction == WRITE and parameters:
            servo.write(parameters[0], parameters[1:])
        elif instruction == REG_WRITE and parameters:
            servo.register(parameters[0], parameters[1:])
        elif instruction == ACTION:
            servo.action()
        elif instruction != PING:
            return
        if instruction in (PING, READ) or servo.get(reg.RESPONSE_LEVEL):
            self._reply(servo, data)

    def _sync_read(self, address: int, size: int, ids: bytes) -> None:
        for servo_id in ids:
            dead = self.faults.now("dead", servo_id, self._now)
            if dead and dead.values["chain"]:
                return  # the others wait for the end of an answer that never comes
            if self._answers(servo_id):
                servo = self.servos[servo_id]
                self._reply(servo, self._piece(servo, address, size))

    def _write(self, servo_id: int, address: int, data: bytes) -> None:
        if self._answers(servo_id):
            self.servos[servo_id].write(address, data)

    def _answers(self, servo_id: int) -> bool:
        alive = servo_id in self.servos and not self.faults.now("dead", servo_id, self._now)
        return alive and self._now >= self._awake_at - self._plant.step_s

    @staticmethod
    def _piece(servo: StsServo, address: int, size: int) -> bytes:
        return bytes(servo.table[address : address + size]).ljust(size, b"\0")

    def _reply(self, servo: StsServo, data: bytes) -> None:
        servo_id, now, faults = servo.servo.id, self._now, self.faults
        body = bytes([servo_id, len(data) + 2, servo.get(reg.STATUS), *data])
        packet = bytearray(b"\xff\xff" + body + bytes([~sum(body) & 0xFF]))
        if faults.now("drop", servo_id, now, spend=True):
            return
        if faults.now("corrupt", servo_id, now, spend=True):
            packet[-2] ^= 0x10
        late = faults.now("delay", servo_id, now, spend=True)
        if faults.now("noise", servo_id, now, spend=True):
            packet[:0] = b"\x00\xff\x17"
        self._put(bytes(packet), now + (late.values["ms"] / 1000 if late else 0.0))

    def _put(self, data: bytes, when: float) -> None:
        self._count += 1
        heapq.heappush(self._output, (when, self._count, data))
