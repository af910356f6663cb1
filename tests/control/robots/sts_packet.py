"""Packets of Feetech's protocol: FF FF id length instruction parameters checksum; standard library only.

The checksum is the inverted sum of what stands between header and itself; a reply has the error bits in the
place of the instruction.
"""

from __future__ import annotations


def next_packet(data: bytearray) -> tuple[int, int, bytes] | None:
    """Takes (id, instruction, parameters) of the next whole packet from `data`; skips what is damaged."""
    while (start := data.find(b"\xff\xff")) >= 0:
        del data[:start]
        if len(data) < 4 or len(data) < 4 + data[3]:
            return None
        end = 4 + data[3]
        if data[2] == 0xFF or data[3] < 2 or ~sum(data[2 : end - 1]) & 0xFF != data[end - 1]:
            del data[0]
            continue
        packet = data[2], data[4], bytes(data[5 : end - 1])
        del data[:end]
        return packet
    del data[: max(0, len(data) - 1)]
    return None


def packed(number: int, instruction: int, parameters: bytes) -> bytes:
    """A packet; of a reply, `instruction` are the error bits."""
    content = bytes([number, len(parameters) + 2, instruction]) + parameters
    return b"\xff\xff" + content + bytes([~sum(content) & 0xFF])
