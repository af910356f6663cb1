"""A line of STS servos in Feetech's protocol.

Instructions as in Feetech's protocol manual: FF FF id length instruction parameters checksum, the checksum
the complement of the sum of all bytes after the header. Understands PING, READ, WRITE, REG WRITE, ACTION,
SYNC READ and SYNC WRITE.
"""

from __future__ import annotations

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.robots.feetech import registers as reg
from ideomotor.sim.twin.line import TwinLine
from ideomotor.sim.twin.plant import Plant, make_plant
from ideomotor.sim.twin.sts_servo import StsServo

PING, READ, WRITE, REG_WRITE, ACTION, SYNC_READ, SYNC_WRITE = 1, 2, 3, 4, 5, 0x82, 0x83
EVERYBODY = 0xFE


class StsLine(TwinLine):
    """Its servos, {id: servo}, are in `servos`."""

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
        off = assembly or (0,) * len(layout)
        self.servos = {servo.id: StsServo(servo, counts) for servo, counts in zip(layout, off, strict=True)}
        super().__init__(embodiment, now, plant or make_plant(embodiment), self.servos)

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

    def _obey(self, packet: bytes) -> None:
        to, instruction, parameters = packet[0], packet[2], packet[3:]
        if instruction == SYNC_READ and len(parameters) >= 2:
            self._sync_read(parameters[0], parameters[1], parameters[2:])
        elif instruction == SYNC_WRITE and len(parameters) >= 2:
            address, size = parameters[:2]
            for at in range(2, len(parameters) - size, size + 1):
                self._write(parameters[at], address, parameters[at + 1 : at + 1 + size])
        elif to == EVERYBODY:
            for servo_id, servo in self.servos.items():
                if instruction == WRITE and parameters:
                    self._write(servo.address, parameters[0], parameters[1:])
                elif instruction == ACTION and self._answers(servo_id):
                    servo.action()
        else:
            for servo_id in self._called(to):
                if self._answers(servo_id):
                    self._one(self.servos[servo_id], instruction, parameters)

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
            self._answer(servo, data)

    def _sync_read(self, address: int, size: int, ids: bytes) -> None:
        for servo_id in (key for address in ids for key in self._called(address)):
            if self._silences_others(servo_id):
                return
            if self._answers(servo_id):
                servo = self.servos[servo_id]
                self._answer(servo, self._piece(servo, address, size))

    def _write(self, to: int, address: int, data: bytes) -> None:
        for servo_id in self._called(to):
            if self._answers(servo_id):
                self.servos[servo_id].write(address, data)

    def _answer(self, servo: StsServo, data: bytes) -> None:
        body = bytes([servo.address, len(data) + 2, servo.get(reg.STATUS), *data])
        self._reply(servo.servo.id, b"\xff\xff" + body + bytes([~sum(body) & 0xFF]), spoils=-2)

    @staticmethod
    def _piece(servo: StsServo, address: int, size: int) -> bytes:
        return bytes(servo.table[address : address + size]).ljust(size, b"\0")
