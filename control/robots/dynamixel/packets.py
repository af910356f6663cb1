"""Robotis' Protocol 2.0 through their SDK (`dynamixel-sdk`, extra `dynamixel`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.control.robots.serial_port import SerialPort
from ideomotor.control.robots.servo_line import Reply

HEADER = b"\xff\xff\xfd\x00"
PING, REBOOT = 1, 8
EVERYBODY = 0xFE


class DxlPackets:
    """See `servo_line.Packets`.

    Fast Sync Read is not used: its servos share one packet, and one that fails costs all of them.
    """

    overhead = 11  # header (4), id, length (2), instruction, error, CRC (2)

    def __init__(self) -> None:
        """Raises UserError if the SDK is not installed."""
        self._sdk = _packet_handler()

    def read(self, port: SerialPort, servo: int, address: int, size: int) -> int:
        return self._sdk.readTx(port, servo, address, size)

    def sync_read(self, port: SerialPort, servos: Sequence[int], address: int, size: int) -> int:
        return self._sdk.syncReadTx(port, address, size, list(servos), len(servos), False)

    def write(self, port: SerialPort, servo: int, address: int, data: bytes) -> int:
        return self._sdk.writeTxOnly(port, servo, address, len(data), list(data))

    def sync_write(self, port: SerialPort, values: Mapping[int, bytes], address: int) -> int:
        size = len(next(iter(values.values())))
        parameters = [byte for servo, data in values.items() for byte in (servo, *data)]
        return self._sdk.syncWriteTxOnly(port, address, size, parameters, len(parameters))

    def reboot(self, port: SerialPort, servo: int) -> int:
        # The SDK's own `reboot` also waits for the reply. It fills in header and CRC.
        return self._sdk.txPacket(port, [0, 0, 0, 0, servo, 3, 0, REBOOT, 0, 0])

    def ping_all(self, port: SerialPort) -> int:
        # The SDK's own `broadcastPing` spins until its time is over.
        return self._sdk.txPacket(port, [0, 0, 0, 0, EVERYBODY, 3, 0, PING, 0, 0])

    def receive(self, port: SerialPort) -> Reply | None:
        packet, result = self._sdk.rxPacket(port, False)
        if result == 0 and len(packet) >= self.overhead:
            end = 7 + packet[5] + 256 * packet[6] - 2  # the SDK takes stuffing out but not off the end
            return packet[4], packet[8], bytes(packet[9:end])
        return (None, 0, b"") if packet else None

    def ids_in(self, data: bytes) -> list[int]:
        ids = {data[i + 4] for i in range(len(data) - 4) if data[i : i + 4] == HEADER}
        return sorted(servo for servo in ids if servo < 0xFD)


def _packet_handler() -> Any:
    try:
        import dynamixel_sdk
        import serial  # noqa: F401
    except ImportError as error:
        raise UserError(
            "robot: its servos need the package dynamixel-sdk; pip install 'ideomotor[dynamixel]'"
        ) from error
    return dynamixel_sdk.PacketHandler(2.0)
