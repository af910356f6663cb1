"""One register of a servo's memory table: its place, and how its bytes are a number (little endian)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Register:
    """Where a value stands, how long it is, and how it is signed."""

    address: int
    size: int = 1  # [bytes]
    sign_bit: int | None = None  # the bit that says "negative"; those below it are the size of the number
    signed: bool = False  # two's complement instead

    def decode(self, data: bytes | bytearray, start: int | None = None) -> int:
        """Returns the value out of `data`.

        Args:
            data: bytes of the table.
            start: address of the first of them; None: they are this register's own.

        Raises:
            ValueError: the register is not among them.
        """
        at = 0 if start is None else self.address - start
        if at < 0 or at + self.size > len(data):
            raise ValueError(f"data: got {len(data)} bytes from {start}, expected some with {self.address}")
        value = int.from_bytes(data[at : at + self.size], "little", signed=self.signed)
        if self.sign_bit is None:
            return value
        sign = 1 << self.sign_bit
        size = value & (sign - 1)
        return -size if value & sign else size

    def encode(self, value: int) -> bytes:
        """Returns the bytes of `value`; ValueError if it does not fit."""
        bits = 8 * self.size - self.signed if self.sign_bit is None else self.sign_bit
        lowest = -(1 << bits) if self.signed else 0 if self.sign_bit is None else 1 - (1 << bits)
        if not lowest <= value < 1 << bits:
            raise ValueError(f"value: got {value}, expected one that fits the register at {self.address}")
        if value < 0 and self.sign_bit is not None:
            value = -value | (1 << self.sign_bit)
        return value.to_bytes(self.size, "little", signed=self.signed)
