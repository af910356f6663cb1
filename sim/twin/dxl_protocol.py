"""A line of Dynamixel X servos in Robotis' Protocol 2.0.

Packets as in the manual (e-manual, "Protocol 2.0"): FF FF FD 00 id length instruction parameters CRC. An FD
is stuffed in wherever FF FF FD comes up between length and CRC, except in replies to the fast reads.
Understands PING, READ, WRITE, REG WRITE, ACTION, REBOOT, CLEAR, SYNC READ and WRITE, BULK READ and WRITE, and
FAST SYNC READ and FAST BULK READ.
"""

from __future__ import annotations

import struct

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.sim.twin.dxl_servo import DxlServo
from ideomotor.sim.twin.line import TwinLine
from ideomotor.sim.twin.plant import Plant, make_plant

HEADER = b"\xff\xff\xfd\x00"
PING, READ, WRITE, REG_WRITE, ACTION, REBOOT, CLEAR, STATUS = 1, 2, 3, 4, 5, 8, 0x10, 0x55
SYNC_READ, SYNC_WRITE, FAST_SYNC_READ = 0x82, 0x83, 0x8A
BULK_READ, BULK_WRITE, FAST_BULK_READ = 0x92, 0x93, 0x9A
CLEAR_TURNS = b"\x01\x44\x58\x4c\x22"
EVERYBODY = 0xFE
LONGEST = 1024  # bytes of an instruction; a longer one is none
REBOOT_S = 0.25  # [s] that a servo is silent after REBOOT


def crc16(data: bytes) -> int:
    """Returns the CRC of Protocol 2.0: polynomial 0x8005, most significant bit first, starting at 0."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ CRC_OF_BYTE[crc >> 8 ^ byte]
    return crc


def _crc_of(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ (0x8005 if crc & 0x8000 else 0)
    return crc & 0xFFFF


CRC_OF_BYTE = [_crc_of(byte) for byte in range(256)]


def packed(servo_id: int, body: bytes, stuff: bool = True) -> bytes:
    """Returns the packet of an instruction or status with its parameters."""
    if stuff:
        body = body.replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
    packet = HEADER + bytes([servo_id]) + struct.pack("<H", len(body) + 2) + body
    return packet + struct.pack("<H", crc16(packet))


class DxlLine(TwinLine):
    """Its servos, {id: servo}, are in `servos`."""

    def __init__(
        self,
        embodiment: Embodiment,
        now: float,
        assembly: tuple[int, ...] = (),
        plant: Plant | None = None,
    ) -> None:
        """Args:
        embodiment: with a section `bus` of protocol dynamixel.
        now: [s], the twin's clock.
        assembly: by how many counts the servos of each joint were mounted away from where they should be;
            () is none.
        plant: what the servos move; by default the robot alone.
        """
        assert embodiment.bus is not None
        off = dict(zip(embodiment.joint_names, assembly or (0,) * len(embodiment.joints), strict=True))
        self.servos = {motor.id: DxlServo(motor, off[motor.joint]) for motor in embodiment.bus.motors}
        super().__init__(embodiment, now, plant or make_plant(embodiment), self.servos)

    def _packet(self) -> bytes | None:
        """The next whole instruction of the input, its id and then instruction and parameters, unstuffed."""
        data = self._input
        while True:
            start = data.find(HEADER)
            if start < 0:
                del data[: max(0, len(data) - 3)]
                return None
            del data[:start]
            if len(data) < 7:
                return None
            length = data[5] + 256 * data[6]
            end = 7 + length
            if not 3 <= length <= LONGEST:
                del data[0]
                continue
            if len(data) < end:
                return None
            whole, check = bytes(data[: end - 2]), data[end - 2] + 256 * data[end - 1]
            if crc16(whole) != check or data[7] == STATUS:
                del data[0]  # damaged on its way here, or somebody's answer: no servo obeys it
                continue
            del data[:end]
            return bytes([whole[4]]) + whole[7:].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd")

    def _obey(self, packet: bytes) -> None:
        to, instruction, parameters = packet[0], packet[1], packet[2:]
        if instruction in (SYNC_READ, FAST_SYNC_READ) and len(parameters) >= 4:
            address, size = struct.unpack("<HH", parameters[:4])
            self._read([(i, address, size) for i in parameters[4:]], fast=instruction == FAST_SYNC_READ)
        elif instruction in (BULK_READ, FAST_BULK_READ) and len(parameters) % 5 == 0:
            pieces = [struct.unpack("<BHH", parameters[i : i + 5]) for i in range(0, len(parameters), 5)]
            self._read(pieces, fast=instruction == FAST_BULK_READ)
        elif instruction == SYNC_WRITE and len(parameters) >= 4:
            address, size = struct.unpack("<HH", parameters[:4])
            for at in range(4, len(parameters) - size, size + 1):
                self._write(parameters[at], address, parameters[at + 1 : at + 1 + size])
        elif instruction == BULK_WRITE:
            while len(parameters) > 5:
                servo_id, address, size = struct.unpack("<BHH", parameters[:5])
                self._write(servo_id, address, parameters[5 : 5 + size])
                parameters = parameters[5 + size :]
        else:
            self._one(to, instruction, parameters)

    def _one(self, to: int, instruction: int, parameters: bytes) -> None:
        for servo_id, servo in self.servos.items():
            as_shadow = servo.address != to and servo.get(reg.SHADOW_ID) == to
            if to not in (EVERYBODY, servo.address) and not as_shadow or not self._answers(servo_id):
                continue
            data, error = b"", 0
            if instruction == PING:
                data = bytes(servo.table[0:2]) + bytes([servo.get(reg.FIRMWARE)])
            elif instruction == READ and len(parameters) == 4:
                data = self._piece(servo, *struct.unpack("<HH", parameters))
            elif instruction == WRITE and len(parameters) > 2:
                address = struct.unpack("<H", parameters[:2])[0]
                error = servo.write(address, parameters[2:], kept_too=not as_shadow)
            elif instruction == REG_WRITE and len(parameters) > 2:
                servo.register(struct.unpack("<H", parameters[:2])[0], parameters[2:])
            elif instruction == ACTION:
                error = servo.action()
            elif instruction == CLEAR and parameters == CLEAR_TURNS:
                servo.forget_turns()
            elif instruction != REBOOT:
                error = reg.BAD_INSTRUCTION
            level = {PING: 0, READ: 1}.get(instruction, 2)
            everybody_is_silent = to == EVERYBODY and instruction != PING
            if not as_shadow and not everybody_is_silent and servo.get(reg.RESPONSE_LEVEL) >= level:
                self._answer(servo, data, error)
            if instruction == REBOOT:
                servo.restart()
                servo.awake_at = self._spoke_at + REBOOT_S

    def _read(self, pieces: list[tuple[int, int, int]], fast: bool) -> None:
        """Several servos answer: (id, address, size), each with its own packet or all with one."""
        if fast:
            self._read_fast(pieces)
            return
        for to, address, size in pieces:
            for servo_id in self._called(to):
                if self._silences_others(servo_id):
                    return
                if self._answers(servo_id):
                    servo = self.servos[servo_id]
                    self._answer(servo, self._piece(servo, address, size), 0)

    def _read_fast(self, pieces: list[tuple[int, int, int]]) -> None:
        """Each servo adds its part and a CRC of all that is there; behind a missing one nobody goes on."""
        length = 1 + sum(size + 4 for *_, size in pieces)
        packet = HEADER + bytes([EVERYBODY]) + struct.pack("<H", length) + bytes([STATUS])
        for to, address, size in pieces:
            servo_id = next(iter(self._called(to)), None)
            if servo_id is None or not self._answers(servo_id):
                break
            servo = self.servos[servo_id]
            packet += bytes([self._alert(servo), to]) + self._piece(servo, address, size)
            packet += struct.pack("<H", crc16(packet))
        if pieces:
            self._reply(next(iter(self._called(pieces[0][0])), pieces[0][0]), packet, spoils=-3)

    def _write(self, to: int, address: int, data: bytes) -> None:
        for servo_id, servo in self.servos.items():
            as_shadow = servo.address != to and servo.get(reg.SHADOW_ID) == to
            if (servo.address == to or as_shadow) and self._answers(servo_id):
                servo.write(address, data, kept_too=not as_shadow)

    def _answer(self, servo: DxlServo, data: bytes, error: int) -> None:
        body = bytes([STATUS, error | self._alert(servo)]) + data
        self._reply(servo.servo.id, packed(servo.address, body), spoils=-3)

    @staticmethod
    def _alert(servo: DxlServo) -> int:
        return reg.ALERT if servo.get(reg.ERROR) else 0

    @staticmethod
    def _piece(servo: DxlServo, address: int, size: int) -> bytes:
        return bytes(servo.table[address : address + size]).ljust(size, b"\0")
