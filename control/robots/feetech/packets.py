"""Feetech's protocol for STS servos through their SDK (`feetech-servo-sdk`, extra `feetech`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ideomotor.control.errors import UserError
from ideomotor.control.robots.serial_port import SerialPort
from ideomotor.control.robots.servo_line import Reply

HEADER = b"\xff\xff"


class StsPackets:
    """See `servo_line.Packets`."""

    overhead = 6  # header (2), id, length, error, checksum

    def __init__(self) -> None:
        """Raises UserError if the SDK is not installed."""
        self._sdk = _packet_handler()

    def read(self, port: SerialPort, servo: int, address: int, size: int) -> int:
        return self._sdk.readTx(port, servo, address, size)

    def sync_read(self, port: SerialPort, servos: Sequence[int], address: int, size: int) -> int:
        return self._sdk.syncReadTx(port, address, size, list(servos), len(servos))

    def write(self, port: SerialPort, servo: int, address: int, data: bytes) -> int:
        return self._sdk.writeTxOnly(port, servo, address, len(data), list(data))

    def sync_write(self, port: SerialPort, values: Mapping[int, bytes], address: int) -> int:
        size = len(next(iter(values.values())))
        parameters = [byte for servo, data in values.items() for byte in (servo, *data)]
        return self._sdk.syncWriteTxOnly(port, address, size, parameters, len(parameters))

    def reboot(self, port: SerialPort, servo: int) -> int:
        raise NotImplementedError("STS servos have no such instruction")

    def ping_all(self, port: SerialPort) -> int:
        raise NotImplementedError("STS servos do not take turns in answering everybody")

    def receive(self, port: SerialPort) -> Reply | None:
        packet, result = self._sdk.rxPacket(port)
        if result == 0 and len(packet) >= self.overhead:
            return packet[2], packet[4], bytes(packet[5:-1])
        return (None, 0, b"") if packet else None

    def ids_in(self, data: bytes) -> list[int]:
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
