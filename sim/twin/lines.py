"""The protocols that the twin speaks, by `bus.protocol` of an embodiment file."""

from __future__ import annotations

from ideomotor.sim.twin.dxl_protocol import DxlLine
from ideomotor.sim.twin.sts_protocol import StsLine

LINES = {"feetech": StsLine, "dynamixel": DxlLine}
